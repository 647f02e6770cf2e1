// Packed weights become f32: value<dtype, i>() is input i of 8 for the 16 features of a panel,
// exactly the dequantised number. Every product reads weights through it, so that one row and
// many rows compute with the same bits. The layout is in matmul/pack.h.
#if defined(REGARD_MATMUL_WEIGHTS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef REGARD_MATMUL_WEIGHTS_INL_H_
#undef REGARD_MATMUL_WEIGHTS_INL_H_
#else
#define REGARD_MATMUL_WEIGHTS_INL_H_
#endif

#include "matmul/matmul.h"
#include "matmul/pack.h"
#include "simd/tile-inl.h"

HWY_BEFORE_NAMESPACE();
namespace regard::HWY_NAMESPACE {

// ---- integers ----

REGARD_INLINE I32x16 load_words(const std::byte* from) {
  I32x16 x;
#pragma GCC unroll 16
  for (int p = 0; p < kParts; ++p) {
    x.part[p] = hn::LoadU(I32Tag(), reinterpret_cast<const int32_t*>(from) + p * kWidth);
  }
  return x;
}

// Bits kBit .. kBit + kBits - 1 of each lane as a number, with or without a sign.
template <int kBit, int kBits, bool kSigned>
REGARD_INLINE I32x16 field(const I32x16& a) {
  I32x16 x;
#pragma GCC unroll 16
  for (int p = 0; p < kParts; ++p) {
    if constexpr (kSigned) {
      x.part[p] = hn::ShiftRight<32 - kBits>(hn::ShiftLeft<32 - kBit - kBits>(a.part[p]));
    } else {
      // The mask instead of a second shift: x86 has more ports for it.
      x.part[p] = hn::And(hn::ShiftRight<kBit>(a.part[p]), hn::Set(I32Tag(), (1 << kBits) - 1));
    }
  }
  return x;
}

// Shifted left, or right (zeros come in) for a negative count.
template <int kCount>
REGARD_INLINE I32x16 shift(const I32x16& a) {
  I32x16 x;
#pragma GCC unroll 16
  for (int p = 0; p < kParts; ++p) {
    const auto bits = hn::BitCast(U32Tag(), a.part[p]);
    if constexpr (kCount >= 0) {
      x.part[p] = hn::BitCast(I32Tag(), hn::ShiftLeft<kCount>(bits));
    } else {
      x.part[p] = hn::BitCast(I32Tag(), hn::ShiftRight<-kCount>(bits));
    }
  }
  return x;
}

// Zeros come in; the same count for every lane.
REGARD_INLINE I32x16 shift_right(const I32x16& a, int count) {
  I32x16 x;
  const auto counts = hn::Set(U32Tag(), static_cast<uint32_t>(count));
#pragma GCC unroll 16
  for (int p = 0; p < kParts; ++p) {
    x.part[p] = hn::BitCast(I32Tag(), hn::Shr(hn::BitCast(U32Tag(), a.part[p]), counts));
  }
  return x;
}

// The low four bits of every byte from a, the high four from b.
REGARD_INLINE I32x16 merge_nibbles(const I32x16& a, const I32x16& b) {
  const auto low = hn::Set(I32Tag(), 0x0F0F0F0F);
  I32x16 x;
#pragma GCC unroll 16
  for (int p = 0; p < kParts; ++p) {
#if HWY_TARGET == HWY_AVX3
    x.part[p].raw = _mm512_ternarylogic_epi32(low.raw, a.part[p].raw, b.part[p].raw, 0xCA);
#else
    x.part[p] = hn::Or(hn::And(low, a.part[p]), hn::AndNot(low, b.part[p]));
#endif
  }
  return x;
}

REGARD_INLINE F32x16 to_floats(const I32x16& a) {
  F32x16 x;
#pragma GCC unroll 16
  for (int p = 0; p < kParts; ++p) x.part[p] = hn::ConvertTo(F32Tag(), a.part[p]);
  return x;
}

// Sixteen bytes as numbers; T is int8_t or uint8_t.
template <class T>
REGARD_INLINE F32x16 load_bytes(const std::byte* from) {
  I32x16 x;
  const hn::Rebind<T, I32Tag> byte_tag;
#pragma GCC unroll 16
  for (int p = 0; p < kParts; ++p) {
    const auto bytes = hn::LoadU(byte_tag, reinterpret_cast<const T*>(from) + p * kWidth);
    x.part[p] = hn::PromoteTo(I32Tag(), bytes);
  }
  return to_floats(x);
}

REGARD_INLINE F32x16 load_halves(const std::byte* from) {
  return load(reinterpret_cast<const f16*>(from));
}

// ---- codes ----

struct Coding {
  int bits;        // of a code; 0 for formats that hold their numbers as they are
  bool is_signed;  // two's complement
  bool has_min;    // code · d + m, not code · d
};
constexpr Coding coding(DType dtype) {
  switch (dtype) {
    case DType::q4_0:
      return {4, true, false};
    case DType::q4_1:
    case DType::q4_k:
      return {4, false, true};
    case DType::q5_0:
      return {5, true, false};
    case DType::q5_1:
    case DType::q5_k:
      return {5, false, true};
    case DType::q6_k:
      return {6, true, false};
    default:
      return {0, true, false};
  }
}

#if HWY_TARGET == HWY_AVX3
// A code of 4 or 5 bits is an index into one or two registers that hold every value it can have;
// the lookup ignores higher bits, which saves the mask and the conversion.
alignas(64) constexpr float kUnsignedCodes[32] = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10,
                                                  11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21,
                                                  22, 23, 24, 25, 26, 27, 28, 29, 30, 31};
alignas(64) constexpr float kSignedCodes4[16] = {0,  1,  2,  3,  4,  5,  6,  7,
                                                 -8, -7, -6, -5, -4, -3, -2, -1};
alignas(64) constexpr float kSignedCodes5[32] = {0,   1,  2,  3,  4,  5,   6,   7,   8,   9,   10,
                                                 11,  12, 13, 14, 15, -16, -15, -14, -13, -12, -11,
                                                 -10, -9, -8, -7, -6, -5,  -4,  -3,  -2,  -1};

template <bool kSigned>
REGARD_INLINE F32x16 look_up_4(const I32x16& index) {
  const __m512 table = _mm512_load_ps(kSigned ? kSignedCodes4 : kUnsignedCodes);
  F32x16 x;
  x.part[0].raw = _mm512_permutexvar_ps(index.part[0].raw, table);
  return x;
}
template <bool kSigned>
REGARD_INLINE F32x16 look_up_5(const I32x16& index) {
  const float* codes = kSigned ? kSignedCodes5 : kUnsignedCodes;
  F32x16 x;
  x.part[0].raw =
      _mm512_permutex2var_ps(_mm512_load_ps(codes), index.part[0].raw, _mm512_load_ps(codes + 16));
  return x;
}
#endif

// Where 8 inputs of a panel lie.
struct EightPlace {
  const std::byte* eight;
  const std::byte* high;
  int number;  // which 8 of the 32
};

// Codes of 8 inputs, ready to be shifted out: of 4 bits as they lie; of 5 and 6 bits with the even
// inputs' codes in the bytes of one word and the odd ones' in another.
template <int kBits>
struct Codes {
  I32x16 even;
  I32x16 odd;
};
template <>
struct Codes<4> {
  const std::byte* words;
};

template <int kBits>
REGARD_INLINE Codes<kBits> load_codes(const EightPlace& at) {
  if constexpr (kBits == 4) {
    return {at.eight};
  } else {
    const I32x16 low = load_words(at.eight);
    constexpr int kOdd = kBits - 4;  // bits from an even code's high bits to the odd one's
    const int high_word = kBits == 5 ? 0 : at.number / 2;
    const int high_bit = kBits == 5 ? 2 * at.number : at.number % 2 * 4;
    const I32x16 high = shift_right(load_words(at.high + 4 * kPanel * high_word), high_bit);
    return {merge_nibbles(low, shift<4>(high)),
            merge_nibbles(shift<-4>(low), shift<4 - kOdd>(high))};
  }
}

// Code kInput of 8 as a number.
template <int kBits, bool kSigned, int kInput>
REGARD_INLINE F32x16 code(const Codes<kBits>& codes) {
  constexpr int kByte = kInput / 2;
  constexpr int kOdd = kInput % 2;
  if constexpr (kBits == 4) {
    // Loading from the code's byte on saves the shift for half of the codes: the loads have ports
    // of their own (measured: 14.8 instead of 13.5 GB/s of q4_1 on one core from the cache).
#if HWY_TARGET == HWY_AVX3
    return look_up_4<kSigned>(shift<-4 * kOdd>(load_words(codes.words + kByte)));
#elif HWY_TARGET == HWY_AVX2
    return to_floats(field<4 * kOdd, 4, kSigned>(load_words(codes.words + kByte)));
#else
    return to_floats(field<8 * kByte + 4 * kOdd, 4, kSigned>(load_words(codes.words)));
#endif
  } else {
    const I32x16& word = kOdd == 0 ? codes.even : codes.odd;
#if HWY_TARGET == HWY_AVX3
    if constexpr (kBits == 5) return look_up_5<kSigned>(shift<-8 * kByte>(word));
#endif
    return to_floats(field<8 * kByte, kBits, kSigned>(word));
  }
}

// ---- scales and values ----

// What turns codes into numbers: code · d (+ m). Products of the stored scales with each other and
// with a code are exact in f32, so a number is rounded once.
struct Scale {
  F32x16 d;
  F32x16 m;
};

// header: of the panel; run: which 32 inputs of its block, for q6_k which 16.
template <DType kType>
REGARD_INLINE Scale load_scale(const std::byte* header, int64_t run) {
  Scale scale = {};
  if constexpr (kType == DType::q4_k || kType == DType::q5_k) {
    const std::byte* bytes = header + (4 + 2 * run) * kPanel;
    scale.d = mul(load_halves(header), load_bytes<uint8_t>(bytes));
    scale.m = neg(mul(load_halves(header + 2 * kPanel), load_bytes<uint8_t>(bytes + kPanel)));
  } else if constexpr (kType == DType::q6_k) {
    scale.d = mul(load_halves(header), load_bytes<int8_t>(header + (2 + run) * kPanel));
  } else if constexpr (panel_layout(kType).header > 0) {
    scale.d = load_halves(header);
    if constexpr (coding(kType).has_min) scale.m = load_halves(header + 2 * kPanel);
  }
  return scale;
}

// 8 inputs of a panel: their codes, or where their numbers lie.
template <DType kType>
struct Eight {
  Codes<coding(kType).bits> codes;
};
template <DType kType>
requires(coding(kType).bits == 0) struct Eight<kType> {
  const std::byte* numbers;
};

template <DType kType>
REGARD_INLINE Eight<kType> load_eight(const EightPlace& at) {
  if constexpr (coding(kType).bits == 0) {
    return {at.eight};
  } else {
    return {load_codes<coding(kType).bits>(at)};
  }
}

template <DType kType, int kInput>
REGARD_INLINE F32x16 value(const Eight<kType>& eight, const Scale& scale) {
  constexpr Coding kCoding = coding(kType);
  if constexpr (kType == DType::f32) {
    return load(reinterpret_cast<const float*>(eight.numbers) + kPanel * kInput);
  } else if constexpr (kType == DType::f16) {
    return load(reinterpret_cast<const f16*>(eight.numbers) + kPanel * kInput);
  } else if constexpr (kType == DType::bf16) {
    return load(reinterpret_cast<const bf16*>(eight.numbers) + kPanel * kInput);
  } else if constexpr (kType == DType::q8_0) {
    return mul(load_bytes<int8_t>(eight.numbers + kPanel * kInput), scale.d);
  } else {
    const F32x16 q = code<kCoding.bits, kCoding.is_signed, kInput>(eight.codes);
    if constexpr (kCoding.has_min) return fma(q, scale.d, scale.m);
    return mul(q, scale.d);
  }
}

// ---- the walk ----

// Numbers are asked for 256 inputs before they are read, into the second cache: of the 12 GB/s that
// one core can read from memory it reads 6 without this and 11 with it (q4_1).
template <int kBytes>
REGARD_INLINE void prefetch(const std::byte* from) {
#pragma GCC unroll 32
  for (int line = 0; line < kBytes; line += 64) __builtin_prefetch(from + line, 0, 2);
}

template <DType kType, int kInput, class Sink, int... kColumn>
REGARD_INLINE void visit_input(const Eight<kType>* eight, const Scale* scale, Sink& sink,
                               std::integer_sequence<int, kColumn...>) {
  (sink.template take<kInput, kColumn>(value<kType, kInput>(eight[kColumn], scale[kColumn])), ...);
}

template <DType kType, class Sink, int... kColumn, int... kInput>
REGARD_INLINE void visit_eight(const EightPlace& at, const Scale* scale, Sink& sink,
                               std::integer_sequence<int, kColumn...> columns,
                               std::integer_sequence<int, kInput...>) {
  constexpr PanelLayout kLayout = panel_layout(kType);
  const Eight<kType> eight[] = {load_eight<kType>(
      {at.eight + kColumn * kLayout.eight, at.high + kColumn * kLayout.high, at.number})...};
  (visit_input<kType, kInput>(eight, scale, sink, columns), ...);
  sink.advance(8);
}

// 32 inputs. header, high, eights: of the first panel; step: from 8 inputs to the next, ahead: to
// the inputs that are prefetched.
template <DType kType, class Sink, int... kColumn>
REGARD_INLINE void visit_run(const std::byte* header, int64_t run, const std::byte* high,
                             const std::byte* eights, int64_t step, int64_t ahead, Sink& sink,
                             std::integer_sequence<int, kColumn...> columns) {
  constexpr PanelLayout kLayout = panel_layout(kType);
  constexpr int kColumns = sizeof...(kColumn);
  constexpr int kScales = kType == DType::q6_k ? 2 : 1;  // within 32 inputs
  prefetch<kColumns * kLayout.high>(high + ahead);
  for (int part = 0; part < kScales; ++part) {
    const Scale scale[] = {
        load_scale<kType>(header + kColumn * kLayout.header, kScales * run + part)...};
#pragma GCC unroll 1
    for (int n = part * 4 / kScales; n < (part + 1) * 4 / kScales; ++n) {
      prefetch<kColumns * kLayout.eight>(eights + ahead);
      visit_eight<kType>({eights, high, n}, scale, sink, columns,
                         std::make_integer_sequence<int, 8>());
      eights += step;
    }
  }
}

// One input of a plain format, panels `step` bytes apart.
template <DType kType, class Sink, int... kColumn>
REGARD_INLINE void visit_single(const std::byte* number, int64_t step, Sink& sink,
                                std::integer_sequence<int, kColumn...>) {
  (sink.template take<0, kColumn>(value<kType, 0>({number + kColumn * step}, {})), ...);
  sink.advance(1);
}

// Gives the numbers of kColumns neighbouring panels, inputs first .. last - 1, to a sink: inputs
// in ascending order, for each of them every panel. first is a multiple of 32, and last too but
// at the end of a plain format's row. A sink has
//     take<kInput, kColumn>(w)   input kInput after the place it stands at
//     advance(count)             moves that place
template <DType kType, int kColumns, class Sink>
REGARD_INLINE void visit(const PanelPlace& place, int64_t first, int64_t last, Sink& sink) {
  constexpr PanelLayout kLayout = panel_layout(kType);
  const std::make_integer_sequence<int, kColumns> columns;
  const int64_t panels = place.panels;
  const int64_t block_bytes = panels * kLayout.block_bytes();
  const int64_t ahead = kInputBlock / kLayout.block * block_bytes;
  const std::byte* block = place.group + first / kLayout.block * block_bytes;
  for (; last - first >= kLayout.block; first += kLayout.block, block += block_bytes) {
    const std::byte* header = block + place.index * kLayout.header;
    const std::byte* run = block + panels * kLayout.header;
    prefetch<kColumns * kLayout.header>(header + ahead);
#pragma GCC unroll 1
    for (int r = 0; r < kLayout.block / 32; ++r, run += panels * kLayout.run()) {
      visit_run<kType>(header, r, run + place.index * kLayout.high,
                       run + panels * kLayout.high + place.index * kLayout.eight,
                       panels * kLayout.eight, ahead, sink, columns);
    }
  }
  if constexpr (kLayout.header == 0) {
    constexpr int kNumber = kLayout.eight / 8;
    for (; last - first >= 8; first += 8, block += panels * kLayout.eight) {
      const Scale none[kColumns] = {};
      visit_eight<kType>({block + place.index * kLayout.eight, nullptr, 0}, none, sink, columns,
                         std::make_integer_sequence<int, 8>());
    }
    const int64_t step = (last - first) * kNumber;
    const std::byte* number = block + place.index * step;
    for (; first < last; ++first, number += kNumber) {
      visit_single<kType>(number, step, sink, columns);
    }
  }
}

}  // namespace regard::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
