// The cross: masks x scores x normalisers x weights x similarities x dtypes x layouts x forms x
// sizes, against the reference: every two options together, and random combinations.
//
//   REGARD_CASE=1.0.4.0.0.0.2.1.3.1.2.1:17 attention_cross_test     one case again, as printed
#include <gtest/gtest.h>

#include "cross_compare.h"
#include "regard/error.h"
#include "simd/target.h"

namespace regard {
namespace {

using namespace regard::testing;

constexpr int kRandomCases = 2000;

std::string forward_complaint(const Case& c) {
  CrossProblem p(c);
  const ScopedTarget forced(p.random.pick(available_targets()));
  const std::string on = " on " + std::string(name(active_target()));
  try {
    const std::string complaint = compare_forward(p, run_forward(p, p.dtypes.out));
    return complaint.empty() ? "" : complaint + on;
  } catch (const Error& error) {
    return error.what() + on;
  }
}

void expect_all(const std::vector<Case>& cases) {
  int wrong = 0;
  for (const Case& c : cases) {
    const std::string complaint = forward_complaint(c);
    if (complaint.empty()) continue;
    ADD_FAILURE() << complaint << "\n  REGARD_CASE=" << describe(c);
    if (++wrong == 20) break;
  }
}

TEST(Cross, EveryTwoOptionsTogether) {
  if (!case_of_environment().empty()) return expect_all(case_of_environment());
  expect_all(covering_cases(1));
}

TEST(Cross, RandomCombinations) {
  if (!case_of_environment().empty()) return;
  Random random(2);
  std::vector<Case> cases;
  for (int n = 0; n < kRandomCases; ++n) cases.push_back(random_case(random));
  expect_all(cases);
}

// The cross must be able to fail: a result with one wrong number is found.
TEST(Cross, FindsOneWrongNumber) {
  Case c;
  c.seed = 5;
  CrossProblem p(c);
  ForwardResult r = run_forward(p, DType::f32);
  EXPECT_EQ(compare_forward(p, r), "");
  r.out.set(0, 0, 0, 0, r.out.get(0, 0, 0, 0) + 1e-5);
  EXPECT_NE(compare_forward(p, r), "");
}

TEST(Cross, CasesAreMadeAgainFromTheirLine) {
  Random random(3);
  const Case c = random_case(random);
  setenv("REGARD_CASE", key_of(c).c_str(), 1);
  EXPECT_EQ(key_of(case_of_environment().at(0)), key_of(c));
  unsetenv("REGARD_CASE");
}

}  // namespace
}  // namespace regard
