// f16 (IEEE 754 binary16) and bf16 (the upper half of an f32) as storage: conversions to and from
// f32, one rounding to nearest even. These are the portable forms; kernels convert whole vectors
// and agree with them bit for bit.
#pragma once

#include <bit>
#include <cstdint>

namespace regard {

struct f16 {
  uint16_t bits;
};
struct bf16 {
  uint16_t bits;
};

inline float to_f32(float x) noexcept { return x; }
inline float to_f32(bf16 x) noexcept { return std::bit_cast<float>(uint32_t{x.bits} << 16); }

inline float to_f32(f16 x) noexcept {
  const uint32_t sign = uint32_t{x.bits & 0x8000u} << 16;
  const uint32_t magnitude = x.bits & 0x7FFFu;
  if (magnitude >= 0x7C00u) {  // infinity or NaN; a NaN becomes quiet, as in hardware
    const uint32_t payload = (magnitude & 0x3FFu) << 13;
    return std::bit_cast<float>(sign | 0x7F800000u | payload | (payload != 0 ? 0x400000u : 0u));
  }
  if (magnitude >= 0x0400u) return std::bit_cast<float>(sign | ((magnitude << 13) + 0x38000000u));
  const float subnormal = static_cast<float>(magnitude) * 0x1p-24f;  // exact
  return std::bit_cast<float>(sign | std::bit_cast<uint32_t>(subnormal));
}

inline bf16 to_bf16(float x) noexcept {
  const uint32_t bits = std::bit_cast<uint32_t>(x);
  if ((bits & 0x7FFFFFFFu) > 0x7F800000u) return {static_cast<uint16_t>((bits >> 16) | 0x40u)};
  return {static_cast<uint16_t>((bits + 0x7FFFu + ((bits >> 16) & 1u)) >> 16)};
}

inline f16 to_f16(float x) noexcept {
  const uint32_t bits = std::bit_cast<uint32_t>(x);
  const uint16_t sign = static_cast<uint16_t>((bits >> 16) & 0x8000u);
  const uint32_t magnitude = bits & 0x7FFFFFFFu;
  if (magnitude > 0x7F800000u) {
    return {static_cast<uint16_t>(sign | 0x7E00u | ((magnitude >> 13) & 0x1FFu))};
  }
  if (magnitude >= 0x477FF000u) return {static_cast<uint16_t>(sign | 0x7C00u)};  // >= 65520
  if (magnitude >= 0x38800000u) {                                                // normal in f16
    const uint32_t rounded = magnitude + 0xFFFu + ((magnitude >> 13) & 1u);
    return {static_cast<uint16_t>(sign | ((rounded - 0x38000000u) >> 13))};
  }
  // Subnormal in f16: adding 0.5 lines the unit in the last place up with 2^-24.
  const float aligned = std::bit_cast<float>(magnitude) + 0.5f;
  return {static_cast<uint16_t>(sign | (std::bit_cast<uint32_t>(aligned) - 0x3F000000u))};
}

}  // namespace regard
