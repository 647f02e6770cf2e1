// The rotation of RoPE on one row: pairs of numbers turned by angles whose cosines and sines are
// given. Shared by rope() and by keys that are rotated on their way into a cache.
#if defined(REGARD_SIMD_ROTATE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef REGARD_SIMD_ROTATE_INL_H_
#undef REGARD_SIMD_ROTATE_INL_H_
#else
#define REGARD_SIMD_ROTATE_INL_H_
#endif

#include "simd/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace regard::HWY_NAMESPACE {

// (a, b) becomes (a cos - b sin, b cos + a sin).
REGARD_INLINE void rotate(F32x16& a, F32x16& b, const F32x16& cosine, const F32x16& sine) {
  const F32x16 turned = fnma(b, sine, mul(a, cosine));
  b = fma(a, sine, mul(b, cosine));
  a = turned;
}

static HWY_MAYBE_UNUSED HWY_ATTR void rotate_halves(float* x, const float* cosine,
                                                    const float* sine, int64_t half) {
  int64_t i = 0;
  for (; i + 16 <= half; i += 16) {
    F32x16 a = load(x + i);
    F32x16 b = load(x + half + i);
    rotate(a, b, load(cosine + i), load(sine + i));
    store(a, x + i);
    store(b, x + half + i);
  }
  const int left = static_cast<int>(half - i);
  if (left == 0) return;
  F32x16 a = load_first(x + i, left);
  F32x16 b = load_first(x + half + i, left);
  rotate(a, b, load_first(cosine + i, left), load_first(sine + i, left));
  store_first(a, x + i, left);
  store_first(b, x + half + i, left);
}

static HWY_MAYBE_UNUSED HWY_ATTR void rotate_pairs(float* x, const float* cosine, const float* sine,
                                                   int64_t half) {
  alignas(64) float first[16] = {};
  alignas(64) float second[16] = {};
  for (int64_t i = 0; i < half; i += 16) {
    const int count = static_cast<int>(half - i < 16 ? half - i : 16);
    float* pairs = x + 2 * i;
    for (int p = 0; p < count; ++p) {
      first[p] = pairs[2 * p];
      second[p] = pairs[2 * p + 1];
    }
    F32x16 a = load(first);
    F32x16 b = load(second);
    rotate(a, b, load_first(cosine + i, count), load_first(sine + i, count));
    store(a, first);
    store(b, second);
    for (int p = 0; p < count; ++p) {
      pairs[2 * p] = first[p];
      pairs[2 * p + 1] = second[p];
    }
  }
}

// x in place: pairs (i, i + half), or (2 i, 2 i + 1); numbers from 2 half on stay.
REGARD_INLINE void rotate(float* x, const float* cosines, const float* sines, int64_t half,
                          bool pairs) {
  pairs ? rotate_pairs(x, cosines, sines, half) : rotate_halves(x, cosines, sines, half);
}

}  // namespace regard::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
