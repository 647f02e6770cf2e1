// The kernels one by one, each beside what it could reach: linear layers in every weight format for
// one row (bound by reading) and for many (bound by multiply-adds), row and element kernels, the
// fork and join of the pool.
//
//   cmake --build build/release --target kernels_bench && build/release/bench/kernels_bench
//
// The ceilings of the same machine stand in the header that the program prints. On an idle machine
// only, and quote both from one run. REGARD_TARGET=avx2 measures another target.
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <cstdint>
#include <vector>

#include "base/threads.h"
#include "kernels/ceiling.h"
#include "kernels/elementwise.h"
#include "matmul/matmul.h"
#include "simd/target.h"

namespace regard {
namespace {

constexpr int kThreads = 0;  // all cores

ThreadPool& pool() {
  static ThreadPool shared(kThreads);
  return shared;
}

// Numbers in (-1, 1) from a fixed sequence.
std::vector<float> numbers(int64_t count) {
  std::vector<float> out(static_cast<size_t>(count));
  uint64_t state = 1;
  for (float& x : out) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    x = static_cast<float>(static_cast<int64_t>(state) >> 40) * 0x1p-23f;
  }
  return out;
}

// y = x Wᵀ with rows of x; W [1536, 768], a linear layer of a small model.
void linear(benchmark::State& state, DType dtype, int64_t rows) {
  constexpr int64_t kOutputs = 1536, kInputs = 768;  // a multiple of every format's block
  // Small bytes: whatever scales they make are finite.
  const std::vector<std::byte> blocks(static_cast<size_t>(kOutputs * row_bytes(dtype, kInputs)),
                                      std::byte{0x11});
  const PackedMatrix weight = PackedMatrix::pack(dtype, blocks, kOutputs, kInputs, pool());
  std::vector<float> x = numbers(rows * kInputs);
  std::vector<float> y(static_cast<size_t>(rows * kOutputs));
  const MatmulTarget target{&weight, {y.data(), {rows, kOutputs}}};
  for (auto _ : state) {
    matmul({x.data(), {rows, kInputs}}, {&target, 1}, pool());
    benchmark::ClobberMemory();
  }
  const double runs = static_cast<double>(state.iterations());
  state.counters["GFLOP/s"] = benchmark::Counter(
      2e-9 * static_cast<double>(rows * kOutputs * kInputs) * runs, benchmark::Counter::kIsRate);
  state.counters["GB/s"] = benchmark::Counter(1e-9 * static_cast<double>(weight.bytes()) * runs,
                                              benchmark::Counter::kIsRate);
}

template <class Kernel>
void elements(benchmark::State& state, Kernel kernel) {
  constexpr int64_t kRows = 16, kWidth = 576;
  std::vector<float> x = numbers(kRows * kWidth);
  std::vector<float> out(x.size());
  const View<const float, 2> from(x.data(), {kRows, kWidth});
  const View<float, 2> to(out.data(), {kRows, kWidth});
  for (auto _ : state) {
    kernel(from, to);
    benchmark::ClobberMemory();
  }
  state.SetItemsProcessed(state.iterations() * kRows * kWidth);
}

void fork_join(benchmark::State& state) {
  for (auto _ : state) {
    pool().parallel_for(pool().threads(), [](int64_t, int) {});
  }
}

void register_all() {
  for (const DType dtype :
       {DType::f32, DType::f16, DType::bf16, DType::q8_0, DType::q4_0, DType::q4_1, DType::q5_0,
        DType::q5_1, DType::q4_k, DType::q5_k, DType::q6_k}) {
    for (const int64_t rows : {1, 8, 512}) {
      benchmark::RegisterBenchmark(fmt::format("linear/{}/rows:{}", info(dtype).name, rows).c_str(),
                                   linear, dtype, rows)
          ->UseRealTime();
    }
  }
  const auto one = [](const char* name, auto kernel) {
    benchmark::RegisterBenchmark(name,
                                 [kernel](benchmark::State& state) { elements(state, kernel); });
  };
  static const std::vector<float> gain = numbers(576);
  one("rms_norm", [](auto x, auto out) { rms_norm(x, gain.data(), 1e-5f, out); });
  one("layer_norm", [](auto x, auto out) { layer_norm(x, gain.data(), nullptr, 1e-5f, out); });
  one("silu", silu);
  one("gelu_tanh", gelu_tanh);
  one("gelu_erf", gelu_erf);
  one("softmax", softmax);
  one("exp", [](auto x, auto out) { regard::exp(x.data, x.size(), out.data); });
  benchmark::RegisterBenchmark("fork_join", fork_join)->UseRealTime();
}

}  // namespace
}  // namespace regard

int main(int argc, char** argv) {
  regard::ThreadPool& pool = regard::pool();
  benchmark::AddCustomContext("target", std::string(name(regard::active_target())));
  benchmark::AddCustomContext("fma_peak_gflops",
                              fmt::format("{:.0f}", regard::measure_fma_peak(pool)));
  benchmark::AddCustomContext(
      "read_peak_gbs",
      fmt::format("{:.1f}", regard::measure_read_bandwidth(pool, int64_t{512} << 20)));
  regard::register_all();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
}
