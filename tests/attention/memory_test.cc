// What a plan says it needs, and what a forward pass takes; gradient/memory_test.cc does the same
// for the backward pass, bench/memory_bench.cc for 16k x 16k.
#include <gtest/gtest.h>

#include "base/peak_memory.h"
#include "owned.h"
#include "reference/normalisers.h"
#include "regard/attention_plan.h"

namespace regard {
namespace {

using namespace regard::testing;

constexpr int64_t kHeads = 8, kDim = 16;

std::vector<std::pair<const char*, AttentionOptions>> every_way() {
  std::vector<std::pair<const char*, AttentionOptions>> ways;
  for (const auto& [name, normaliser] : every_normaliser()) {
    ways.push_back({name, {.normaliser = normaliser, .threads = 2}});
  }
  ways.push_back({"causal", {.mask = causal(), .threads = 2}});
  ways.push_back({"squares", {.weight = program::weight() * program::weight(), .threads = 2}});
  return ways;
}

AttentionPlan plan_of(int64_t n, const AttentionOptions& options) {
  const Segment whole{.rows = n, .keys = n};
  return {{kHeads, kHeads, kDim, kDim}, {&whole, 1}, options};
}

TEST(Memory, GrowsWithTheRowsAndNotWithThePairs) {
  for (const auto& [name, options] : every_way()) {
    SCOPED_TRACE(name);
    const int64_t small = plan_of(4096, options).workspace_bytes();
    const int64_t middle = plan_of(8192, options).workspace_bytes();
    const int64_t large = plan_of(16384, options).workspace_bytes();
    EXPECT_LE(middle, 2 * small);
    EXPECT_LE(large, 2 * middle);
    EXPECT_LT(large, kHeads * 16384 * 16384 * 4 / 128);
  }
}

TEST(Memory, ARunTakesNoMoreThanItsPlanSays) {
  if (!forget_peak()) GTEST_SKIP() << "the peak of this process cannot be measured";
  constexpr int64_t n = 2048;
  const Floats ones(n, kHeads, kDim, 0.25f);
  Floats out(n, kHeads, kDim, 7);
  for (const auto& [name, options] : every_way()) {
    SCOPED_TRACE(name);
    int64_t stated = 0;
    const auto run = [&] {
      AttentionPlan plan = plan_of(n, options);
      stated = plan.workspace_bytes();
      plan.run(ones.view(), ones.view(), ones.view(), out.view());
    };
    run();  // code and threads come to memory too
    EXPECT_LE(peak_growth(run), stated * 105 / 100 + (256 << 10));
    EXPECT_GT(stated, 64 << 10);
  }
}

}  // namespace
}  // namespace regard
