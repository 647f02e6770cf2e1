// Symbols: d = the scale of a block, m = its least number, q = the whole number that is stored.
#include "writers/encode.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "regard/half.h"

namespace regard {
namespace {

constexpr int kBlock = 32;

void store_f16(float number, std::byte* out) {
  const f16 half = to_f16(number);
  std::memcpy(out, &half, sizeof half);
}

// Of a scale so small that its inverse is infinite nothing is left in f16 either.
float inverse(float d) {
  const float by = 1.0f / d;
  return std::isfinite(by) ? by : 0.0f;
}

// d, then 32 q from -127 to 127.
void q8_0(const float* x, std::byte* out) {
  float most = 0;
  for (int i = 0; i < kBlock; ++i) most = std::max(most, std::abs(x[i]));
  const float d = most / 127;
  const float by = inverse(d);
  store_f16(d, out);
  for (int i = 0; i < kBlock; ++i) {
    out[2 + i] = static_cast<std::byte>(static_cast<int8_t>(std::round(x[i] * by)));
  }
}

// Two q a byte: the first half of the block in the low bits, the second in the high ones.
template <class Quantise>
void nibbles(const float* x, std::byte* out, Quantise quantise) {
  for (int i = 0; i < kBlock / 2; ++i) {
    const int low = quantise(x[i]);
    const int high = quantise(x[i + kBlock / 2]);
    out[i] = static_cast<std::byte>(low | high << 4);
  }
}

// d such that the number of largest magnitude, with its sign, is q = 0, that is -8 d.
void q4_0(const float* x, std::byte* out) {
  float largest = 0;
  float magnitude = 0;
  for (int i = 0; i < kBlock; ++i) {
    if (std::abs(x[i]) <= magnitude) continue;
    magnitude = std::abs(x[i]);
    largest = x[i];
  }
  const float d = largest / -8;
  const float by = inverse(d);
  store_f16(d, out);
  nibbles(x, out + 2,
          [&](float number) { return std::min(15, static_cast<int>(number * by + 8.5f)); });
}

void q4_1(const float* x, std::byte* out) {
  const auto [least, most] = std::minmax_element(x, x + kBlock);
  const float m = *least;
  const float d = (*most - m) / 15;
  const float by = inverse(d);
  store_f16(d, out);
  store_f16(m, out + 2);
  nibbles(x, out + 4,
          [&](float number) { return std::min(15, static_cast<int>((number - m) * by + 0.5f)); });
}

template <class Encode>
void blocks(DType dtype, std::span<const float> numbers, std::byte* out, Encode encode) {
  for (std::size_t i = 0; i < numbers.size(); i += kBlock, out += info(dtype).block_bytes) {
    encode(numbers.data() + i, out);
  }
}

}  // namespace

bool can_encode(DType dtype) noexcept {
  switch (dtype) {
    case DType::f32:
    case DType::f16:
    case DType::bf16:
    case DType::q8_0:
    case DType::q4_0:
    case DType::q4_1:
      return true;
    default:
      return false;
  }
}

void encode_row(DType dtype, std::span<const float> numbers, std::byte* out) noexcept {
  switch (dtype) {
    case DType::f32:
      if (!numbers.empty()) std::memcpy(out, numbers.data(), numbers.size_bytes());
      return;
    case DType::f16:
      for (std::size_t i = 0; i < numbers.size(); ++i) store_f16(numbers[i], out + 2 * i);
      return;
    case DType::bf16:
      for (std::size_t i = 0; i < numbers.size(); ++i) {
        const bf16 half = to_bf16(numbers[i]);
        std::memcpy(out + 2 * i, &half, sizeof half);
      }
      return;
    case DType::q8_0:
      return blocks(dtype, numbers, out, q8_0);
    case DType::q4_0:
      return blocks(dtype, numbers, out, q4_0);
    case DType::q4_1:
      return blocks(dtype, numbers, out, q4_1);
    default:
      return;
  }
}

}  // namespace regard
