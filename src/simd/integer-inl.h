// Integers and truth values in sixteen lanes. An integer is 32 bits and wraps around; a truth value
// is an integer with all bits set or none, which a Mask16 becomes when it is stored.
#if defined(REGARD_SIMD_INTEGER_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef REGARD_SIMD_INTEGER_INL_H_
#undef REGARD_SIMD_INTEGER_INL_H_
#else
#define REGARD_SIMD_INTEGER_INL_H_
#endif

#include "simd/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace regard::HWY_NAMESPACE {

// ---- truth values ----

REGARD_INLINE I32x16 ones_where(const Mask16& m) {
  I32x16 x;
#pragma GCC unroll 16
  for (int p = 0; p < kParts; ++p) {
    x.part[p] = hn::BitCast(I32Tag(), hn::VecFromMask(F32Tag(), m.part[p]));
  }
  return x;
}
// Of a truth value only: targets look at different bits of other integers.
REGARD_INLINE Mask16 mask_of(const I32x16& a) {
  Mask16 m;
#pragma GCC unroll 16
  for (int p = 0; p < kParts; ++p) {
    m.part[p] = hn::MaskFromVec(hn::BitCast(F32Tag(), a.part[p]));
  }
  return m;
}
// Bit i is lane i.
REGARD_INLINE uint32_t bits_of(const Mask16& m) {
#if HWY_TARGET == HWY_AVX3
  return m.part[0].raw;
#elif HWY_TARGET == HWY_AVX2
  return static_cast<uint32_t>(_mm256_movemask_ps(m.part[0].raw)) |
         static_cast<uint32_t>(_mm256_movemask_ps(m.part[1].raw)) << 8;
#else
  uint32_t bits = 0;
  for (int p = 0; p < kParts; ++p) {
    uint8_t few[8] = {};
    hn::StoreMaskBits(F32Tag(), m.part[p], few);
    bits |= static_cast<uint32_t>(few[0] | few[1] << 8) << (p * kWidth);
  }
  return bits;
#endif
}

// ---- comparison ----

REGARD_INLINE Mask16 less(const I32x16& a, const I32x16& b) {
  Mask16 m;
#pragma GCC unroll 16
  for (int p = 0; p < kParts; ++p) {
    m.part[p] = hn::RebindMask(F32Tag(), hn::Lt(a.part[p], b.part[p]));
  }
  return m;
}
REGARD_INLINE Mask16 less_equal(const F32x16& a, const F32x16& b) {
  Mask16 m;
#pragma GCC unroll 16
  for (int p = 0; p < kParts; ++p) m.part[p] = hn::Le(a.part[p], b.part[p]);
  return m;
}
REGARD_INLINE Mask16 opposite(const Mask16& a) {
  Mask16 m;
#pragma GCC unroll 16
  for (int p = 0; p < kParts; ++p) m.part[p] = hn::Not(a.part[p]);
  return m;
}
REGARD_INLINE Mask16 both(const Mask16& a, const Mask16& b) {
  Mask16 m;
#pragma GCC unroll 16
  for (int p = 0; p < kParts; ++p) m.part[p] = hn::And(a.part[p], b.part[p]);
  return m;
}
REGARD_INLINE I32x16 select(const Mask16& m, const I32x16& yes, const I32x16& no) {
  return bits_of(select(m, as_f32(yes), as_f32(no)));
}

// ---- arithmetic ----

#define REGARD_BINARY(name, operation)                                    \
  REGARD_INLINE I32x16 name(const I32x16& a, const I32x16& b) {           \
    I32x16 x;                                                             \
    _Pragma("GCC unroll 16") for (int p = 0; p < kParts; ++p) x.part[p] = \
        hn::operation(a.part[p], b.part[p]);                              \
    return x;                                                             \
  }
REGARD_BINARY(min, Min)
REGARD_BINARY(max, Max)
#if HWY_TARGET != HWY_SCALAR
REGARD_BINARY(mul, Mul)
#endif
#undef REGARD_BINARY

#if HWY_TARGET == HWY_SCALAR
REGARD_INLINE I32x16 mul(const I32x16& a, const I32x16& b) {
  I32x16 x;
  for (int p = 0; p < kParts; ++p) {
    x.part[p] = hn::Set(I32Tag(), static_cast<int32_t>(static_cast<uint32_t>(a.part[p].raw) *
                                                       static_cast<uint32_t>(b.part[p].raw)));
  }
  return x;
}
#endif

REGARD_INLINE I32x16 neg(const I32x16& a) { return sub(broadcast_bits(0), a); }
REGARD_INLINE I32x16 abs(const I32x16& a) { return max(a, neg(a)); }
REGARD_INLINE I32x16 bit_not(const I32x16& a) { return bit_xor(a, broadcast_bits(-1)); }

// ---- shifts by lanes: a count outside 0 .. 31 leaves nothing, or the sign ----

REGARD_INLINE I32x16 shift_left(const I32x16& a, const I32x16& count) {
  const Mask16 whole = equal(bit_and(count, broadcast_bits(~31)), broadcast_bits(0));
  const I32x16 safe = bit_and(count, broadcast_bits(31));
  I32x16 x;
#pragma GCC unroll 16
  for (int p = 0; p < kParts; ++p) {
#if HWY_TARGET == HWY_SCALAR
    x.part[p] = hn::Set(
        I32Tag(), static_cast<int32_t>(static_cast<uint32_t>(a.part[p].raw) << safe.part[p].raw));
#else
    x.part[p] = hn::Shl(a.part[p], safe.part[p]);
#endif
  }
  return select(whole, x, broadcast_bits(0));
}
REGARD_INLINE I32x16 shift_right(const I32x16& a, const I32x16& count) {
  const Mask16 whole = equal(bit_and(count, broadcast_bits(~31)), broadcast_bits(0));
  const I32x16 safe = select(whole, count, broadcast_bits(31));
  I32x16 x;
#pragma GCC unroll 16
  for (int p = 0; p < kParts; ++p) {
#if HWY_TARGET == HWY_SCALAR
    x.part[p] = hn::Set(I32Tag(), a.part[p].raw >> safe.part[p].raw);
#else
    x.part[p] = hn::Shr(a.part[p], safe.part[p]);
#endif
  }
  return x;
}

// ---- division towards minus infinity; 0 where b is 0; INT32_MIN / -1 wraps ----

#if HWY_TARGET == HWY_SCALAR
inline int32_t divide_floor(int32_t a, int32_t b) {
  if (b == 0) return 0;
  if (b == -1) return static_cast<int32_t>(0u - static_cast<uint32_t>(a));
  return a / b - (a % b != 0 && (a < 0) != (b < 0));
}
#endif

REGARD_INLINE I32x16 floor_div(const I32x16& a, const I32x16& b) {
  I32x16 x;
#if HWY_TARGET == HWY_SCALAR
  for (int p = 0; p < kParts; ++p) {
    x.part[p] = hn::Set(I32Tag(), divide_floor(a.part[p].raw, b.part[p].raw));
  }
  return x;
#else
  // In f64 the quotient's rounding cannot reach the next integer.
  const hn::Half<I32Tag> half;
  const hn::Rebind<double, decltype(half)> wide;
  const auto quotient = [&](auto above, auto below) HWY_ATTR {
    return hn::DemoteTo(half, hn::Floor(hn::Div(hn::PromoteTo(wide, above),  //
                                                hn::PromoteTo(wide, below))));
  };
  // A divisor of 0 is none, and -1 is done apart, where 2^31 would not fit.
  const Mask16 none = equal(b, broadcast_bits(0));
  const Mask16 minus = equal(b, broadcast_bits(-1));
  const I32x16 safe = select(none, broadcast_bits(1), b);
#pragma GCC unroll 16
  for (int p = 0; p < kParts; ++p) {
    const auto low = quotient(hn::LowerHalf(half, a.part[p]), hn::LowerHalf(half, safe.part[p]));
    const auto high = quotient(hn::UpperHalf(half, a.part[p]), hn::UpperHalf(half, safe.part[p]));
    x.part[p] = hn::Combine(I32Tag(), high, low);
  }
  return select(none, broadcast_bits(0), select(minus, neg(a), x));
#endif
}

// What floor_div leaves: it has b's sign; 0 where b is 0.
REGARD_INLINE I32x16 mod(const I32x16& a, const I32x16& b) {
  const I32x16 rest = sub(a, mul(floor_div(a, b), b));
  return select(equal(b, broadcast_bits(0)), broadcast_bits(0), rest);
}

// a ^ (a >> count) as if a had no sign; a count outside 0 .. 31 leaves a.
REGARD_INLINE I32x16 xor_shift(const I32x16& a, const I32x16& count) {
  const Mask16 whole = equal(bit_and(count, broadcast_bits(~31)), broadcast_bits(0));
  const I32x16 safe = bit_and(count, broadcast_bits(31));
  I32x16 x;
#pragma GCC unroll 16
  for (int p = 0; p < kParts; ++p) {
#if HWY_TARGET == HWY_SCALAR
    x.part[p] = hn::Set(
        I32Tag(), static_cast<int32_t>(static_cast<uint32_t>(a.part[p].raw) >> safe.part[p].raw));
#else
    const hn::RebindToUnsigned<I32Tag> bits;
    x.part[p] = hn::BitCast(I32Tag(),
                            hn::Shr(hn::BitCast(bits, a.part[p]), hn::BitCast(bits, safe.part[p])));
#endif
  }
  return bit_xor(a, select(whole, x, broadcast_bits(0)));
}

REGARD_INLINE int32_t first_lane(const I32x16& a) { return hn::GetLane(a.part[0]); }

// Lane 15 first.
REGARD_INLINE F32x16 reverse(const F32x16& a) {
  F32x16 x;
#pragma GCC unroll 16
  for (int p = 0; p < kParts; ++p) x.part[p] = hn::Reverse(F32Tag(), a.part[kParts - 1 - p]);
  return x;
}

// A truth value of each of 16 bytes.
REGARD_INLINE I32x16 ones_where_not_zero(const uint8_t* from) {
  I32x16 x;
#pragma GCC unroll 16
  for (int p = 0; p < kParts; ++p) {
    const hn::Rebind<uint8_t, I32Tag> bytes;
    const auto wide = hn::PromoteTo(I32Tag(), hn::LoadU(bytes, from + p * kWidth));
    x.part[p] = hn::VecFromMask(I32Tag(), hn::Ne(wide, hn::Zero(I32Tag())));
  }
  return x;
}

// ---- memory at an index ----

// from[index], each lane's own; the index counts elements.
REGARD_INLINE F32x16 gather(const float* from, const I32x16& index) {
  F32x16 x;
#pragma GCC unroll 16
  for (int p = 0; p < kParts; ++p) x.part[p] = hn::GatherIndex(F32Tag(), from, index.part[p]);
  return x;
}
REGARD_INLINE I32x16 gather(const int32_t* from, const I32x16& index) {
  I32x16 x;
#pragma GCC unroll 16
  for (int p = 0; p < kParts; ++p) x.part[p] = hn::GatherIndex(I32Tag(), from, index.part[p]);
  return x;
}

}  // namespace regard::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
