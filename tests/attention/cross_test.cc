// The cross: masks x scores x normalisers x weights x similarities x dtypes x layouts x forms x
// sizes, against the reference: every two options together, and random combinations.
//
//   REGARD_CASE=1.0.4.0.0.0.2.1.3.1.2.1:17 attention_cross_test     one case again, as printed
#include <set>

#include "cross_compare.h"
#include "cross_run.h"

namespace regard {
namespace {

using namespace regard::testing;

std::string forward_complaint(const Case& c) {
  const CrossProblem p(c);
  return compare_forward(p, run_forward(p, p.dtypes.out));
}

TEST(Cross, EveryTwoOptionsTogether) { expect_every_two(forward_complaint); }
TEST(Cross, RandomCombinations) { expect_random(2, forward_complaint); }

// The cross must be able to fail: a result with one wrong number is found.
TEST(Cross, FindsOneWrongNumber) {
  Case c;
  c.seed = 5;
  const CrossProblem p(c);
  ForwardResult r = run_forward(p, DType::f32);
  EXPECT_EQ(compare_forward(p, r), "");
  r.out.set(0, 0, 0, 0, r.out.get(0, 0, 0, 0) + 1e-5);
  EXPECT_NE(compare_forward(p, r), "");
}

TEST(Cross, CasesAreMadeAgainFromTheirLine) {
  if (!case_of_environment().empty()) return;
  Random random(3);
  const Case c = random_case(random);
  setenv("REGARD_CASE", key_of(c).c_str(), 1);
  EXPECT_EQ(key_of(case_of_environment().at(0)), key_of(c));
  unsetenv("REGARD_CASE");
}

TEST(Cross, CoversEveryTwoOptions) {
  std::set<std::array<int, 4>> seen;
  for (const Case& c : covering_cases(1)) {
    for (int a = 0; a < static_cast<int>(kAxes); ++a)
      for (int b = a + 1; b < static_cast<int>(kAxes); ++b)
        seen.insert(
            {a, c.choice[static_cast<std::size_t>(a)], b, c.choice[static_cast<std::size_t>(b)]});
  }
  std::size_t pairs = 0;
  for (std::size_t a = 0; a < kAxes; ++a)
    for (std::size_t b = a + 1; b < kAxes; ++b) pairs += choices()[a].size() * choices()[b].size();
  EXPECT_EQ(seen.size(), pairs);
}

}  // namespace
}  // namespace regard
