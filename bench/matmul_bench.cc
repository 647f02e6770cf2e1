// Linear layers beside the machine's ceilings, measured in the same run: one row (decode) against
// the read bandwidth over as many bytes, many rows (prefill) against the multiply-add peak.
//
//   cmake --build build/release --target matmul_bench && build/release/bench/matmul_bench [threads]
//
// Every figure is the best of many short runs, the ceilings are taken before and after. On an idle
// machine only.
//
// Tried and left out (one core, Sapphire-Rapids class; one row: GB/s of q4_1, where plain reading
// reaches 12 from memory):
//   no prefetch                                               6.9 instead of 10.2 from memory
//   prefetch into the first cache; 64 instead of 256 ahead    10.2 and 10.0: no difference there,
//                                                             for q8_0 10.6 instead of 11.6
//   256 bytes of a panel at a time instead of 64              10.2 instead of 11.1 from memory
//   matrices each in memory of their own, small pages         9.2 instead of 11.4 from memory
//   codes shifted out of a loaded word, not loaded at a byte  13.5 instead of 14.8 from the cache
//   y finished with branches and calls beside the sums        512 rows: 120 instead of 150 GFLOP/s,
//                                                             GCC 12 kept the sums in memory
//   asking for the next rows of x while multiplying           512 rows: 4 % slower
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "base/threads.h"
#include "kernels/ceiling.h"
#include "matmul/matmul.h"
#include "simd/target.h"

namespace regard {
namespace {

template <class Work>
double best_seconds(const Work& work) {
  using Clock = std::chrono::steady_clock;
  double best = 1e9;
  const auto begun = Clock::now();
  for (int pass = 0; pass < 20 || Clock::now() - begun < std::chrono::milliseconds(400); ++pass) {
    const auto start = Clock::now();
    work();
    best = std::min(best, std::chrono::duration<double>(Clock::now() - start).count());
  }
  return best;
}

// Finite whatever the format reads out of it.
PackedMatrix weights(DType dtype, int64_t outputs, int64_t inputs, ThreadPool& pool) {
  const std::vector<std::byte> stored(static_cast<std::size_t>(outputs * row_bytes(dtype, inputs)),
                                      std::byte{0x11});
  return PackedMatrix::pack(dtype, stored, outputs, inputs, pool);
}

// One row through matrices [outputs, inputs] of `total` bytes together, as a model's layers are.
double one_row(DType dtype, int64_t outputs, int64_t inputs, int64_t total, ThreadPool& pool) {
  std::vector<PackedMatrix> layers;
  for (int64_t bytes = 0; bytes < total; bytes += layers.back().bytes()) {
    layers.push_back(weights(dtype, outputs, inputs, pool));
  }
  const std::vector<float> x(static_cast<std::size_t>(inputs), 0.5f);
  std::vector<float> y(static_cast<std::size_t>(outputs));
  const double seconds = best_seconds([&] {
    for (const PackedMatrix& layer : layers) {
      const MatmulTarget target{&layer, {y.data(), {1, outputs}}};
      matmul({x.data(), {1, inputs}}, {&target, 1}, pool);
    }
  });
  return 1e-9 * static_cast<double>(layers.front().bytes()) * static_cast<double>(layers.size()) /
         seconds;
}

double many_rows(DType dtype, int64_t rows, int64_t outputs, int64_t inputs, ThreadPool& pool) {
  const PackedMatrix weight = weights(dtype, outputs, inputs, pool);
  const std::vector<float> x(static_cast<std::size_t>(rows * inputs), 0.5f);
  std::vector<float> y(static_cast<std::size_t>(rows * outputs));
  const MatmulTarget target{&weight, {y.data(), {rows, outputs}}};
  const double seconds = best_seconds([&] {
    matmul({x.data(), {rows, inputs}}, {&target, 1}, pool);
  });
  return 2e-9 * static_cast<double>(rows * outputs * inputs) / seconds;
}

void print(const std::string& what, double figure, const char* unit, double ceiling) {
  fmt::print("{:<44}{:>8.1f} {:<8} of {:>6.1f}  {:>4.0f} %\n", what, figure, unit, ceiling,
             100 * figure / ceiling);
}

void run(int threads) {
  ThreadPool pool(threads);
  constexpr int64_t kModel = 84 << 20;
  fmt::print("{} threads, {}\n", pool.threads(), name(active_target()));

  const double reads_before = measure_read_bandwidth(pool, kModel);
  struct Layer {
    DType dtype;
    int64_t outputs, inputs;
  };
  std::vector<std::pair<Layer, double>> read;
  for (const Layer& layer :
       {Layer{DType::q4_1, 576, 576}, Layer{DType::q4_1, 1536, 576}, Layer{DType::q4_1, 576, 1536},
        Layer{DType::q8_0, 1536, 576}, Layer{DType::q4_0, 1536, 576}, Layer{DType::q5_1, 1536, 576},
        Layer{DType::q4_k, 1536, 768}, Layer{DType::q6_k, 1536, 768},
        Layer{DType::f16, 1536, 576}}) {
    read.emplace_back(layer, one_row(layer.dtype, layer.outputs, layer.inputs, kModel, pool));
  }
  const double reads = std::max(reads_before, measure_read_bandwidth(pool, kModel));
  for (const auto& [layer, figure] : read) {
    print(fmt::format("1 row, {} {} x {}, 84 MB", info(layer.dtype).name, layer.outputs,
                      layer.inputs),
          figure, "GB/s", reads);
  }

  const double peak_before = measure_fma_peak(pool);
  std::vector<std::pair<Layer, double>> multiplied;
  for (const Layer& layer :
       {Layer{DType::q4_1, 576, 576}, Layer{DType::q4_1, 1536, 576}, Layer{DType::q4_1, 576, 1536},
        Layer{DType::q8_0, 49152, 576}, Layer{DType::f32, 1536, 1536}}) {
    multiplied.emplace_back(layer, many_rows(layer.dtype, 512, layer.outputs, layer.inputs, pool));
  }
  const double peak = std::max(peak_before, measure_fma_peak(pool));
  for (const auto& [layer, figure] : multiplied) {
    print(fmt::format("512 rows, {} {} x {}", info(layer.dtype).name, layer.outputs, layer.inputs),
          figure, "GFLOP/s", peak);
  }
}

}  // namespace
}  // namespace regard

int main(int argc, char** argv) { regard::run(argc > 1 ? std::atoi(argv[1]) : 0); }
