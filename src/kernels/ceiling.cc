// Two loops that do nothing but the thing measured. The clock is read around whole fork-joins, so
// a figure is what all threads reach together.
#include "kernels/ceiling.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <limits>

#include "base/buffer.h"
#include "base/check.h"
#include "simd/highway.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/ceiling.cc"
#include <hwy/foreach_target.h>

#include "simd/simd-inl.h"

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

// Sums `count` numbers, a multiple of kReadStep.
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

// How often `work` must be repeated to last 4 ms: long beside a fork-join. Counted on this thread
// alone, because the pool's other threads may start late.
template <class Work>
int64_t repeats_of(const Work& work) {
  for (int64_t count = 1;; count *= 2) {
    const auto start = std::chrono::steady_clock::now();
    work(count);
    if (seconds_since(start) >= 4e-3) return count;
  }
}

// The shortest pass of work(index) on every thread at once: at least 8 passes, at least 0.25 s,
// so that a moment in which another program has the cores does not decide.
template <class Work>
double best_seconds(ThreadPool& pool, const Work& work) {
  double best = std::numeric_limits<double>::infinity();
  const auto begun = std::chrono::steady_clock::now();
  for (int pass = 0; pass < 8 || seconds_since(begun) < 0.25; ++pass) {
    const auto start = std::chrono::steady_clock::now();
    pool.parallel_for(pool.threads(), [&](int64_t index, int) { work(index); });
    best = std::min(best, seconds_since(start));
  }
  return best;
}

}  // namespace

double measure_fma_peak(ThreadPool& pool) {
  constexpr int64_t kSteps = 1000;
  const auto chains = REGARD_DISPATCH(multiply_add_chains);
  const int64_t multiply_adds = REGARD_DISPATCH(multiply_adds_per_step)();
  const auto run = [chains](int64_t repeats) {
    g_sink.store(chains(kSteps * repeats, 0.5f, 1.0f), std::memory_order_relaxed);
  };
  const int64_t repeats = repeats_of(run);
  const double best = best_seconds(pool, [&](int64_t) { run(repeats); });
  return 2e-9 * static_cast<double>(multiply_adds * kSteps * repeats * pool.threads()) / best;
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
  const auto sweep = [=](int64_t index, int64_t repeats) {
    float total = 0;
    for (int64_t i = 0; i < repeats; ++i) total += read(data + index * slice, slice);
    g_sink.store(total, std::memory_order_relaxed);
  };
  const int64_t repeats = repeats_of([&](int64_t count) { sweep(0, count); });
  const double best = best_seconds(pool, [&](int64_t index) { sweep(index, repeats); });
  return 1e-9 * static_cast<double>(slice * threads * int64_t{sizeof(float)} * repeats) / best;
}

}  // namespace regard
#endif
