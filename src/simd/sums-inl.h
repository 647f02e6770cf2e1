// Sixteen sums of sixteen lanes at once, each by the tree of sum_lanes.
#if defined(REGARD_SIMD_SUMS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef REGARD_SIMD_SUMS_INL_H_
#undef REGARD_SIMD_SUMS_INL_H_
#else
#define REGARD_SIMD_SUMS_INL_H_
#endif

#include "simd/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace regard::HWY_NAMESPACE {

// Lane i is the sum of rows[16 i .. 16 i + 15].
REGARD_INLINE F32x16 sum_rows(const float* HWY_RESTRICT rows) {
#if HWY_TARGET == HWY_AVX3
  // Each step adds the halves of two vectors and keeps both sums in one: 30 shuffles in all. The
  // rows are paired so that the last step leaves them in order.
  const auto row = [&](int i) HWY_ATTR { return _mm512_loadu_ps(rows + 16 * i); };
  __m512 eights[8], fours[4], twos[2];
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    const __m512 a = row(i), b = row(i + 4), c = row(i + 8), d = row(i + 12);
    eights[2 * i] =
        _mm512_add_ps(_mm512_shuffle_f32x4(a, b, 0x44), _mm512_shuffle_f32x4(a, b, 0xEE));
    eights[2 * i + 1] =
        _mm512_add_ps(_mm512_shuffle_f32x4(c, d, 0x44), _mm512_shuffle_f32x4(c, d, 0xEE));
    fours[i] = _mm512_add_ps(_mm512_shuffle_f32x4(eights[2 * i], eights[2 * i + 1], 0x88),
                             _mm512_shuffle_f32x4(eights[2 * i], eights[2 * i + 1], 0xDD));
  }
#pragma GCC unroll 2
  for (int i = 0; i < 2; ++i) {
    const __m512d a = _mm512_castps_pd(fours[2 * i]), b = _mm512_castps_pd(fours[2 * i + 1]);
    twos[i] = _mm512_add_ps(_mm512_castpd_ps(_mm512_unpacklo_pd(a, b)),
                            _mm512_castpd_ps(_mm512_unpackhi_pd(a, b)));
  }
  F32x16 sums;
  sums.part[0] = hn::Vec<F32Tag>{_mm512_add_ps(_mm512_shuffle_ps(twos[0], twos[1], 0x88),
                                               _mm512_shuffle_ps(twos[0], twos[1], 0xDD))};
  return sums;
#else
  alignas(64) float sums[16];
  for (int i = 0; i < 16; ++i) sums[i] = sum_lanes(load(rows + 16 * i));
  return load(sums);
#endif
}

}  // namespace regard::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
