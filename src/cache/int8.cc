// int8 keys and values written. See int8.h for the rule.
#include "cache/int8.h"

#include <limits>

#include "simd/highway.h"
#include "tiles/fold.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cache/int8.cc"
#include <hwy/foreach_target.h>

#include "simd/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace regard::HWY_NAMESPACE {
namespace {

constexpr float kLargest = 127.0f;

// max|x| / 127 of a dense row, NaN unless every x is finite.
HWY_ATTR float scale_of_row(const float* row, int64_t count) {
  F32x16 most = zero(), seen = zero();
  for (int64_t i = 0; i < count; i += 16) {
    const F32x16 x =
        count - i < 16 ? load_first(row + i, static_cast<int>(count - i)) : load(row + i);
    most = max(abs(x), most);
    seen = fma(x, zero(), seen);  // 0 · x is NaN exactly where x is not finite
  }
  return sum_lanes(seen) == 0.0f ? max_lanes(most) / kLargest
                                 : std::numeric_limits<float>::quiet_NaN();
}

// What to divide by: a scale of 0 (every x is 0, or nearly) or NaN stores zeros.
float divisor_of(float scale) {
  return scale > 0.0f ? scale : std::numeric_limits<float>::infinity();
}

// x / divisor as whole numbers in -127 .. 127.
HWY_INLINE HWY_ATTR void round_lanes(const F32x16& x, const F32x16& divisor, int32_t* lanes) {
  // Adding 1.5 · 2^23 rounds to a whole number, to nearest even, and leaves it in the low bits.
  constexpr float kRounder = 12582912.0f;
  const F32x16 ratio = div(x, divisor);
  const F32x16 near = min(max(ratio, broadcast(-kLargest)), broadcast(kLargest));
  store(sub(bits_of(add(near, broadcast(kRounder))), bits_of(broadcast(kRounder))), lanes);
}

}  // namespace

HWY_ATTR float quantise_row(const float* row, int64_t count, int64_t step_out, int8_t* out) {
  const float scale = scale_of_row(row, count);
  const F32x16 divisor = broadcast(divisor_of(scale));
  for (int64_t i = 0; i < count; i += 16) {
    const int width = count - i < 16 ? static_cast<int>(count - i) : 16;
    alignas(64) int32_t lanes[16];
    round_lanes(load_first(row + i, width), divisor, lanes);
    for (int lane = 0; lane < width; ++lane) {
      out[(i + lane) * step_out] = static_cast<int8_t>(lanes[lane]);
    }
  }
  return scale;
}

// Sixteen dense rows at once, lanes running across keys. The same
// numbers as from quantise_row.
HWY_ATTR void quantise_panel(const float* rows, int64_t key_step, int64_t dim, int8_t* panel,
                             float* scales) {
  alignas(64) float divisors[kPanelKeys];
  for (int key = 0; key < kPanelKeys; ++key) {
    scales[key] = scale_of_row(rows + key * key_step, dim);
    divisors[key] = divisor_of(scales[key]);
  }
  const F32x16 divisor = load(divisors);
  for (int64_t d = 0; d < dim; d += 16) {
    alignas(64) float block[16 * 16] = {};
    if (dim - d >= 16) {
      transpose16(rows + d, key_step, block, 16);
    } else {
      for (int key = 0; key < kPanelKeys; ++key) {
        for (int64_t i = 0; i < dim - d; ++i) block[i * 16 + key] = rows[key * key_step + d + i];
      }
    }
    for (int64_t i = 0; i < 16 && d + i < dim; ++i) {
      alignas(64) int32_t lanes[16];
      round_lanes(load(block + 16 * i), divisor, lanes);
      for (int lane = 0; lane < kPanelKeys; ++lane) {
        panel[(d + i) * kPanelKeys + lane] = static_cast<int8_t>(lanes[lane]);
      }
    }
  }
}

}  // namespace regard::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace regard {
namespace {

constexpr int64_t kMostDim = 1024;

// The row itself where it is dense, else a copy.
const float* dense(const float* row, int64_t step, int64_t count, float* copy) noexcept {
  if (step == 1) return row;
  for (int64_t i = 0; i < count; ++i) copy[i] = row[i * step];
  return copy;
}

}  // namespace

void quantise_keys(const float* rows, int64_t key_step, int64_t dim_step, int64_t dim, int count,
                   int first_lane, int8_t* panel, float* scales) noexcept {
  if (count == kPanelKeys && dim_step == 1) {
    return REGARD_DISPATCH(quantise_panel)(rows, key_step, dim, panel, scales);
  }
  float copy[kMostDim];
  for (int key = 0; key < count; ++key) {
    const float* const row = dense(rows + key * key_step, dim_step, dim, copy);
    const int lane = first_lane + key;
    scales[lane] = REGARD_DISPATCH(quantise_row)(row, dim, kPanelKeys, panel + lane);
  }
}

bool quantise_value(const float* row, int64_t step, int64_t dim_v, int64_t columns, int8_t* out,
                    float* scale) noexcept {
  float copy[kMostDim];
  *scale = REGARD_DISPATCH(quantise_row)(dense(row, step, dim_v, copy), dim_v, 1, out);
  for (int64_t c = dim_v; c < columns; ++c) out[c] = 0;
  return *scale == *scale;
}

}  // namespace regard
#endif
