// reduce_wide_angle: the remainder of an f32 angle too large for arithmetic on f32 constants
// (Payne and Hanek 1983, "Radian reduction for trigonometric functions").
#pragma once

#include <bit>
#include <cstdint>
#include <limits>

namespace regard {

// angle >= 64 or NaN. rest = angle - n π/2 within ±π/4, quadrant = n mod 4. NaN for inf and NaN.
// Integer arithmetic up to one rounding to f64 and one to f32, so no target differs.
inline void reduce_wide_angle(float angle, float& rest, int32_t& quadrant) noexcept {
  // 2/π in binary behind one word of zeros.
  constexpr uint32_t kTwoOverPi[8] = {0,          0xa2f9836e, 0x4e441529, 0xfc2757d1,
                                      0xf534ddc0, 0xdb629599, 0x3c439041, 0xfe5163ab};
  const uint32_t bits = std::bit_cast<uint32_t>(angle);
  const int exponent = static_cast<int>(bits >> 23 & 255);
  if (exponent == 255) {
    rest = std::numeric_limits<float>::quiet_NaN();
    quadrant = 0;
    return;
  }
  // angle = mantissa 2^shift. Of 2/π 2^shift only 96 bits matter, from the one worth 2 downwards:
  // those above make whole turns.
  const uint64_t mantissa = (bits & 0x7fffff) | 0x800000;
  const int shift = exponent - 127 - 23;
  const int first = 30 + shift;
  const auto word_at = [&kTwoOverPi](int bit) {
    const int word = bit / 32;
    const int offset = bit % 32;
    const uint64_t pair = uint64_t{kTwoOverPi[word]} << 32 | kTwoOverPi[word + 1];
    return pair << offset >> 32;
  };
  const uint64_t high = word_at(first) << 32 | word_at(first + 32);
  const uint64_t product = mantissa * high + (mantissa * word_at(first + 64) >> 32);
  const uint64_t fraction = product << 2;  // of a quarter turn, 64 bits behind the point
  quadrant = static_cast<int32_t>((product >> 62) + (fraction >> 63));
  constexpr double kHalfPi = 0x1.921fb54442d18p+0;
  rest =
      static_cast<float>(static_cast<double>(static_cast<int64_t>(fraction)) * (kHalfPi * 0x1p-64));
}

}  // namespace regard
