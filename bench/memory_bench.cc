// What attention takes besides its arrays, forwards and backwards, for every normaliser: the bytes
// that the plan states, and by how much the process grew at most while it ran. Every pair of n rows
// and n keys is used; a matrix of all pairs would be 8 GiB at 16k.
//
//   cmake --build build/release --target memory_bench
//   build/release/bench/memory_bench [N] [THREADS] [NAME...]     16384 rows and keys, 2 threads
//
// Growth may exceed what is stated by 5 %; the last column is growth per stated byte. The stated
// bytes of n / 2 stand beside: they must not be less than half.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "base/peak_memory.h"
#include "base/threads.h"
#include "gradient/backward_pass.h"
#include "reference/normalisers.h"
#include "regard/attention.h"
#include "regard/attention_plan.h"

namespace regard {
namespace {

constexpr int64_t kHeads = 8, kDim = 64;

struct Arrays {
  int64_t n;
  std::vector<float> q, k, v, out, dout, lse, dq, dk, dv;
  explicit Arrays(int64_t tokens) : n(tokens) {
    const auto size = static_cast<std::size_t>(n * kHeads * kDim);
    uint32_t seed = 1;
    for (auto* x : {&q, &k, &v, &out, &dout, &dq, &dk, &dv}) {
      x->resize(size);
      for (float& value : *x) {
        seed = seed * 1664525u + 1013904223u;
        value = static_cast<float>(seed >> 8) * 0x1p-23f - 1.0f;
      }
    }
    lse.assign(static_cast<std::size_t>(n * kHeads), 7.0f);
  }
  View<const float, 3> in(const std::vector<float>& x) const {
    return {x.data(), {n, kHeads, kDim}};
  }
  View<float, 3> to(std::vector<float>& x) const { return {x.data(), {n, kHeads, kDim}}; }
  View<float, 2> lse_of(const AttentionOptions& options) {
    const bool has = options.normaliser.kind == Normaliser::Kind::softmax;
    return {has ? lse.data() : nullptr, {n, kHeads}};
  }
};

int64_t forward_stated(int64_t n, const AttentionOptions& options) {
  const Segment whole{.rows = n, .keys = n};
  return AttentionPlan({kHeads, kHeads, kDim, kDim}, {&whole, 1}, options).workspace_bytes();
}

int64_t backward_stated(int64_t n, const AttentionOptions& options) {
  static float some[4] = {};
  const std::array<int64_t, 4> shape{1, n, kHeads, kDim};
  const InputView<4> in(View<const float, 4>(some, shape));
  const OutputView<4> to(View<float, 4>(some, shape));
  const bool has_lse = options.normaliser.kind == Normaliser::Kind::softmax;
  const View<const float, 3> lse(has_lse ? some : nullptr, {1, n, kHeads});
  const Segment whole{.rows = n, .keys = n};
  return BackwardPass({in, in, in, in, in, lse, to, to, to}, {&whole, 1},
                      make_recipe(options, kHeads, kDim, kDim), {}, options.threads)
      .workspace_bytes();
}

void forward(Arrays& a, const AttentionOptions& options) {
  attention(a.in(a.q), a.in(a.k), a.in(a.v), a.to(a.out), options, a.lse_of(options));
}
void backward(Arrays& a, const AttentionOptions& options) {
  attention_backward(a.in(a.q), a.in(a.k), a.in(a.v), a.in(a.out), a.lse_of(options), a.in(a.dout),
                     a.to(a.dq), a.to(a.dk), a.to(a.dv), options);
}

template <class Call>
void measure(const char* name, const char* way, Arrays& few, Arrays& all, const Call& call,
             int64_t stated, int64_t stated_of_half) {
  // Code and threads come to memory too, and the kernel counts pages in batches: what the process
  // holds is known only once some have passed.
  for (int i = 0; i < 3; ++i) testing::peak_growth([&] { call(few); });
  const int64_t grown = testing::peak_growth([&] { call(all); });
  fmt::print("{:<16} {:<9} {:>10} {:>10} {:>10} {:>7.2f}\n", name, way, stated_of_half >> 10,
             stated >> 10, grown >> 10, static_cast<double>(grown) / static_cast<double>(stated));
  std::fflush(stdout);
}

int run(int64_t n, int threads, const std::vector<std::string>& names) {
  if (!testing::forget_peak()) {
    fmt::print(stderr, "memory_bench: the peak of this process cannot be measured\n");
    return 1;
  }
  Arrays few(2048), all(n);
  fmt::print("{} x {}, {} heads, dim {}, {} threads; KiB\n", n, n, kHeads, kDim, threads);
  fmt::print("{:<16} {:<9} {:>10} {:>10} {:>10} {:>7}\n", "", "", "n/2 states", "n states", "grown",
             "share");
  for (const auto& [name, normaliser] : testing::every_normaliser()) {
    if (!names.empty() && std::find(names.begin(), names.end(), name) == names.end()) continue;
    const AttentionOptions options{.normaliser = normaliser, .threads = threads};
    measure(
        name, "forward", few, all, [&](Arrays& a) { forward(a, options); },
        forward_stated(n, options), forward_stated(n / 2, options));
    measure(
        name, "backward", few, all, [&](Arrays& a) { backward(a, options); },
        backward_stated(n, options), backward_stated(n / 2, options));
  }
  return 0;
}

}  // namespace
}  // namespace regard

int main(int count, char** arguments) {
  const int64_t n = count > 1 ? std::atoll(arguments[1]) : 16384;
  const int threads = count > 2 ? std::atoi(arguments[2]) : 2;
  return regard::run(n, threads, {arguments + std::min(count, 3), arguments + count});
}
