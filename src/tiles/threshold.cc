// Thresholds, compiled once per target.
#include "tiles/threshold.h"

#include "simd/highway.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tiles/threshold.cc"
#include <hwy/foreach_target.h>

#include "simd/math-inl.h"
#include "simd/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace regard::HWY_NAMESPACE {
namespace {

constexpr int kMostSteps = 100;  // far more than it takes

HWY_ATTR float largest_score(const float* scores, int64_t keys) {
  F32x16 most = broadcast(kNone);
  for (int64_t j = 0; j < keys; j += 16) most = max(load(scores + j), most);
  // A NaN must lose to any number on either side of max.
  return max_lanes(max(most, broadcast(kNone)));
}

}  // namespace

HWY_ATTR Threshold sparsemax_threshold(const float* scores, int64_t keys) {
  const float largest = largest_score(scores, keys);
  const F32x16 top = broadcast(largest), one = broadcast(1.0f);
  float t = -1;
  for (int step = 0; step < kMostSteps; ++step) {
    const F32x16 at = broadcast(t);
    F32x16 sum = zero(), count = zero();
    for (int64_t j = 0; j < keys; j += 16) {
      const F32x16 above = sub(sub(load(scores + j), top), at);
      sum = add(sum, max(zero(), above));  // keeps a NaN
      count = add(count, select(less(zero(), above), one, zero()));
    }
    const float next = t + (sum_lanes(sum) - 1) / sum_lanes(count);
    if (next <= t) break;
    t = next;
    if (t != t) break;
  }
  return {largest, t};
}

HWY_ATTR Threshold entmax15_threshold(const float* scores, int64_t keys) {
  const float largest = largest_score(scores, keys);
  const F32x16 top = broadcast(largest), half = broadcast(0.5f);
  float t = -1;
  for (int step = 0; step < kMostSteps; ++step) {
    const F32x16 at = broadcast(t);
    F32x16 sum = zero(), squares = zero();
    for (int64_t j = 0; j < keys; j += 16) {
      const F32x16 above = max(zero(), sub(mul(sub(load(scores + j), top), half), at));
      sum = add(sum, above);
      squares = fma(above, above, squares);
    }
    const float next = t + (sum_lanes(squares) - 1) / (2 * sum_lanes(sum));
    if (next <= t) break;
    t = next;
    if (t != t) break;
  }
  return {largest, t};
}

}  // namespace regard::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace regard {

Threshold sparsemax_threshold(const float* scores, int64_t keys) noexcept {
  return REGARD_DISPATCH(sparsemax_threshold)(scores, keys);
}

Threshold entmax15_threshold(const float* scores, int64_t keys) noexcept {
  return REGARD_DISPATCH(entmax15_threshold)(scores, keys);
}

}  // namespace regard
#endif
