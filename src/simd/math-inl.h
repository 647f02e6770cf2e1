// Elementary functions of F32x16: polynomials and integer steps only, so that every target gives
// the same bits. Errors are against f64 and were measured over the f32 numbers named.
#if defined(REGARD_SIMD_MATH_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef REGARD_SIMD_MATH_INL_H_
#undef REGARD_SIMD_MATH_INL_H_
#else
#define REGARD_SIMD_MATH_INL_H_
#endif

#include <limits>

#include "simd/simd-inl.h"
#include "simd/wide_angle.h"

HWY_BEFORE_NAMESPACE();
namespace regard::HWY_NAMESPACE {

// Added to a small number, it leaves the nearest integer plus 127 in the lowest bits.
constexpr float kExponentMagic = 0x1.8p23f + 127.0f;
constexpr float kLog2E = 0x1.715476p+0f;
constexpr float kLn2 = 0x1.62e43p-1f;
constexpr float kLn2Rest = -0x1.05c61p-29f;  // ln(2) - kLn2
constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNotANumber = std::numeric_limits<float>::quiet_NaN();
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

// ---- e^x and ln x ----

// Exactly 0 below ln(2^-126), inf from 2^128. Error at most 0.9 ulp.
REGARD_INLINE F32x16 exp(const F32x16& x) {
  const F32x16 magic = broadcast(0x1.8p23f);
  const F32x16 bounded = min(broadcast(89.0f), x);
  const F32x16 t = fma(bounded, broadcast(kLog2E), magic);
  const F32x16 n = sub(t, magic);
  const F32x16 f = fnma(n, broadcast(kLn2Rest), fnma(n, broadcast(kLn2), bounded));
  const F32x16 one = broadcast(1.0f);
  F32x16 p = fma(f, broadcast(0x1.6a244cp-10f), broadcast(0x1.1239d4p-7f));
  p = fma(f, p, broadcast(0x1.5558f2p-5f));
  p = fma(f, p, broadcast(0x1.555492p-3f));
  p = fma(f, p, broadcast(0x1.fffffcp-2f));
  p = fma(f, p, one);
  p = fma(f, p, one);
  // 2^n in two factors, because 2^128 is a valid power on the way to a finite result.
  const I32x16 power = sub(bits_of(t), bits_of(magic));
  const I32x16 half = shift_right<1>(power);
  const I32x16 bias = broadcast_bits(127);
  const F32x16 scale = as_f32(shift_left<23>(add(half, bias)));
  const F32x16 rest = as_f32(shift_left<23>(add(sub(power, half), bias)));
  return mul_where(not_less(x, broadcast(kExpLowest)), mul(p, scale), rest);
}

// -inf at ±0, NaN below, inf at inf. Error at most 0.9 ulp, denormal numbers included.
REGARD_INLINE F32x16 log(const F32x16& x) {
  const Mask16 tiny = less(x, broadcast(0x1p-126f));
  const I32x16 bits = bits_of(select(tiny, mul(x, broadcast(0x1p23f)), x));
  // x = 2^e m with m in [√½, √2)
  const I32x16 e = shift_right<23>(sub(bits, bits_of(broadcast(0x1.6a09e6p-1f))));
  const F32x16 f = sub(as_f32(sub(bits, shift_left<23>(e))), broadcast(1.0f));
  const F32x16 exponent = add(to_f32(e), select(tiny, broadcast(-23.0f), zero()));
  const F32x16 square = mul(f, f);
  F32x16 p = fma(f, broadcast(-0x1.38b566p-4f), broadcast(0x1.055d70p-3f));
  p = fma(f, p, broadcast(-0x1.0d8636p-3f));
  p = fma(f, p, broadcast(0x1.22d9e8p-3f));
  p = fma(f, p, broadcast(-0x1.547228p-3f));
  p = fma(f, p, broadcast(0x1.99a00ap-3f));
  p = fma(f, p, broadcast(-0x1.000228p-2f));
  p = fma(f, p, broadcast(0x1.555554p-2f));
  F32x16 low = fma(exponent, broadcast(kLn2Rest), mul(mul(f, square), p));
  low = fnma(square, broadcast(0.5f), low);
  F32x16 y = fma(exponent, broadcast(kLn2), add(f, low));
  y = select(equal(x, broadcast(kInfinity)), x, y);
  y = select(equal(x, zero()), broadcast(-kInfinity), y);
  y = select(less(x, zero()), broadcast(kNotANumber), y);
  return select(equal(x, x), y, x);
}

// ---- odd functions: computed on |x|, then given the sign of x ----

REGARD_INLINE F32x16 with_sign_of(const F32x16& x, const F32x16& size) {
  const I32x16 sign = bit_and(bits_of(x), broadcast_bits(INT32_MIN));
  return as_f32(bit_or(sign, bits_of(size)));
}

// Error at most 1.4 ulp; tanh(-0) = -0.
REGARD_INLINE F32x16 tanh(const F32x16& x) {
  const F32x16 a = abs(x);
  const F32x16 square = mul(a, a);
  F32x16 p = fma(square, broadcast(-0x1.75e1cep-8f), broadcast(0x1.52269cp-6f));
  p = fma(square, p, broadcast(-0x1.b83c5ap-5f));
  p = fma(square, p, broadcast(0x1.110726p-3f));
  p = fma(square, p, broadcast(-0x1.555532p-2f));
  const F32x16 near = fma(mul(a, square), p, a);
  const F32x16 one = broadcast(1.0f);
  const F32x16 grown = exp(add(a, a));
  const F32x16 far = sub(one, div(broadcast(2.0f), add(grown, one)));
  return with_sign_of(x, select(less(a, broadcast(0.625f)), near, far));
}

// Error at most 1.5 ulp; erf(-0) = -0. Far from 0 it is 1 - e^-g, g = -ln(erfc) a polynomial.
REGARD_INLINE F32x16 erf(const F32x16& x) {
  const F32x16 a = min(broadcast(4.0f), abs(x));  // erf(4) is 1 in f32
  const F32x16 square = mul(a, a);
  F32x16 p = fma(square, broadcast(0x1.5f1174p-14f), broadcast(-0x1.aae998p-11f));
  p = fma(square, p, broadcast(0x1.54dadap-8f));
  p = fma(square, p, broadcast(-0x1.b8107cp-6f));
  p = fma(square, p, broadcast(0x1.ce2e20p-4f));
  p = fma(square, p, broadcast(-0x1.812744p-2f));
  p = fma(square, p, broadcast(0x1.06eba8p-3f));
  const F32x16 near = fma(a, p, a);
  F32x16 g = fma(a, broadcast(0x1.84ef66p-17f), broadcast(-0x1.563294p-12f));
  g = fma(a, g, broadcast(0x1.df46d8p-9f));
  g = fma(a, g, broadcast(-0x1.85cc2cp-6f));
  g = fma(a, g, broadcast(0x1.b34854p-4f));
  g = fma(a, g, broadcast(0x1.452ffap-1f));
  g = fma(a, g, broadcast(0x1.20ef6ap+0f));
  const F32x16 far = sub(broadcast(1.0f), exp_nonpositive(neg(mul(a, g))));
  return with_sign_of(x, select(less(a, broadcast(0.921875f)), near, far));
}

// ---- sin and cos: every f32 is reduced properly ----

struct Angle {
  F32x16 rest;      // angle - quadrant π/2, within ±π/4
  I32x16 quadrant;  // its low two bits count
};

// Of a >= 0. Three constants hold π/2 to 72 bits, enough below 2^17; beyond, lane by lane, the
// integers of wide_angle.h.
REGARD_INLINE Angle reduce_angle(const F32x16& a) {
  const F32x16 magic = broadcast(0x1.8p23f);
  const F32x16 t = fma(a, broadcast(0x1.45f306p-1f), magic);
  const F32x16 n = sub(t, magic);
  F32x16 rest = fnma(n, broadcast(0x1.921fb6p+0f), a);  // exact
  rest = fnma(n, broadcast(-0x1.777a5cp-25f), rest);
  rest = fnma(n, broadcast(-0x1.ee59dap-50f), rest);
  Angle angle{rest, bits_of(t)};
  const F32x16 limit = broadcast(0x1p17f);
  if (any(not_less(a, limit))) [[unlikely]] {
    alignas(64) float size[16];
    alignas(64) float remainder[16];
    alignas(64) int32_t quadrant[16];
    store(a, size);
    store(angle.rest, remainder);
    store(angle.quadrant, quadrant);
    for (int i = 0; i < 16; ++i) {
      if (!(size[i] < 0x1p17f)) reduce_wide_angle(size[i], remainder[i], quadrant[i]);
    }
    angle = {load(remainder), load(quadrant)};
  }
  return angle;
}

// sin of angle + turns π/2.
REGARD_INLINE F32x16 sin_of(const Angle& angle, int turns) {
  const F32x16& r = angle.rest;
  const F32x16 square = mul(r, r);
  F32x16 s = fma(square, broadcast(-0x1.994388p-13f), broadcast(0x1.11073ap-7f));
  s = fma(square, s, broadcast(-0x1.555546p-3f));
  s = fma(mul(r, square), s, r);
  F32x16 c = fma(square, broadcast(0x1.99eb4ap-16f), broadcast(-0x1.6c0c32p-10f));
  c = fma(square, c, broadcast(0x1.55554ap-5f));
  c = fma(mul(square, square), c, fnma(square, broadcast(0.5f), broadcast(1.0f)));
  const I32x16 quadrant = add(angle.quadrant, broadcast_bits(turns));
  const Mask16 even = equal(bit_and(quadrant, broadcast_bits(1)), broadcast_bits(0));
  const I32x16 sign = shift_left<30>(bit_and(quadrant, broadcast_bits(2)));
  return as_f32(bit_xor(sign, bits_of(select(even, s, c))));
}

// Error at most 1.6 ulp for every f32; NaN at ±inf; sin(-0) = -0.
REGARD_INLINE F32x16 sin(const F32x16& x) {
  const F32x16 y = sin_of(reduce_angle(abs(x)), 0);
  const I32x16 sign = bit_and(bits_of(x), broadcast_bits(INT32_MIN));
  return as_f32(bit_xor(sign, bits_of(y)));
}
// Error at most 1.6 ulp for every f32; NaN at ±inf.
REGARD_INLINE F32x16 cos(const F32x16& x) { return sin_of(reduce_angle(abs(x)), 1); }

// ---- division of real numbers towards minus infinity, as Python's // and % ----

struct Division {
  F32x16 quotient;  // floor(a / b)
  F32x16 rest;      // a - quotient b, rounded once, with b's sign
};

// Exact quotients below 2^24; beyond, floor of the rounded a / b. b = 0 divides as IEEE says and
// leaves NaN; an infinite b leaves a where the signs agree and b where they do not.
REGARD_INLINE Division divide_floor(const F32x16& a, const F32x16& b) {
  const F32x16 quotient = floor(div(a, b));
  const Mask16 unbounded = equal(abs(b), broadcast(kInfinity));
  F32x16 rest = select(unbounded, a, fnma(quotient, b, a));
  rest = select(equal(quotient, quotient), rest, quotient);
  // a / b may have been rounded up to an integer; then the rest has the other sign.
  const I32x16 sign = bit_and(bits_of(b), broadcast_bits(INT32_MIN));
  const Mask16 above = less(as_f32(bit_xor(bits_of(rest), sign)), zero());
  return {select(above, sub(quotient, broadcast(1.0f)), quotient),
          select(above, add(rest, b), rest)};
}

// ---- gates ----

// 1 / (1 + e^-x). Relative error at most 4e-7 for x > -87; 0 below.
REGARD_INLINE F32x16 sigmoid(const F32x16& x) {
  const F32x16 shrunk = exp_nonpositive(neg(abs(x)));
  const F32x16 one = broadcast(1.0f);
  return div(select(less(x, zero()), shrunk, one), add(one, shrunk));
}

// x / (1 + e^-t), where t has the sign of x: never inf / inf. A lowest x bounds the product at
// x = -inf; e^-|t| is already 0 there.
REGARD_INLINE F32x16 gated(const F32x16& x, const F32x16& t) {
  const F32x16 shrunk = exp_nonpositive(neg(abs(t)));  // e^-|t|
  const F32x16 bounded = max(broadcast(-256.0f), x);
  const F32x16 above = select(less(t, zero()), mul(bounded, shrunk), x);
  return div(above, add(broadcast(1.0f), shrunk));
}

// x σ(x). Relative error at most 2.0e-7 for x > -1 and 4.4e-7 for x > -87; 0 below.
REGARD_INLINE F32x16 silu(const F32x16& x) { return gated(x, x); }

// x/2 (1 + tanh(√(2/π) (x + 0.044715 x³))), as x σ(2 √(2/π) (...)): no cancellation for x < 0.
// Error at most 1.2e-7 max(1, |x|); relative 2e-6 for x > -5.
REGARD_INLINE F32x16 gelu_tanh(const F32x16& x) {
  const F32x16 slope = fma(mul(x, x), broadcast(0x1.2444f2p-4f), broadcast(0x1.988454p+0f));
  return gated(x, mul(x, slope));
}

// x/2 (1 + erf(x/√2)). Error at most 1.2e-7 max(1, |x|).
REGARD_INLINE F32x16 gelu_erf(const F32x16& x) {
  const F32x16 share =
      fma(erf(mul(x, broadcast(0x1.6a09e6p-1f))), broadcast(0.5f), broadcast(0.5f));
  return mul(max(broadcast(-256.0f), x), share);
}

}  // namespace regard::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
