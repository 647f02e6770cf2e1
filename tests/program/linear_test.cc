// Weight programs that are a multiple of the weight are told from those that are not.
#include "program/linear.h"

#include <gtest/gtest.h>

#include <cmath>

#include "expr/random_program.h"
#include "regard/program.h"

namespace regard {
namespace {

using namespace regard::program;

TEST(LinearWeight, KnowsMultiples) {
  const Array table = Array::of("table", std::vector<float>(16, 0.5f));
  const Expr p = weight();
  for (const Expr& linear :
       {Expr(), p, -p, p * 2, 0.5 * p, p / 3, p * query() / (key() + 1), p + p, 2 * p - p * head(),
        Expr(0.0), p - 0.0, dropout(0.25f, 7), dropout(0, 7), dropout(1, 7), p * table(head()),
        where(key() > query(), p * 2, where(key() == 3, 0.0, -p)), p * exp(query() * -0.1),
        p * (row() % 2), where(uniform(3) < 0.5, p, p / 2)}) {
    EXPECT_TRUE(is_linear_weight(linear)) << to_string(linear);
  }
}

TEST(LinearWeight, KnowsWhatIsNone) {
  const Array table = Array::of("table", std::vector<float>(16, 0.5f));
  const Expr p = weight();
  for (const Expr& other :
       {p * p, p + 1, p + query(), Expr(1.0), to_real(query()), 1 / p, p / p, sqrt(p), max(p, 0.5),
        abs(p), where(p > 0.5, p, 0.0), where(key() > 3, p, 1.0), floor(p), tanh(p),
        p - 0.5 * p + 1, where(key() > query(), p, table(head())), exp(log(p)), mod(p, 1.0),
        p * (p > 0)}) {
    EXPECT_FALSE(is_linear_weight(other)) << to_string(other);
  }
}

// Whatever is called linear is 0 at 0 and doubles with p.
TEST(LinearWeight, HoldsForRandomPrograms) {
  int linear = 0;
  for (uint64_t seed = 0; seed < 4000; ++seed) {
    testing::RandomProgram random(seed, false);
    const Expr e = random.pick(2) == 0 ? random.real(1 + random.pick(3))
                                       : where(random.boolean(1), weight() * random.real(1), 0.0);
    if (!is_linear_weight(e)) continue;
    Evaluator at(e);
    for (int k = 0; k < 10; ++k) {
      Point point{.s = 0, .head = random.pick(4), .i = random.pick(40), .j = random.pick(40)};
      const double zero = at(point);
      point.s = 0.25;
      const double once = at(point);
      point.s = 0.5;
      const double twice = at(point);
      if (!std::isfinite(once)) continue;  // a factor is NaN or infinite
      ASSERT_EQ(zero, 0) << to_string(e);
      ASSERT_NEAR(twice, 2 * once, 1e-12 * std::abs(once)) << to_string(e);
      ++linear;
    }
  }
  EXPECT_GT(linear, 100);
}

}  // namespace
}  // namespace regard
