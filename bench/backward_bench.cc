// attention_backward on the shapes of PEERS.md: GFLOP/s of its five products (10 B Hq Sq Sk D, half
// for causal) and the share of the FMA peak that the same run measures, before and after.
//
//   cmake --build build/release --target backward_bench
// Then what else a backward pass may be asked for, as a multiple of the time of plain softmax with
// the same pairs allowed.
//
//   build/release/bench/backward_bench [THREADS] [REPEATS] [NAME...]
//
// On an idle machine only. REGARD_TARGET=avx2 measures another target.
// Measured (EPYC of 2024, AVX-512, two threads, peak 550 to 578 GFLOP/s): full 78 %, causal 77 %,
// grouped 79 %, short 60 to 65 %, long 82 %, one_head 85 %, one_causal 76 %; torch 2.15 in the same
// hour 188, 143, 154, 81 and 183 GFLOP/s on the first five, 0.25 to 0.44 of these. For each allowed
// pair: bf16 0.98 of f32, documents 1.5, softcap 1.2, T5 with its table's gradient 2.3, a bias with
// its gradient 2.1.
// Tried: row numbers found inside the tasks of short sequences, and their next rows asked for
// across tasks: within noise. Columns outside in gather_over_keys: 1 % slower. Without asking ahead
// for rows: full 74 %, short 53 %. A workspace of fresh pages at each call: short 4 % slower.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "base/threads.h"
#include "kernels/ceiling.h"
#include "regard/attention.h"
#include "simd/target.h"

namespace regard {
namespace {

struct Shape {
  const char* name;
  int64_t batch, heads, kv_heads, length, dim;
  bool causal;
};
constexpr Shape kShapes[] = {
    {"full", 1, 12, 12, 2048, 64, false},    {"causal", 1, 12, 12, 2048, 64, true},
    {"grouped", 1, 32, 8, 2048, 128, true},  {"short", 4, 12, 12, 512, 64, true},
    {"long", 1, 2, 2, 4096, 64, false},      {"one_head", 1, 1, 1, 4096, 64, false},
    {"one_causal", 1, 1, 1, 4096, 64, true},
};

// Numbers between -√3 and √3, of variance 1.
std::vector<float> numbers(uint64_t seed, int64_t count) {
  std::vector<float> x(static_cast<std::size_t>(count));
  for (float& value : x) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    value = (static_cast<float>(seed >> 40) * 0x1p-23f - 1.0f) * 1.7320508f;
  }
  return x;
}

// What the pass does besides plain softmax; pairs: the share of pairs that its mask allows.
struct Extra {
  const char* name;
  AttentionOptions options;
  double pairs = 1;
  DType dtype = DType::f32;
  std::vector<Array> wanted = {};
};

std::vector<Extra> extras(const Shape& s) {
  using namespace program;
  const auto zeros = [](const char* name, std::vector<int64_t> shape) {
    int64_t size = 1;
    for (const int64_t extent : shape) size *= extent;
    return Array::of(name, std::vector<float>(static_cast<std::size_t>(size)), shape, true);
  };
  const auto n = static_cast<double>(s.length);
  const Array slopes = zeros("slopes", {s.heads}), bias = zeros("bias", {s.length, s.length});
  const Array table = zeros("table", {32, s.heads});
  std::vector<int32_t> ids(static_cast<std::size_t>(s.length));
  for (int64_t i = 0; i < s.length; ++i)
    ids[static_cast<std::size_t>(i)] = int32_t(i * 8 / s.length);
  return {
      {"bf16", {}, 1, DType::bf16},
      {"causal", {.mask = causal()}, 0.5},
      {"window of 256", {.mask = causal() & window(255, 0)}, 256 / n},
      {"8 documents", {.mask = documents(Array::of("ids", ids))}, 0.125},
      {"softcap", {.score = softcap(30.0f)}},
      {"ALiBi", {.score = alibi(slopes)}},
      {"ALiBi, slopes wanted", {.score = alibi(slopes)}, 1, DType::f32, {slopes}},
      {"T5 bias wanted", {.score = t5_bias(table, 32, 128, true)}, 1, DType::f32, {table}},
      {"bias", {.score = additive_bias(bias)}},
      {"bias wanted", {.score = additive_bias(bias)}, 1, DType::f32, {bias}},
      {"dropout", {.weight = dropout(0.1f, 1)}},
      {"sigmoid", {.normaliser = sigmoid()}},
      {"relu", {.normaliser = relu()}},
      {"sparsemax", {.normaliser = sparsemax()}},
      {"entmax15", {.normaliser = entmax15()}},
      {"cosine", {.similarity = cosine()}},
      {"distance", {.similarity = negative_distance()}},
      {"additive", {.similarity = additive(zeros("v", {s.dim}))}},
  };
}

void measure_extras(int threads, int repeats, const std::string& only) {
  const Shape s{"", 1, 12, 12, 2048, 64, false};
  const int64_t size = s.length * s.heads * s.dim;
  std::vector<float> x[5], lse(static_cast<std::size_t>(s.length * s.heads), 5.0f);
  for (uint64_t i = 0; i < 5; ++i) x[i] = numbers(i, size);
  std::vector<float> gradients[3];
  for (auto& g : gradients) g.resize(static_cast<std::size_t>(size));
  std::vector<bf16> narrow[8];
  for (std::size_t i = 0; i < 8; ++i) {
    narrow[i].resize(static_cast<std::size_t>(size));
    for (int64_t n = 0; i < 5 && n < size; ++n) narrow[i][n] = to_bf16(x[i][n]);
  }
  const auto seconds = [&](const Extra& extra) {
    AttentionOptions options = extra.options;
    options.threads = threads;
    std::vector<std::vector<float>> sums;
    std::vector<ArrayGradient> wanted;
    for (const Array& array : extra.wanted) {
      int64_t count = 1;
      for (int axis = 0; axis < array.rank(); ++axis) count *= array.shape(axis);
      sums.emplace_back(static_cast<std::size_t>(count));
      wanted.push_back({array, sums.back().data(), {}});
    }
    const auto at = [&](std::size_t i) {
      const View<const bf16, 3> half(narrow[i].data(), {s.length, s.heads, s.dim});
      return extra.dtype == DType::bf16 ? InputView<3>(half)
                                        : InputView<3>(x[i].data(), {s.length, s.heads, s.dim});
    };
    const auto to = [&](std::size_t i) {
      const View<bf16, 3> half(narrow[5 + i].data(), {s.length, s.heads, s.dim});
      return extra.dtype == DType::bf16
                 ? OutputView<3>(half)
                 : OutputView<3>(gradients[i].data(), {s.length, s.heads, s.dim});
    };
    double best = INFINITY;
    for (int i = 0; i < repeats; ++i) {
      const auto begin = std::chrono::steady_clock::now();
      attention_backward(at(0), at(1), at(2), at(3),
                         View<const float, 2>(lse.data(), {s.length, s.heads}), at(4), to(0), to(1),
                         to(2), options, wanted);
      const std::chrono::duration<double> time = std::chrono::steady_clock::now() - begin;
      best = std::min(best, time.count());
    }
    return best;
  };
  const double plain = seconds({"plain", {}});
  for (const Extra& extra : extras(s)) {
    if (!only.empty() && only != extra.name) continue;
    const double time = seconds(extra);
    fmt::print("{:22} {:8.2f} ms, {:.2f} x plain for each allowed pair\n", extra.name, time * 1e3,
               time / plain / extra.pairs);
  }
}

void measure(const Shape& s, int threads, int repeats, double peak) {
  const int64_t rows = s.batch * s.length;
  const std::vector<float> q = numbers(1, rows * s.heads * s.dim);
  const std::vector<float> k = numbers(2, rows * s.kv_heads * s.dim);
  const std::vector<float> v = numbers(3, rows * s.kv_heads * s.dim);
  const std::vector<float> dout = numbers(4, rows * s.heads * s.dim);
  std::vector<float> out(q.size()), lse(static_cast<std::size_t>(rows * s.heads));
  std::vector<float> dq(q.size()), dk(k.size()), dv(k.size());
  const AttentionOptions options{.mask = s.causal ? causal() : full(), .threads = threads};
  const auto at = [&](auto& x, int64_t heads) {
    return View<std::remove_pointer_t<decltype(x.data())>, 4>(x.data(),
                                                              {s.batch, s.length, heads, s.dim});
  };
  const View<float, 3> lse_view(lse.data(), {s.batch, s.length, s.heads});
  for (int64_t b = 0; b < s.batch; ++b) {
    const auto of = [&](const auto& view) {
      using Element = std::remove_pointer_t<decltype(view.data)>;
      return View<Element, 3>(view.data + b * view.strides[0],
                              {view.shape[1], view.shape[2], view.shape[3]});
    };
    attention(of(at(q, s.heads)), of(at(k, s.kv_heads)), of(at(v, s.kv_heads)),
              of(at(out, s.heads)), options,
              View<float, 2>(lse.data() + b * s.length * s.heads, {s.length, s.heads}));
  }
  double best = INFINITY;
  for (int i = 0; i < repeats; ++i) {
    const auto begin = std::chrono::steady_clock::now();
    attention_backward(at(q, s.heads), at(k, s.kv_heads), at(v, s.kv_heads), at(out, s.heads),
                       lse_view, at(dout, s.heads), at(dq, s.heads), at(dk, s.kv_heads),
                       at(dv, s.kv_heads), options);
    const std::chrono::duration<double> time = std::chrono::steady_clock::now() - begin;
    best = std::min(best, time.count());
  }
  const double flops =
      10.0 * static_cast<double>(rows * s.heads * s.length * s.dim) * (s.causal ? 0.5 : 1.0);
  fmt::print("{:10} B{} {}/{} {}x{} D{} {}: {:.2f} ms, {:.0f} GFLOP/s, {:.1f} % of peak\n", s.name,
             s.batch, s.heads, s.kv_heads, s.length, s.length, s.dim, s.causal ? "causal" : "full",
             best * 1e3, flops / best / 1e9, flops / best / 1e7 / peak);
}

}  // namespace
}  // namespace regard

int main(int argc, char** argv) {
  using namespace regard;
  const int threads = argc > 1 ? std::atoi(argv[1]) : 2;
  const int repeats = argc > 2 ? std::atoi(argv[2]) : 5;
  ThreadPool pool(threads);
  const double peak = measure_fma_peak(pool);
  fmt::print("target {}, {} threads, FMA peak {:.0f} GFLOP/s\n", name(active_target()),
             pool.threads(), peak);
  for (const Shape& shape : kShapes) {
    bool wanted = argc <= 3;
    for (int i = 3; i < argc; ++i) wanted |= std::string(argv[i]) == shape.name;
    if (wanted) measure(shape, threads, repeats, peak);
  }
  if (argc <= 3 || std::string(argv[3]) == "extras") {
    measure_extras(threads, repeats, argc > 4 ? argv[4] : "");
  }
  fmt::print("FMA peak {:.0f} GFLOP/s\n", measure_fma_peak(pool));
}
