// Row kernels against their formulas in f64, on every target: sizes around the vector's width,
// rows apart, in place, alone and together, guards of NaN around everything.
#include "kernels/elementwise.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <functional>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "kernels/bits.h"
#include "kernels/row_operations.h"
#include "regard/error.h"
#include "simd/target.h"

namespace regard {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

double silu_formula(double x) { return x / (1 + std::exp(-x)); }

std::vector<Operation> operations() {
  std::vector<Operation> all;
  all.push_back({"rms_norm", 1, 1.0f,
                 [](const Inputs& in, View<float, 2> out) {
                   const auto gain = weights_for(out.shape[1], 7);
                   rms_norm(in[0], gain.data(), 1e-5f, out);
                 },
                 [](const std::vector<Row>& in) {
                   const auto gain = weights_for(static_cast<int64_t>(in[0].size()), 7);
                   Row y = in[0];
                   const double square = mean_of(each(y, [](double v) { return v * v; }));
                   for (std::size_t i = 0; i < y.size(); ++i) {
                     y[i] = y[i] / std::sqrt(square + 1e-5f) * gain[i];
                   }
                   return y;
                 },
                 1e-6, 0, 0});
  for (const bool shifted : {false, true}) {
    all.push_back({shifted ? "layer_norm, shift" : "layer_norm", 1, 3.0f,
                   [shifted](const Inputs& in, View<float, 2> out) {
                     const auto gain = weights_for(out.shape[1], 8);
                     const auto shift = weights_for(out.shape[1], 9);
                     layer_norm(in[0], gain.data(), shifted ? shift.data() : nullptr, 1e-5f, out);
                   },
                   [shifted](const std::vector<Row>& in) {
                     const auto gain = weights_for(static_cast<int64_t>(in[0].size()), 8);
                     const auto shift = weights_for(static_cast<int64_t>(in[0].size()), 9);
                     Row y = in[0];
                     const double mean = mean_of(y);
                     for (double& v : y) v -= mean;
                     const double variance = mean_of(each(y, [](double v) { return v * v; }));
                     for (std::size_t i = 0; i < y.size(); ++i) {
                       y[i] = y[i] / std::sqrt(variance + 1e-5f) * gain[i];
                       if (shifted) y[i] += shift[i];
                     }
                     return y;
                   },
                   0, 1e-6, 0});
  }
  all.push_back({"silu", 1, 8.0f, [](const Inputs& in, View<float, 2> out) { silu(in[0], out); },
                 [](const std::vector<Row>& in) { return each(in[0], silu_formula); }, 4.4e-7, 0,
                 0});
  all.push_back({"gelu_tanh", 1, 4.0f,
                 [](const Inputs& in, View<float, 2> out) { gelu_tanh(in[0], out); },
                 [](const std::vector<Row>& in) {
                   return each(in[0], [](double x) {
                     const double u = std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x);
                     return 0.5 * x * (1 + std::tanh(u));
                   });
                 },
                 1.5e-7, 0, 1.2e-7});
  all.push_back(
      {"gelu_erf", 1, 4.0f, [](const Inputs& in, View<float, 2> out) { gelu_erf(in[0], out); },
       [](const std::vector<Row>& in) {
         return each(in[0], [](double x) { return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0))); });
       },
       1.5e-7, 0, 1.2e-6});
  all.push_back(
      {"tanh", 1, 2.0f,
       [](const Inputs& in, View<float, 2> out) { activate(Activation::tanh, in[0], out); },
       [](const std::vector<Row>& in) {
         return each(in[0], [](double x) { return std::tanh(x); });
       },
       2e-7, 0, 0});
  all.push_back(
      {"sigmoid", 1, 8.0f,
       [](const Inputs& in, View<float, 2> out) { activate(Activation::sigmoid, in[0], out); },
       [](const std::vector<Row>& in) {
         return each(in[0], [](double x) { return 1 / (1 + std::exp(-x)); });
       },
       4e-7, 0, 0});
  all.push_back(
      {"identity", 1, 8.0f,
       [](const Inputs& in, View<float, 2> out) { activate(Activation::identity, in[0], out); },
       [](const std::vector<Row>& in) { return in[0]; }, 0, 0, 0});
  all.push_back({"log_softmax", 1, 5.0f,
                 [](const Inputs& in, View<float, 2> out) { log_softmax(in[0], out); },
                 [](const std::vector<Row>& in) {
                   const double most = *std::max_element(in[0].begin(), in[0].end());
                   double total = 0;
                   for (const double x : in[0]) total += std::exp(x - most);
                   Row y;
                   for (const double x : in[0]) y.push_back(x - most - std::log(total));
                   return y;
                 },
                 1e-7, 0, 2e-6});  // near 0 the rounding of log Σ exp is left
  all.push_back({"swiglu", 2, 3.0f,
                 [](const Inputs& in, View<float, 2> out) { swiglu(in[0], in[1], out); },
                 [](const std::vector<Row>& in) {
                   Row y = each(in[0], silu_formula);
                   for (std::size_t i = 0; i < y.size(); ++i) y[i] *= in[1][i];
                   return y;
                 },
                 5e-7, 0, 0});
  all.push_back({"add", 2, 1.0f,
                 [](const Inputs& in, View<float, 2> out) { add(in[0], in[1], out); },
                 [](const std::vector<Row>& in) {
                   Row y = in[0];
                   for (std::size_t i = 0; i < y.size(); ++i) y[i] += in[1][i];
                   return y;
                 },
                 6e-8, 0, 0});
  all.push_back({"softmax", 1, 5.0f,
                 [](const Inputs& in, View<float, 2> out) { softmax(in[0], out); },
                 [](const std::vector<Row>& in) {
                   const double most = *std::max_element(in[0].begin(), in[0].end());
                   double total = 0;
                   for (const double x : in[0]) total += std::exp(x - most);
                   Row y;
                   for (const double x : in[0]) y.push_back(std::exp(x - most) / total);
                   return y;
                 },
                 3e-6, 0, 0});  // the difference x - max is rounded: 40 · 2^-24 at 40
  return all;
}

TEST(Elementwise, AgreesWithTheFormulaOnEveryTarget) {
  agree_with_formulas_on_every_target(operations());
}
TEST(Elementwise, TakesRowsBackwardsAndRepeated) { take_rows_backwards_and_repeated(operations()); }
TEST(Elementwise, RefusesWhatDoesNotFit) { refuse_what_does_not_fit(operations()); }
TEST(Elementwise, NoRowsAndNoWidthAreNothingToDo) {
  have_nothing_to_do_without_rows_or_width(operations());
}

std::vector<float> one_row(void (*f)(View<const float, 2>, View<float, 2>),
                           const std::vector<float>& x) {
  std::vector<float> y(x.size());
  const int64_t width = static_cast<int64_t>(x.size());
  f(View<const float, 2>(x.data(), {1, width}), View<float, 2>(y.data(), {1, width}));
  return y;
}

TEST(Activations, NeverMakeNaNOfInfinity) {
  for (const Target target : available_targets()) {
    SCOPED_TRACE(name(target));
    const ScopedTarget forced(target);
    for (const auto f : {silu, gelu_tanh, gelu_erf}) {
      const std::vector<float> y =
          one_row(f, {-kInf, kInf, kNaN, -3e38f, 3e38f, 0.0f, -100.0f, -1000.0f, 1000.0f});
      EXPECT_EQ(y[0], 0.0f);
      EXPECT_EQ(y[1], kInf);
      EXPECT_TRUE(std::isnan(y[2]));
      EXPECT_EQ(y[3], 0.0f);
      EXPECT_EQ(y[4], 3e38f);
      EXPECT_EQ(y[5], 0.0f);
      EXPECT_EQ(y[6], 0.0f);
      EXPECT_EQ(y[7], 0.0f);
      EXPECT_EQ(y[8], 1000.0f);
    }
  }
}

TEST(Softmax, EdgesOfARow) {
  for (const Target target : available_targets()) {
    SCOPED_TRACE(name(target));
    const ScopedTarget forced(target);
    for (const std::size_t width : {1u, 15u, 16u, 17u, 40u}) {
      const std::vector<float> masked = one_row(softmax, std::vector<float>(width, -kInf));
      for (const float p : masked) EXPECT_TRUE(same_bits(p, 0.0f));
      for (std::size_t at = 0; at < width; ++at) {
        std::vector<float> x(width, -kInf);
        x[at] = kNaN;
        for (const float p : one_row(softmax, x)) EXPECT_TRUE(std::isnan(p));
        x.assign(width, 1.0f);
        x[at] = kNaN;
        for (const float p : one_row(softmax, x)) EXPECT_TRUE(std::isnan(p));
        x.assign(width, -kInf);
        x[at] = -3e38f;  // the only key takes everything
        const std::vector<float> sole = one_row(softmax, x);
        for (std::size_t i = 0; i < width; ++i)
          EXPECT_TRUE(same_bits(sole[i], i == at ? 1.0f : 0.0f));
      }
      for (const float p : one_row(softmax, std::vector<float>(width, 3e38f))) {
        EXPECT_NEAR(p, 1.0 / static_cast<double>(width), 1e-7);
      }
    }
    const std::vector<float> infinite = one_row(softmax, {1.0f, kInf, 2.0f});
    for (const float p : infinite) EXPECT_TRUE(std::isnan(p));
  }
}

TEST(LogSumExp, AgreesWithTheFormulaOnEveryTarget) {
  for (const int64_t width : kWidths) {
    const Rows x = random_rows(3, width, 3, 4.0f);
    std::vector<float> definition;
    for (const Target target : available_targets()) {
      const ScopedTarget forced(target);
      std::vector<float> y(5, kPoison);
      log_sum_exp(x.view, y.data() + 1);
      for (const std::size_t guard : {std::size_t{0}, std::size_t{4}}) {
        EXPECT_EQ(std::bit_cast<uint32_t>(y[guard]), std::bit_cast<uint32_t>(kPoison));
      }
      if (target == Target::scalar) definition = y;
      EXPECT_EQ(first_difference(y, definition), -1) << name(target);
      for (int64_t r = 0; r < 3; ++r) {
        double total = 0;
        for (int64_t i = 0; i < width; ++i) total += std::exp(double{x.view(r, i)});
        EXPECT_NEAR(y[static_cast<std::size_t>(r + 1)], std::log(total),
                    1e-6 * std::max(1.0, std::abs(std::log(total))));
      }
    }
  }
}

TEST(LogSumExp, EdgesOfARow) {
  for (const Target target : available_targets()) {
    const ScopedTarget forced(target);
    const float rows[4][2] = {{-kInf, -kInf}, {kNaN, 1}, {-kInf, 3.5f}, {kInf, 0}};
    float y[4];
    log_sum_exp(View<const float, 2>(&rows[0][0], {4, 2}), y);
    EXPECT_EQ(y[0], -kInf);
    EXPECT_TRUE(std::isnan(y[1]));
    EXPECT_EQ(y[2], 3.5f);
    EXPECT_TRUE(std::isnan(y[3]));
  }
}

// ---- RoPE ----

TEST(RopeTable, HoldsTheRoundedCosinesAndSines) {
  for (const double base : {10000.0, 100000.0, 500000.0}) {
    RopeTable table(64, base);
    table.reserve(300);
    table.reserve(100);  // never shrinks
    ASSERT_EQ(table.positions(), 300);
    for (int64_t position = 0; position < 300; ++position) {
      for (int64_t i = 0; i < 32; ++i) {
        const long double angle =
            position * std::pow(static_cast<long double>(base), -static_cast<long double>(i) / 32);
        EXPECT_NEAR(table.cosines(position)[i], static_cast<double>(std::cos(angle)), 3.1e-8);
        EXPECT_NEAR(table.sines(position)[i], static_cast<double>(std::sin(angle)), 3.1e-8);
      }
    }
  }
}

TEST(RopeTable, GrowsWithoutChangingANumber) {
  RopeTable grown(8, 10000.0);
  for (const int64_t positions : {1, 2, 17, 64}) grown.reserve(positions);
  RopeTable whole(8, 10000.0);
  whole.reserve(64);
  for (int64_t position = 0; position < 64; ++position) {
    for (int64_t i = 0; i < 8; ++i) {
      EXPECT_TRUE(same_bits(grown.cosines(position)[i], whole.cosines(position)[i]));
    }
  }
}

TEST(RopeTable, StaysExactAtAMillion) {
  RopeTable table(4, 10000.0);
  table.reserve(1000001);
  for (const int64_t position : {65536, 131071, 999999, 1000000}) {
    for (int64_t i = 0; i < 2; ++i) {
      const long double angle = position * (i == 0 ? 1.0L : 0.01L);
      // 2^-25 for the rounding to f32, and the f64 angle's own rounding
      EXPECT_NEAR(table.cosines(position)[i], static_cast<double>(std::cos(angle)), 3.0e-8);
      EXPECT_NEAR(table.sines(position)[i], static_cast<double>(std::sin(angle)), 3.0e-8);
    }
  }
}

TEST(RopeTable, DividesByFactorsAndScale) {
  const std::vector<float> factors{1.0f, 2.5f, 8.0f};
  RopeTable table(6, 10000.0, factors, 4.0);
  table.reserve(50);
  for (int64_t position = 0; position < 50; ++position) {
    for (int64_t i = 0; i < 3; ++i) {
      const double angle = static_cast<double>(position) / 4.0 *
                           std::pow(10000.0, -static_cast<double>(i) / 3) /
                           factors[static_cast<std::size_t>(i)];
      EXPECT_NEAR(table.sines(position)[i], std::sin(angle), 3.1e-8);
    }
  }
}

TEST(RopeTable, RefusesWhatItCannotHold) {
  EXPECT_THROW(RopeTable(0, 10000.0), Error);
  EXPECT_THROW(RopeTable(7, 10000.0), Error);
  EXPECT_THROW(RopeTable(-2, 10000.0), Error);
  EXPECT_THROW(RopeTable(8, 0.0), Error);
  EXPECT_THROW(RopeTable(8, kNaN), Error);
  EXPECT_THROW(RopeTable(8, 10000.0, std::vector<float>{1, 2, 3}), Error);
  EXPECT_THROW(RopeTable(4, 10000.0, std::vector<float>{1, 0}), Error);
  EXPECT_THROW(RopeTable(4, 10000.0, {}, kNaN), Error);
  RopeTable fast(4, 10000.0, {}, 1e-9);
  EXPECT_THROW(fast.reserve(100), Error);
}

// x [tokens, heads, dim] with gaps of poison between heads and tokens.
struct Heads {
  std::vector<float> storage;
  View<float, 3> view;
  Heads(int64_t tokens, int64_t heads, int64_t dim)
      : storage(static_cast<std::size_t>(kGuard + tokens * (heads * (dim + 3) + 5) + kGuard),
                kPoison),
        view(storage.data() + kGuard, {tokens, heads, dim}, {heads * (dim + 3) + 5, dim + 3, 1}) {
    std::mt19937_64 random(static_cast<uint64_t>(dim));
    std::normal_distribution<float> normal;
    for (int64_t t = 0; t < tokens; ++t) {
      for (int64_t h = 0; h < heads; ++h) {
        for (int64_t i = 0; i < dim; ++i) view(t, h, i) = normal(random);
      }
    }
  }
  Heads(const Heads& other)
      : storage(other.storage),
        view(storage.data() + kGuard, other.view.shape, other.view.strides) {}
};

TEST(Rope, RotatesBothLayoutsOnEveryTarget) {
  const std::vector<int32_t> positions{0, 1, 17, 400};
  for (const int64_t rotated : {2, 4, 14, 16, 30, 32, 34, 62, 64, 66, 128}) {
    for (const int64_t beyond : {0, 1, 20}) {
      RopeTable table(rotated, 10000.0);
      table.reserve(401);
      for (const RopeLayout layout : {RopeLayout::halves, RopeLayout::pairs}) {
        SCOPED_TRACE("rotated " + std::to_string(rotated) + " beyond " + std::to_string(beyond));
        const Heads before(4, 3, rotated + beyond);
        std::vector<float> definition;
        for (const Target target : available_targets()) {
          const ScopedTarget forced(target);
          Heads x = before;
          rope(x.view, table, positions, layout);
          if (target == Target::scalar) definition = x.storage;
          EXPECT_EQ(first_difference(x.storage, definition), -1) << name(target);
          Heads alone = before;
          for (int64_t t = 0; t < 4; ++t) {
            rope(alone.view.rows(t, 1), table,
                 std::span(positions).subspan(static_cast<std::size_t>(t), 1), layout);
          }
          EXPECT_EQ(first_difference(alone.storage, definition), -1) << name(target);
        }
        // What is not a rotated number keeps its bits; a rotated one obeys the formula.
        std::vector<bool> turned(definition.size(), false);
        for (int64_t t = 0; t < 4; ++t) {
          for (int64_t h = 0; h < 3; ++h) {
            for (int64_t i = 0; i < rotated / 2; ++i) {
              const int64_t first = layout == RopeLayout::halves ? i : 2 * i;
              const int64_t second = layout == RopeLayout::halves ? i + rotated / 2 : 2 * i + 1;
              const double angle =
                  positions[static_cast<std::size_t>(t)] *
                  std::pow(10000.0, -2.0 * static_cast<double>(i) / static_cast<double>(rotated));
              const double a = before.view(t, h, first);
              const double b = before.view(t, h, second);
              const auto offset = [&](int64_t at) {
                return static_cast<std::size_t>(&before.view(t, h, at) - before.storage.data());
              };
              turned[offset(first)] = turned[offset(second)] = true;
              const double size = std::hypot(a, b);
              EXPECT_NEAR(definition[offset(first)], a * std::cos(angle) - b * std::sin(angle),
                          2e-7 * size);
              EXPECT_NEAR(definition[offset(second)], b * std::cos(angle) + a * std::sin(angle),
                          2e-7 * size);
            }
          }
        }
        for (std::size_t i = 0; i < turned.size(); ++i) {
          if (!turned[i]) {
            ASSERT_EQ(std::bit_cast<uint32_t>(definition[i]),
                      std::bit_cast<uint32_t>(before.storage[i]));
          }
        }
      }
    }
  }
}

TEST(Rope, LayoutsAreOnePermutationApart) {
  RopeTable table(64, 10000.0);
  table.reserve(10);
  Heads halves(1, 1, 64);
  Heads pairs(1, 1, 64);
  for (int64_t i = 0; i < 32; ++i) {
    pairs.view(0, 0, 2 * i) = halves.view(0, 0, i);
    pairs.view(0, 0, 2 * i + 1) = halves.view(0, 0, i + 32);
  }
  const std::vector<int32_t> position{9};
  rope(halves.view, table, position, RopeLayout::halves);
  rope(pairs.view, table, position, RopeLayout::pairs);
  for (int64_t i = 0; i < 32; ++i) {
    EXPECT_TRUE(same_bits(pairs.view(0, 0, 2 * i), halves.view(0, 0, i)));
    EXPECT_TRUE(same_bits(pairs.view(0, 0, 2 * i + 1), halves.view(0, 0, i + 32)));
  }
}

TEST(Rope, RefusesPositionsOutsideTheTable) {
  RopeTable table(8, 10000.0);
  table.reserve(4);
  Heads x(1, 1, 8);
  EXPECT_THROW(rope(x.view, table, std::vector<int32_t>{4}, RopeLayout::halves), Error);
  EXPECT_THROW(rope(x.view, table, std::vector<int32_t>{-1}, RopeLayout::halves), Error);
  EXPECT_THROW(rope(x.view, table, std::vector<int32_t>{0, 1}, RopeLayout::halves), Error);
  Heads narrow(1, 1, 6);
  EXPECT_THROW(rope(narrow.view, table, std::vector<int32_t>{0}, RopeLayout::halves), Error);
}

}  // namespace
}  // namespace regard
