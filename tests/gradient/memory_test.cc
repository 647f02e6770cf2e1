// What a backward pass says it needs, and what it takes.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <string>
#include <vector>

#include "gradient/backward_pass.h"

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

std::vector<std::pair<const char*, AttentionOptions>> every_normaliser() {
  return {{"softmax", {.mask = causal()}},
          {"sigmoid", {.normaliser = sigmoid()}},
          {"relu", {.normaliser = relu()}},
          {"sparsemax", {.mask = causal(), .normaliser = sparsemax()}},
          {"entmax", {.normaliser = entmax15()}},
          {"hardmax", {.normaliser = hardmax()}},
          {"squares", {.weight = program::weight() * program::weight()}},
          {"cosine", {.similarity = cosine()}}};
}

int64_t stated(int64_t n, const AttentionOptions& options, int threads) {
  Numbers numbers(n, 2, 16);
  const Recipe recipe = make_recipe(options, 2, 16, 16);
  const Segment whole{.rows = n, .keys = n};
  return BackwardPass(numbers.arrays(), {&whole, 1}, recipe, {}, threads).workspace_bytes();
}

TEST(BackwardMemory, GrowsWithTheRowsAndNotWithThePairs) {
  for (const auto& [what, options] : every_normaliser()) {
    const int64_t small = stated(8192, options, 2), large = stated(16384, options, 2);
    EXPECT_LE(large, 2 * small) << what;
    EXPECT_LT(large, int64_t{16384} * 16384 * 4 / 16) << what;
  }
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kShadowed = true;  // a sanitizer's own memory comes on top
#else
constexpr bool kShadowed = false;
#endif

// Kilobytes of a line of /proc/self/status.
int64_t status(const std::string& name) {
  std::FILE* const file = std::fopen("/proc/self/status", "r");
  if (file == nullptr) return -1;
  char line[256];
  long found = -1;
  while (std::fgets(line, sizeof line, file) != nullptr) {
    if (std::string(line).rfind(name, 0) == 0) std::sscanf(line + name.size(), ":%ld", &found);
  }
  std::fclose(file);
  return found;
}

TEST(BackwardMemory, TakesNoMoreThanItSays) {
  std::FILE* const reset = std::fopen("/proc/self/clear_refs", "w");
  if (kShadowed || reset == nullptr) GTEST_SKIP() << "the peak of this process cannot be measured";
  std::fclose(reset);
  for (const auto& [what, options] : every_normaliser()) {
    Numbers numbers(2048, 2, 16);
    const Recipe recipe = make_recipe(options, 2, 16, 16);
    const Segment whole{.rows = 2048, .keys = 2048};
    ThreadPool pool(2);
    BackwardPass(numbers.arrays(), {&whole, 1}, recipe, {}, 2)
        .run(pool);  // code comes to memory too
    Arena::global().trim();
    std::FILE* const clear = std::fopen("/proc/self/clear_refs", "w");
    std::fputs("5", clear);  // the peak begins anew
    std::fclose(clear);
    const int64_t before = status("VmRSS");
    BackwardPass pass(numbers.arrays(), {&whole, 1}, recipe, {}, 2);
    pass.run(pool);
    const int64_t grown = (status("VmHWM") - before) * 1024;
    EXPECT_LE(grown, pass.workspace_bytes() * 105 / 100 + (256 << 10)) << what;
  }
}

}  // namespace
}  // namespace regard
