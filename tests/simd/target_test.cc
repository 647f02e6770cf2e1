// The choice of a target: what is forced really runs, and what is absent is refused.
#include "simd/target.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "regard/error.h"

namespace regard {
namespace {

// In a fresh process, where nothing has chosen a target yet: exit code 0 when REGARD_TARGET=value
// ran `wanted`, 1 when it ran another, 3 with the message on stderr when it was refused.
[[noreturn]] void start_with(const char* value, Target wanted) {
  setenv("REGARD_TARGET", value, 1);
  try {
    std::exit(active_target() == wanted && compiled_target() == wanted ? 0 : 1);
  } catch (const Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    std::exit(error.kind() == ErrorKind::invalid_argument ? 3 : 2);
  }
}

TEST(Target, ScalarIsAlwaysThereAndFirst) {
  ASSERT_FALSE(available_targets().empty());
  EXPECT_EQ(available_targets().front(), Target::scalar);
}

TEST(Target, ForcedTargetReallyRuns) {
  const Target before = active_target();
  for (const Target target : available_targets()) {
    const ScopedTarget forced(target);
    EXPECT_EQ(active_target(), target);
    EXPECT_EQ(compiled_target(), target) << name(target);
  }
  EXPECT_EQ(active_target(), before);
}

TEST(Target, ScopedTargetsNest) {
  const ScopedTarget outer(available_targets().back());
  {
    const ScopedTarget inner(Target::scalar);
    EXPECT_EQ(compiled_target(), Target::scalar);
  }
  EXPECT_EQ(compiled_target(), available_targets().back());
  EXPECT_EQ(active_target(), available_targets().back());
}

TEST(Target, AbsentTargetIsRefused) {
  int refused = 0;
  for (const Target target : {Target::scalar, Target::avx2, Target::avx512, Target::neon}) {
    const auto& have = available_targets();
    if (std::find(have.begin(), have.end(), target) != have.end()) continue;
    ++refused;
    const Target before = active_target();
    try {
      const ScopedTarget forced(target);
      ADD_FAILURE() << name(target);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::invalid_argument);
      EXPECT_NE(std::string(error.what()).find(name(target)), std::string::npos);
    }
    EXPECT_EQ(active_target(), before);
  }
  EXPECT_GE(refused, 1);  // no machine has both AVX2 and NEON
}

TEST(TargetDeathTest, EnvironmentForcesEachTarget) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  for (const Target target : available_targets()) {
    EXPECT_EXIT(start_with(std::string(name(target)).c_str(), target), testing::ExitedWithCode(0),
                "");
  }
}

TEST(TargetDeathTest, EmptyEnvironmentMeansTheBest) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(start_with("", available_targets().back()), testing::ExitedWithCode(0), "");
}

TEST(TargetDeathTest, UnknownEnvironmentIsAnErrorThatListsTheTargets) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(start_with("sse9", Target::scalar), testing::ExitedWithCode(3),
              "REGARD_TARGET: 'sse9' is not a target of this machine; it has scalar");
  EXPECT_EXIT(start_with("AVX2", Target::scalar), testing::ExitedWithCode(3), "'AVX2'");
}

}  // namespace
}  // namespace regard
