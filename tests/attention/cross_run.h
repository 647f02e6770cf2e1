// Runs cases of the cross, each on a target of its own choice, and reports those that fail with the
// line that makes them again.
#pragma once

#include <gtest/gtest.h>

#include "cross_case.h"
#include "regard/error.h"
#include "simd/target.h"

namespace regard::testing {

constexpr int kRandomCases = 2000;

// complaint_about(case): empty, or what is wrong.
template <class Complain>
void expect_all(const std::vector<Case>& cases, const Complain& complaint_about) {
  int wrong = 0;
  for (const Case& c : cases) {
    Random random(c.seed + 77);
    const ScopedTarget forced(random.pick(available_targets()));
    std::string complaint;
    try {
      complaint = complaint_about(c);
    } catch (const Error& error) {
      complaint = error.what();
    }
    if (complaint.empty()) continue;
    ADD_FAILURE() << complaint << " on " << name(active_target())
                  << "\n  REGARD_CASE=" << describe(c);
    if (++wrong == 20) return;
  }
}

// The case that REGARD_CASE names, or the covering set.
template <class Complain>
void expect_every_two(const Complain& complaint_about) {
  const std::vector<Case> named = case_of_environment();
  expect_all(named.empty() ? covering_cases(1) : named, complaint_about);
}

template <class Complain>
void expect_random(uint64_t seed, const Complain& complaint_about) {
  if (!case_of_environment().empty()) return;
  Random random(seed);
  std::vector<Case> cases;
  for (int n = 0; n < kRandomCases; ++n) cases.push_back(random_case(random));
  expect_all(cases, complaint_about);
}

}  // namespace regard::testing
