// What a backward pass says it needs, and what it takes.
#include <gtest/gtest.h>

#include <vector>

#include "base/peak_memory.h"
#include "gradient/backward_pass.h"
#include "reference/normalisers.h"

namespace regard {
namespace {

struct Numbers {
  int64_t tokens, heads, dim;
  std::vector<float> q, k, v, out, dout, lse, dq, dk, dv;
  Numbers(int64_t n, int64_t h, int64_t d) : tokens(n), heads(h), dim(d) {
    const auto size = static_cast<std::size_t>(n * h * d);
    for (auto* x : {&q, &k, &v, &out, &dout}) x->assign(size, 0.25f);
    lse.assign(static_cast<std::size_t>(n * h), 9.0f);
    for (auto* x : {&dq, &dk, &dv}) x->assign(size, 7.0f);
  }
  BackwardArrays arrays() {
    const auto in = [&](const std::vector<float>& x) {
      return InputView<4>(x.data(), {1, tokens, heads, dim});
    };
    const auto to = [&](std::vector<float>& x) {
      return OutputView<4>(x.data(), {1, tokens, heads, dim});
    };
    return {in(q),  in(k),  in(v), in(out), in(dout), {lse.data(), {1, tokens, heads}},
            to(dq), to(dk), to(dv)};
  }
};

std::vector<std::pair<const char*, AttentionOptions>> every_way() {
  std::vector<std::pair<const char*, AttentionOptions>> ways;
  for (const auto& [name, normaliser] : testing::every_normaliser()) {
    ways.push_back({name, {.normaliser = normaliser}});
  }
  ways.push_back({"causal", {.mask = causal()}});
  ways.push_back({"squares", {.weight = program::weight() * program::weight()}});
  ways.push_back({"cosine", {.similarity = cosine()}});
  return ways;
}

int64_t stated(int64_t n, const AttentionOptions& options, int threads) {
  Numbers numbers(n, 2, 16);
  const Recipe recipe = make_recipe(options, 2, 16, 16);
  const Segment whole{.rows = n, .keys = n};
  return BackwardPass(numbers.arrays(), {&whole, 1}, recipe, {}, threads).workspace_bytes();
}

TEST(BackwardMemory, GrowsWithTheRowsAndNotWithThePairs) {
  for (const auto& [what, options] : every_way()) {
    const int64_t small = stated(8192, options, 2), large = stated(16384, options, 2);
    EXPECT_LE(large, 2 * small) << what;
    EXPECT_LT(large, int64_t{16384} * 16384 * 4 / 16) << what;
  }
}

TEST(BackwardMemory, TakesNoMoreThanItSays) {
  if (!testing::forget_peak()) GTEST_SKIP() << "the peak of this process cannot be measured";
  for (const auto& [what, options] : every_way()) {
    Numbers numbers(2048, 2, 16);
    const Recipe recipe = make_recipe(options, 2, 16, 16);
    const Segment whole{.rows = 2048, .keys = 2048};
    ThreadPool pool(2);
    int64_t stated = 0;
    const auto run = [&] {
      BackwardPass pass(numbers.arrays(), {&whole, 1}, recipe, {}, 2);
      stated = pass.workspace_bytes();
      pass.run(pool);
    };
    run();  // code comes to memory too
    EXPECT_LE(testing::peak_growth(run), stated * 105 / 100 + (256 << 10)) << what;
  }
}

}  // namespace
}  // namespace regard
