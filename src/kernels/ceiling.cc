// Two loops that do nothing but the thing measured. The clock is read around whole fork-joins, so
// a figure is what all threads reach together.
#include "kernels/ceiling.h"

#include <algorithm>
#include <atomic>
#include <chrono>

#include "base/buffer.h"
#include "base/check.h"
#include "kernels/highway.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/ceiling.cc"
#include <hwy/foreach_target.h>

#include "kernels/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace regard::HWY_NAMESPACE {

// Independent chains, as many as fill the registers beside two operands: 24 registers on AVX-512
// and NEON, 12 on AVX2; latency times ports is 8 to 16.
constexpr int kChains = kParts == 1 ? 24 : kParts == 16 ? 1 : 6;

// A chain of `steps` multiply-adds in each accumulator; their sum, so that none is left out.
static float multiply_add_chains(int64_t steps, float factor, float term) {
  const F32x16 a = broadcast(factor);
  const F32x16 b = broadcast(term);
  F32x16 chain[kChains];
#pragma GCC unroll 24
  for (int c = 0; c < kChains; ++c) chain[c] = broadcast(static_cast<float>(c));
  for (int64_t step = 0; step < steps; ++step) {
#pragma GCC unroll 24
    for (int c = 0; c < kChains; ++c) chain[c] = fma(chain[c], a, b);
  }
  F32x16 total = chain[0];
#pragma GCC unroll 24
  for (int c = 1; c < kChains; ++c) total = add(total, chain[c]);
  return sum_lanes(total);
}

static int64_t multiply_adds_per_step() { return kChains * 16; }

// Sums count numbers, a multiple of kReadStep.
static float read_all(const float* data, int64_t count) {
  constexpr int kSums = kParts == 1 ? 8 : 4;
  F32x16 sum[kSums];
#pragma GCC unroll 8
  for (int s = 0; s < kSums; ++s) sum[s] = zero();
  for (int64_t i = 0; i < count; i += 16 * kSums) {
#pragma GCC unroll 8
    for (int s = 0; s < kSums; ++s) sum[s] = add(sum[s], load(data + i + 16 * s));
  }
#pragma GCC unroll 8
  for (int s = 1; s < kSums; ++s) sum[0] = add(sum[0], sum[s]);
  return sum_lanes(sum[0]);
}

}  // namespace regard::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace regard {
namespace {

constexpr int64_t kReadStep = 128;  // numbers; a multiple of every target's stride

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// Keeps a result alive; relaxed, because only its existence matters.
std::atomic<float> g_sink;

}  // namespace

double measure_fma_peak(ThreadPool& pool) {
  const auto chains = REGARD_DISPATCH(multiply_add_chains);
  const double flops_per_step =
      2.0 * static_cast<double>(REGARD_DISPATCH(multiply_adds_per_step)());
  const auto run = [&](int64_t steps) {
    const auto start = std::chrono::steady_clock::now();
    pool.parallel_for(pool.threads(), [&](int64_t, int) {
      g_sink.store(chains(steps, 0.5f, 1.0f), std::memory_order_relaxed);
    });
    return seconds_since(start);
  };
  int64_t steps = 1000;
  while (run(steps) < 2e-3) steps *= 2;
  double best = 1e30;
  for (int pass = 0; pass < 20; ++pass) best = std::min(best, run(steps));
  return flops_per_step * static_cast<double>(steps) * pool.threads() / best * 1e-9;
}

double measure_read_bandwidth(ThreadPool& pool, int64_t bytes) {
  require(bytes > 0, "measure_read_bandwidth: bytes ({}) is not positive", bytes);
  const int64_t threads = pool.threads();
  // A slice for each thread; a buffer counts in f32, whole read steps each.
  const int64_t slice =
      std::max<int64_t>(1, bytes / threads / static_cast<int64_t>(sizeof(float)) / kReadStep) *
      kReadStep;
  const Buffer buffer(static_cast<std::size_t>(slice * threads) * sizeof(float),
                      "the read bandwidth measurement");
  float* data = buffer.as<float>();
  // Written first: pages never written would all be one page of zeros.
  pool.parallel_for(threads,
                    [&](int64_t index, int) { std::fill_n(data + index * slice, slice, 1.0f); });
  const auto read = REGARD_DISPATCH(read_all);
  const int64_t sweeps = std::max<int64_t>(1, (int64_t{16} << 20) / (slice * 4));
  double best = 1e30;
  for (int pass = 0; pass < 8; ++pass) {
    const auto start = std::chrono::steady_clock::now();
    pool.parallel_for(threads, [&](int64_t index, int) {
      float total = 0;
      for (int64_t sweep = 0; sweep < sweeps; ++sweep) total += read(data + index * slice, slice);
      g_sink.store(total, std::memory_order_relaxed);
    });
    best = std::min(best, seconds_since(start));
  }
  return static_cast<double>(slice * threads * 4 * sweeps) / best * 1e-9;
}

}  // namespace regard
#endif
