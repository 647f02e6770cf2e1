// F32x16: sixteen f32 numbers, the one vector that kernels know.
//
// It is one register on AVX-512, two on AVX2, four on NEON, sixteen scalars on the one-lane
// target. Every operation here gives the same bits on each of them, and is the only way in to
// Highway: its own Max, bf16 conversion and scalar MulAdd differ between targets.
#if defined(REGARD_SIMD_SIMD_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef REGARD_SIMD_SIMD_INL_H_
#undef REGARD_SIMD_SIMD_INL_H_
#else
#define REGARD_SIMD_SIMD_INL_H_
#endif

#include <hwy/highway.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <utility>

#include "regard/half.h"

HWY_BEFORE_NAMESPACE();
namespace regard::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

#define REGARD_INLINE static HWY_INLINE HWY_MAYBE_UNUSED HWY_ATTR

using F32Tag = hn::CappedTag<float, 16>;
using I32Tag = hn::RebindToSigned<F32Tag>;
using U32Tag = hn::RebindToUnsigned<F32Tag>;
constexpr int kWidth = static_cast<int>(hn::MaxLanes(F32Tag()));  // lanes of one register
constexpr int kParts = 16 / kWidth;                               // registers of one F32x16

struct F32x16 {
  hn::Vec<F32Tag> part[kParts];
};
struct I32x16 {
  hn::Vec<I32Tag> part[kParts];
};
struct Mask16 {
  hn::Mask<F32Tag> part[kParts];
};

// ---- memory ----

REGARD_INLINE F32x16 load(const float* from) {
  F32x16 x;
#pragma GCC unroll 16
  for (int p = 0; p < kParts; ++p) x.part[p] = hn::LoadU(F32Tag(), from + p * kWidth);
  return x;
}

REGARD_INLINE void store(const F32x16& x, float* to) {
#pragma GCC unroll 16
  for (int p = 0; p < kParts; ++p) hn::StoreU(x.part[p], F32Tag(), to + p * kWidth);
}

// The first count lanes, 0 <= count <= 16; the others read as zero and are not touched.
REGARD_INLINE F32x16 load_first(const float* from, int count) {
  alignas(64) float lanes[16] = {};
  std::memcpy(lanes, from, static_cast<std::size_t>(count) * sizeof(float));
  return load(lanes);
}
REGARD_INLINE void store_first(const F32x16& x, float* to, int count) {
  alignas(64) float lanes[16];
  store(x, lanes);
  std::memcpy(to, lanes, static_cast<std::size_t>(count) * sizeof(float));
}

REGARD_INLINE F32x16 broadcast(float value) {
  F32x16 x;
#pragma GCC unroll 16
  for (int p = 0; p < kParts; ++p) x.part[p] = hn::Set(F32Tag(), value);
  return x;
}
REGARD_INLINE F32x16 zero() { return broadcast(0.0f); }

constexpr float kNone = -__builtin_inff();  // the maximum of nothing

// ---- narrow storage: exact when widened, one rounding to nearest even when narrowed ----

REGARD_INLINE F32x16 load(const bf16* from) {
  F32x16 x;
  const hn::Rebind<uint16_t, U32Tag> half_tag;
#pragma GCC unroll 16
  for (int p = 0; p < kParts; ++p) {
    const auto half = hn::LoadU(half_tag, reinterpret_cast<const uint16_t*>(from) + p * kWidth);
    x.part[p] = hn::BitCast(F32Tag(), hn::ShiftLeft<16>(hn::PromoteTo(U32Tag(), half)));
  }
  return x;
}

REGARD_INLINE F32x16 load(const f16* from) {
#if HWY_TARGET == HWY_SCALAR
  F32x16 x;
  for (int p = 0; p < kParts; ++p) x.part[p] = hn::Set(F32Tag(), to_f32(from[p]));
  return x;
#else
  F32x16 x;
  const hn::Rebind<hwy::float16_t, F32Tag> half_tag;
#pragma GCC unroll 16
  for (int p = 0; p < kParts; ++p) {
    const auto half =
        hn::LoadU(half_tag, reinterpret_cast<const hwy::float16_t*>(from) + p * kWidth);
    x.part[p] = hn::PromoteTo(F32Tag(), half);
  }
  return x;
#endif
}

REGARD_INLINE F32x16 load(const int8_t* from) {
  F32x16 x;
  const hn::Rebind<int8_t, I32Tag> byte_tag;
#pragma GCC unroll 16
  for (int p = 0; p < kParts; ++p) {
    const auto bytes = hn::LoadU(byte_tag, from + p * kWidth);
    x.part[p] = hn::ConvertTo(F32Tag(), hn::PromoteTo(I32Tag(), bytes));
  }
  return x;
}

REGARD_INLINE void store(const F32x16& x, f16* to) {
#if HWY_TARGET == HWY_SCALAR
  for (int p = 0; p < kParts; ++p) to[p] = to_f16(hn::GetLane(x.part[p]));
#else
  const hn::Rebind<hwy::float16_t, F32Tag> half_tag;
#pragma GCC unroll 16
  for (int p = 0; p < kParts; ++p) {
    hn::StoreU(hn::DemoteTo(half_tag, x.part[p]), half_tag,
               reinterpret_cast<hwy::float16_t*>(to) + p * kWidth);
  }
#endif
}

// ---- arithmetic, each with one rounding ----

#define REGARD_BINARY(name, operation)                                    \
  REGARD_INLINE F32x16 name(const F32x16& a, const F32x16& b) {           \
    F32x16 x;                                                             \
    _Pragma("GCC unroll 16") for (int p = 0; p < kParts; ++p) x.part[p] = \
        hn::operation(a.part[p], b.part[p]);                              \
    return x;                                                             \
  }
REGARD_BINARY(add, Add)
REGARD_BINARY(sub, Sub)
REGARD_BINARY(mul, Mul)
REGARD_BINARY(div, Div)
#undef REGARD_BINARY

// a * b + c, rounded once.
REGARD_INLINE F32x16 fma(const F32x16& a, const F32x16& b, const F32x16& c) {
  F32x16 x;
#pragma GCC unroll 16
  for (int p = 0; p < kParts; ++p) {
#if HWY_TARGET == HWY_SCALAR
    x.part[p] = hn::Set(
        F32Tag(), std::fma(hn::GetLane(a.part[p]), hn::GetLane(b.part[p]), hn::GetLane(c.part[p])));
#else
    x.part[p] = hn::MulAdd(a.part[p], b.part[p], c.part[p]);
#endif
  }
  return x;
}

// c - a * b, rounded once.
REGARD_INLINE F32x16 fnma(const F32x16& a, const F32x16& b, const F32x16& c) {
  F32x16 x;
#pragma GCC unroll 16
  for (int p = 0; p < kParts; ++p) {
#if HWY_TARGET == HWY_SCALAR
    x.part[p] = hn::Set(F32Tag(), std::fma(-hn::GetLane(a.part[p]), hn::GetLane(b.part[p]),
                                           hn::GetLane(c.part[p])));
#else
    x.part[p] = hn::NegMulAdd(a.part[p], b.part[p], c.part[p]);
#endif
  }
  return x;
}

REGARD_INLINE F32x16 sqrt(const F32x16& a) {
  F32x16 x;
#pragma GCC unroll 16
  for (int p = 0; p < kParts; ++p) x.part[p] = hn::Sqrt(a.part[p]);
  return x;
}

REGARD_INLINE F32x16 neg(const F32x16& a) {
  F32x16 x;
#pragma GCC unroll 16
  for (int p = 0; p < kParts; ++p) x.part[p] = hn::Neg(a.part[p]);
  return x;
}

REGARD_INLINE F32x16 abs(const F32x16& a) {
  F32x16 x;
#pragma GCC unroll 16
  for (int p = 0; p < kParts; ++p) x.part[p] = hn::Abs(a.part[p]);
  return x;
}

// The largest integer not above a; keeps -0, inf and NaN.
REGARD_INLINE F32x16 floor(const F32x16& a) {
  F32x16 x;
#pragma GCC unroll 16
  for (int p = 0; p < kParts; ++p) {
#if HWY_TARGET == HWY_SCALAR
    const float from = hn::GetLane(a.part[p]);
    float whole = from;  // from 2^23 on there are no fractions
    if (from > -0x1p23f && from < 0x1p23f) {
      whole = static_cast<float>(static_cast<int32_t>(from));
      if (whole > from) whole -= 1.0f;
      if (whole == from) whole = from;
    }
    x.part[p] = hn::Set(F32Tag(), whole);
#else
    x.part[p] = hn::Floor(a.part[p]);
#endif
  }
  return x;
}

// a > b ? a : b, so b when either is NaN: what x86 computes.
REGARD_INLINE F32x16 max(const F32x16& a, const F32x16& b) {
  F32x16 x;
#pragma GCC unroll 16
  for (int p = 0; p < kParts; ++p) {
#if HWY_ARCH_X86 && HWY_TARGET != HWY_SCALAR
    x.part[p] = hn::Max(a.part[p], b.part[p]);
#else
    x.part[p] = hn::IfThenElse(hn::Gt(a.part[p], b.part[p]), a.part[p], b.part[p]);
#endif
  }
  return x;
}

// a < b ? a : b, so b when either is NaN.
REGARD_INLINE F32x16 min(const F32x16& a, const F32x16& b) {
  F32x16 x;
#pragma GCC unroll 16
  for (int p = 0; p < kParts; ++p) {
#if HWY_ARCH_X86 && HWY_TARGET != HWY_SCALAR
    x.part[p] = hn::Min(a.part[p], b.part[p]);
#else
    x.part[p] = hn::IfThenElse(hn::Lt(a.part[p], b.part[p]), a.part[p], b.part[p]);
#endif
  }
  return x;
}

// ---- comparison and selection ----

REGARD_INLINE Mask16 less(const F32x16& a, const F32x16& b) {
  Mask16 m;
#pragma GCC unroll 16
  for (int p = 0; p < kParts; ++p) m.part[p] = hn::Lt(a.part[p], b.part[p]);
  return m;
}
// a >= b or either is NaN: what is left when less(a, b) is taken away.
REGARD_INLINE Mask16 not_less(const F32x16& a, const F32x16& b) {
  Mask16 m;
#pragma GCC unroll 16
  for (int p = 0; p < kParts; ++p) {
#if HWY_TARGET == HWY_AVX3
    m.part[p] = hn::Mask<F32Tag>{_mm512_cmp_ps_mask(a.part[p].raw, b.part[p].raw, _CMP_NLT_UQ)};
#else
    m.part[p] = hn::Not(hn::Lt(a.part[p], b.part[p]));
#endif
  }
  return m;
}
REGARD_INLINE Mask16 equal(const F32x16& a, const F32x16& b) {
  Mask16 m;
#pragma GCC unroll 16
  for (int p = 0; p < kParts; ++p) m.part[p] = hn::Eq(a.part[p], b.part[p]);
  return m;
}
REGARD_INLINE F32x16 select(const Mask16& m, const F32x16& yes, const F32x16& no) {
  F32x16 x;
#pragma GCC unroll 16
  for (int p = 0; p < kParts; ++p) x.part[p] = hn::IfThenElse(m.part[p], yes.part[p], no.part[p]);
  return x;
}
REGARD_INLINE F32x16 zero_where(const Mask16& m, const F32x16& no) {
  F32x16 x;
#pragma GCC unroll 16
  for (int p = 0; p < kParts; ++p) x.part[p] = hn::IfThenZeroElse(m.part[p], no.part[p]);
  return x;
}
REGARD_INLINE bool any(const Mask16& m) {
  bool found = false;
#pragma GCC unroll 16
  for (int p = 0; p < kParts; ++p) found = found || !hn::AllFalse(F32Tag(), m.part[p]);
  return found;
}
// a * b where m, else 0: one instruction on AVX-512.
REGARD_INLINE F32x16 mul_where(const Mask16& m, const F32x16& a, const F32x16& b) {
  F32x16 x;
#pragma GCC unroll 16
  for (int p = 0; p < kParts; ++p) {
#if HWY_TARGET == HWY_AVX3
    x.part[p] = hn::Vec<F32Tag>{_mm512_maskz_mul_ps(m.part[p].raw, a.part[p].raw, b.part[p].raw)};
#else
    x.part[p] = hn::IfThenElseZero(m.part[p], hn::Mul(a.part[p], b.part[p]));
#endif
  }
  return x;
}
// Lanes 0 .. count - 1.
REGARD_INLINE Mask16 first_lanes(int count) {
  Mask16 m;
#pragma GCC unroll 16
  for (int p = 0; p < kParts; ++p) {
    const int left = count - p * kWidth;
    m.part[p] = hn::RebindMask(F32Tag(), hn::Lt(hn::Iota(I32Tag(), 0), hn::Set(I32Tag(), left)));
  }
  return m;
}

// ---- bits ----

// Bit i is lane i.
REGARD_INLINE Mask16 mask_of_bits(uint32_t bits) {
  Mask16 m;
#if HWY_TARGET == HWY_AVX3
  m.part[0].raw = static_cast<__mmask16>(bits);
#elif HWY_TARGET == HWY_SCALAR
  for (int p = 0; p < kParts; ++p) m.part[p] = hn::Mask<F32Tag>::FromBool((bits >> p & 1) != 0);
#else
#pragma GCC unroll 16
  for (int p = 0; p < kParts; ++p) {
    const uint32_t some = bits >> (p * kWidth);
    const uint8_t few[8] = {static_cast<uint8_t>(some), static_cast<uint8_t>(some >> 8)};
    m.part[p] = hn::LoadMaskBits(F32Tag(), few);
  }
#endif
  return m;
}

REGARD_INLINE I32x16 bits_of(const F32x16& a) {
  I32x16 x;
#pragma GCC unroll 16
  for (int p = 0; p < kParts; ++p) x.part[p] = hn::BitCast(I32Tag(), a.part[p]);
  return x;
}
REGARD_INLINE F32x16 as_f32(const I32x16& a) {
  F32x16 x;
#pragma GCC unroll 16
  for (int p = 0; p < kParts; ++p) x.part[p] = hn::BitCast(F32Tag(), a.part[p]);
  return x;
}
template <int kBits>
REGARD_INLINE I32x16 shift_left(const I32x16& a) {
  I32x16 x;
#pragma GCC unroll 16
  for (int p = 0; p < kParts; ++p) x.part[p] = hn::ShiftLeft<kBits>(a.part[p]);
  return x;
}
// Arithmetic: copies of the sign come in from the left.
template <int kBits>
REGARD_INLINE I32x16 shift_right(const I32x16& a) {
  I32x16 x;
#pragma GCC unroll 16
  for (int p = 0; p < kParts; ++p) x.part[p] = hn::ShiftRight<kBits>(a.part[p]);
  return x;
}
REGARD_INLINE I32x16 broadcast_bits(int32_t value) {
  I32x16 x;
#pragma GCC unroll 16
  for (int p = 0; p < kParts; ++p) x.part[p] = hn::Set(I32Tag(), value);
  return x;
}
#define REGARD_BINARY(name, operation)                                    \
  REGARD_INLINE I32x16 name(const I32x16& a, const I32x16& b) {           \
    I32x16 x;                                                             \
    _Pragma("GCC unroll 16") for (int p = 0; p < kParts; ++p) x.part[p] = \
        hn::operation(a.part[p], b.part[p]);                              \
    return x;                                                             \
  }
REGARD_BINARY(add, Add)
REGARD_BINARY(sub, Sub)
REGARD_BINARY(bit_and, And)
REGARD_BINARY(bit_or, Or)
REGARD_BINARY(bit_xor, Xor)
#undef REGARD_BINARY

REGARD_INLINE Mask16 equal(const I32x16& a, const I32x16& b) {
  Mask16 m;
#pragma GCC unroll 16
  for (int p = 0; p < kParts; ++p) {
    m.part[p] = hn::RebindMask(F32Tag(), hn::Eq(a.part[p], b.part[p]));
  }
  return m;
}
// The nearest f32 of an integer.
REGARD_INLINE F32x16 to_f32(const I32x16& a) {
  F32x16 x;
#pragma GCC unroll 16
  for (int p = 0; p < kParts; ++p) x.part[p] = hn::ConvertTo(F32Tag(), a.part[p]);
  return x;
}
REGARD_INLINE I32x16 load(const int32_t* from) {
  I32x16 x;
#pragma GCC unroll 16
  for (int p = 0; p < kParts; ++p) x.part[p] = hn::LoadU(I32Tag(), from + p * kWidth);
  return x;
}
REGARD_INLINE void store(const I32x16& x, int32_t* to) {
#pragma GCC unroll 16
  for (int p = 0; p < kParts; ++p) hn::StoreU(x.part[p], I32Tag(), to + p * kWidth);
}

// To nearest even, like to_bf16 lane by lane.
REGARD_INLINE void store(const F32x16& x, bf16* to) {
  const I32x16 bits = bits_of(x);
  const I32x16 odd = bit_and(shift_right<16>(bits), broadcast_bits(1));
  const I32x16 nearest = add(bits, add(odd, broadcast_bits(0x7FFF)));
  const I32x16 quiet = bit_or(bits, broadcast_bits(0x400000));  // what becomes of a NaN
  const F32x16 high = select(equal(x, x), as_f32(nearest), as_f32(quiet));
  alignas(64) int32_t lanes[16];
  store(shift_right<16>(bits_of(high)), lanes);
  for (int i = 0; i < 16; ++i) to[i] = {static_cast<uint16_t>(lanes[i])};
}

// ---- across lanes: fixed shapes, so that sums have the same bits everywhere ----

// ((0+8)+(4+12)) + ((2+10)+(6+14)) ... : halves are added, 16 -> 8 -> 4 -> 2 -> 1.
REGARD_INLINE float sum_lanes(const F32x16& a) {
  alignas(64) float x[16];
  store(a, x);
  for (int half = 8; half >= 1; half /= 2) {
    for (int i = 0; i < half; ++i) x[i] = x[i] + x[i + half];
  }
  return x[0];
}

// The largest lane; NaN lanes are passed over where another lane is larger. -inf when all are.
REGARD_INLINE float max_lanes(const F32x16& a) {
  alignas(64) float x[16];
  store(a, x);
  for (int half = 8; half >= 1; half /= 2) {
    for (int i = 0; i < half; ++i) x[i] = x[i] > x[i + half] ? x[i] : x[i + half];
  }
  return x[0];
}

// rows[r][c] -> columns: out[c] holds lane r = rows[r] lane c. Both 16 x 16, dense.
REGARD_INLINE void transpose16(const float* HWY_RESTRICT rows, int64_t row_stride,
                               float* HWY_RESTRICT out, int64_t out_stride) {
#if HWY_TARGET == HWY_AVX3
  __m512 r[16];
  __m512 t[16];
  for (int i = 0; i < 16; ++i) r[i] = _mm512_loadu_ps(rows + i * row_stride);
#pragma GCC unroll 16
  for (int i = 0; i < 16; i += 2) {
    t[i] = _mm512_unpacklo_ps(r[i], r[i + 1]);
    t[i + 1] = _mm512_unpackhi_ps(r[i], r[i + 1]);
  }
#pragma GCC unroll 16
  for (int i = 0; i < 16; i += 4) {
    const __m512d a = _mm512_castps_pd(t[i]), b = _mm512_castps_pd(t[i + 1]);
    const __m512d c = _mm512_castps_pd(t[i + 2]), d = _mm512_castps_pd(t[i + 3]);
    r[i] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, c));
    r[i + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, c));
    r[i + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(b, d));
    r[i + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(b, d));
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    t[i] = _mm512_shuffle_f32x4(r[i], r[i + 4], 0x88);
    t[i + 4] = _mm512_shuffle_f32x4(r[i], r[i + 4], 0xDD);
    t[i + 8] = _mm512_shuffle_f32x4(r[i + 8], r[i + 12], 0x88);
    t[i + 12] = _mm512_shuffle_f32x4(r[i + 8], r[i + 12], 0xDD);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    _mm512_storeu_ps(out + i * out_stride, _mm512_shuffle_f32x4(t[i], t[i + 8], 0x88));
    _mm512_storeu_ps(out + (i + 8) * out_stride, _mm512_shuffle_f32x4(t[i], t[i + 8], 0xDD));
    _mm512_storeu_ps(out + (i + 4) * out_stride, _mm512_shuffle_f32x4(t[i + 4], t[i + 12], 0x88));
    _mm512_storeu_ps(out + (i + 12) * out_stride, _mm512_shuffle_f32x4(t[i + 4], t[i + 12], 0xDD));
  }
#else
  for (int c = 0; c < 16; ++c) {
    for (int r = 0; r < 16; ++r) out[c * out_stride + r] = rows[r * row_stride + c];
  }
#endif
}

}  // namespace regard::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
