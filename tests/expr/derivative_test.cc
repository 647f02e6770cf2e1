// Symbolic derivatives against central differences in double precision.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "expr/random_program.h"
#include "regard/error.h"

namespace regard {
namespace {

using namespace regard::program;
using regard::testing::RandomProgram;

// f'(0) by central differences, or NaN where f is not smooth enough to tell.
double slope(const std::function<double(double)>& f) {
  const auto central = [&](double h) { return (f(h) - f(-h)) / (2 * h); };
  const double h = 1e-4, coarse = central(2 * h), fine = central(h), finest = central(h / 16);
  const double left = (f(0) - f(-h)) / h, right = (f(h) - f(0)) / h;
  const double size = 1 + std::abs(fine) + std::abs(f(0));
  // Kinks and jumps show as one-sided slopes that differ, roughness as a step that matters.
  if (!(std::abs(left - right) < 1e-2 * size) || !(std::abs(coarse - fine) < 1e-6 * size) ||
      !(std::abs(finest - fine) < 1e-5 * size))
    return NAN;
  return (4 * fine - coarse) / 3;
}

double slope_in_s(const Expr& e, Point p) {
  const double s = p.s;
  Evaluator at(e);
  return slope([&](double step) {
    p.s = s + step;
    return at(p);
  });
}

TEST(Derivative, OfEveryFunction) {
  const Expr s = score();
  for (const Expr& e : {s,
                        3 * s - s * s,
                        s / (s * s + 1),
                        1 / s,
                        -s,
                        abs(s - 5),
                        floor(s) * s,
                        sqrt(s),
                        exp(s),
                        log(s),
                        tanh(s),
                        sigmoid(s),
                        sin(s),
                        cos(s),
                        min(s, s * s),
                        max(s, s * s),
                        mod(s, 0.75),
                        mod(7.5, s),
                        floor_div(s, 0.3) + s,
                        where(s > 1, s * s, sin(s)),
                        softcap(3, s * s),
                        where(key() == 0, s * 2, s),
                        s * to_real(s > 0.5),
                        max(min(s, 2.0), -1.0) * s}) {
    for (const double at : {0.37, 1.61, 2.9}) {
      const double expected = slope_in_s(e, {.s = at, .j = 1});
      ASSERT_FALSE(std::isnan(expected)) << to_string(e);
      EXPECT_NEAR(evaluate(derivative(e), {.s = at, .j = 1}), expected, 1e-7)
          << to_string(e) << " at " << at << ": " << to_string(derivative(e));
    }
  }
}

TEST(Derivative, PrintsItself) {
  EXPECT_EQ(to_string(derivative(softcap(30))), "1 / 30 * (1 - tanh(s / 30) * tanh(s / 30)) * 30");
  EXPECT_EQ(to_string(derivative(score() + key())), "1.0");
  EXPECT_EQ(to_string(derivative(to_real(key()))), "0.0");
}

TEST(Derivative, OfRandomPrograms) {
  int compared = 0, singular = 0;
  for (uint64_t seed = 0; seed < 3000; ++seed) {
    RandomProgram random(seed, false);
    const Expr e = random.real(1 + random.pick(4));
    const Point p{.s = random.number(), .head = 1, .i = random.pick(40), .j = random.pick(40)};
    const double expected = slope_in_s(e, p), value = evaluate(e, p);
    if (std::isnan(expected) || std::abs(value) > 1e5) continue;  // differences cannot tell
    const double found = evaluate(derivative(e), p);
    if (!std::isfinite(found)) {  // sqrt at 0 and its like
      ++singular;
      continue;
    }
    EXPECT_NEAR(found, expected, 1e-5 * (1 + std::abs(expected) + std::abs(value)))
        << to_string(e) << " at s = " << p.s << ", seed " << seed;
    compared += expected != 0 ? 1 : 0;
  }
  EXPECT_GE(compared, 500);
  EXPECT_LT(singular, compared / 20);
}

// Of equals the first; 0 where there is none.
TEST(Derivative, TakesTheStatedSubgradients) {
  const Expr s = score();
  EXPECT_EQ(evaluate(derivative(min(2 * s, 3 * s)), {}), 2);
  EXPECT_EQ(evaluate(derivative(max(2 * s, 3 * s)), {}), 2);
  EXPECT_EQ(evaluate(derivative(abs(s)), {}), 0);
  EXPECT_EQ(evaluate(derivative(floor(s)), {.s = 1}), 0);
  EXPECT_EQ(evaluate(derivative(floor_div(s, 2.0)), {.s = 2}), 0);
  EXPECT_EQ(evaluate(derivative(to_real(s < 1)), {.s = 1}), 0);
  EXPECT_EQ(evaluate(derivative(where(s < 1, s, 2 * s)), {.s = 1}), 2);
}

// The side that where() does not take reaches no derivative, NaN or not.
TEST(Derivative, KeepsNaNOfTheOtherSideOut) {
  const Expr s = score();
  const Expr safe = where(s > 0, sqrt(s), 0.0);
  EXPECT_EQ(evaluate(derivative(safe), {.s = 0}), 0);
  EXPECT_EQ(evaluate(derivative(safe), {.s = -1}), 0);
  EXPECT_EQ(evaluate(derivative(safe * safe), {.s = 0}), 0);
  EXPECT_EQ(evaluate(derivative(where(s > 0, log(s), s)), {.s = 0}), 1);
}

TEST(ArrayDerivatives, OfEachDistinctGather) {
  std::vector<float> numbers{0.5f, 1.5f, -2, 0.25f};
  const Array table("table", View<float, 1>(numbers.data(), {4}), true);
  const Array fixed = Array::of("fixed", std::vector<float>{3, 4, 5, 6});
  const Expr at_key = table(key()), at_query = table(query());
  const Expr e = tanh(score() * at_key) + at_query * at_query * fixed(key()) + at_key;
  const std::vector<ArrayDerivative> found = array_derivatives(e);
  ASSERT_EQ(found.size(), 2u);  // table[j] occurs twice and counts once
  const Point p{.s = 0.7, .i = 2, .j = 1};
  for (const ArrayDerivative& part : found) {
    EXPECT_TRUE(part.array == table);
    ASSERT_EQ(part.index.size(), 1u);
    const auto place = static_cast<std::size_t>(evaluate(part.index[0], p));
    const float kept = numbers[place];
    const double step = 0x1p-10;  // exact in f32
    const auto moved = [&](double by) {
      numbers[place] = static_cast<float>(kept + by);
      const double value = evaluate(e, p);
      numbers[place] = kept;
      return value;
    };
    const double expected = (moved(step) - moved(-step)) / (2 * step);
    EXPECT_NEAR(evaluate(part.derivative, p), expected, 1e-5) << to_string(part.derivative);
  }
}

TEST(ArrayDerivatives, OfAlibiAreTheDistance) {
  const Array slopes = Array::of("slopes", alibi_slopes(8), {}, true);
  const std::vector<ArrayDerivative> found = array_derivatives(alibi(slopes));
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(to_string(found[0].index[0]), "head");
  EXPECT_EQ(to_string(found[0].derivative), "to_real(j - i)");
  const Array not_wanted = Array::of("slopes", alibi_slopes(8));
  EXPECT_TRUE(array_derivatives(alibi(not_wanted)).empty());
  EXPECT_TRUE(array_derivatives(where(slopes(head()) > 0, score(), 0.0)).empty());
}

TEST(Derivative, RefusesBooleans) {
  EXPECT_THROW(derivative(causal_mask()), Error);
  EXPECT_THROW(derivative(Expr()), Error);
}

}  // namespace
}  // namespace regard
