// Elementary functions of F32x16: polynomials and integer steps only, so that every target gives
// the same bits. Errors are against f64 and were measured over the f32 numbers named.
#if defined(REGARD_KERNELS_MATH_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef REGARD_KERNELS_MATH_INL_H_
#undef REGARD_KERNELS_MATH_INL_H_
#else
#define REGARD_KERNELS_MATH_INL_H_
#endif

#include "kernels/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace regard::HWY_NAMESPACE {

// Added to a small number, it leaves the nearest integer plus 127 in the lowest bits.
constexpr float kExponentMagic = 0x1.8p23f + 127.0f;
constexpr float kLog2E = 0x1.715476p+0f;
constexpr float kLn2 = 0x1.62e43p-1f;
constexpr float kExpLowest = -0x1.5d589ep+6f;  // the smallest f32 not below ln(2^-126)

// e^f for |f| <= ln(2)/2, with p(0) = 1: minimax with the first two coefficients held at 1.
REGARD_INLINE F32x16 exp_reduced(const F32x16& f) {
  const F32x16 one = broadcast(1.0f);
  F32x16 p = fma(f, broadcast(0x1.106a42p-7f), broadcast(0x1.5729f2p-5f));
  p = fma(f, p, broadcast(0x1.55578ep-3f));
  p = fma(f, p, broadcast(0x1.fffdf8p-2f));
  p = fma(f, p, one);
  return fma(f, p, one);
}

// Softmax's exp, of x <= 0, -inf or NaN. Exactly 1 at 0, exactly 0 below ln(2^-126) and at -inf,
// NaN for NaN. Relative error at most 2.0e-7 for x > -16 and 4.0e-7 for all x: one constant
// for ln(2) is off by 1.9e-9, which counts up to 126 times and only where e^x is tiny.
REGARD_INLINE F32x16 exp_nonpositive(const F32x16& x) {
  const F32x16 magic = broadcast(kExponentMagic);
  const F32x16 t = fma(x, broadcast(kLog2E), magic);  // the low bits are n + 127
  const F32x16 f = fnma(sub(t, magic), broadcast(kLn2), x);
  const F32x16 power = as_f32(shift_left<23>(bits_of(t)));  // 2^n
  return mul_where(not_less(x, broadcast(kExpLowest)), exp_reduced(f), power);
}

}  // namespace regard::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
