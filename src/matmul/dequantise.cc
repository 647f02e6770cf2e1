// Rows of every stored format as f32, one number after the other: the reference that packed
// weights are equal to, bit for bit.
#include <bit>
#include <cstring>

#include "matmul/matmul.h"
#include "regard/half.h"

namespace regard {
namespace {

static_assert(std::endian::native == std::endian::little, "stored blocks are little-endian");

template <class T>
T load(const std::byte* from) {
  T x;
  std::memcpy(&x, from, sizeof x);
  return x;
}

float load_f16(const std::byte* from) { return to_f32(load<f16>(from)); }
int byte_at(const std::byte* from, int64_t index) { return std::to_integer<int>(from[index]); }

template <class T>
void widen(const std::byte* from, int64_t count, float* out) {
  for (int64_t i = 0; i < count; ++i) {
    out[i] = to_f32(load<T>(from + i * static_cast<int64_t>(sizeof(T))));
  }
}

void q8_0(const std::byte* block, float* out) {
  const float d = load_f16(block);
  for (int i = 0; i < 32; ++i) out[i] = static_cast<float>(load<int8_t>(block + 2 + i)) * d;
}

void q4(const std::byte* quants, int offset, float d, float m, bool has_min, float* out) {
  for (int i = 0; i < 16; ++i) {
    const float low = static_cast<float>((byte_at(quants, i) & 15) - offset) * d;
    const float high = static_cast<float>((byte_at(quants, i) >> 4) - offset) * d;
    out[i] = has_min ? low + m : low;
    out[i + 16] = has_min ? high + m : high;
  }
}

void q5(const std::byte* high_bits, int offset, float d, float m, bool has_min, float* out) {
  const uint32_t fifth = load<uint32_t>(high_bits);
  const std::byte* quants = high_bits + 4;
  for (int i = 0; i < 32; ++i) {
    const int nibble = byte_at(quants, i % 16) >> (i < 16 ? 0 : 4) & 15;
    const int code = nibble | static_cast<int>(fifth >> i & 1) << 4;
    const float product = static_cast<float>(code - offset) * d;
    out[i] = has_min ? product + m : product;
  }
}

// The 6-bit scale and minimum of 32 inputs, from a K block's 12 bytes of them.
struct SubScale {
  int scale;
  int min;
};
SubScale sub_scale(const std::byte* s, int group) {
  if (group < 4) return {byte_at(s, group) & 63, byte_at(s, group + 4) & 63};
  return {(byte_at(s, group + 4) & 15) | (byte_at(s, group - 4) >> 6) << 4,
          byte_at(s, group + 4) >> 4 | (byte_at(s, group) >> 6) << 4};
}

// high: 32 bytes of fifth bits, or null for Q4_K.
void k_block(const std::byte* block, const std::byte* high, const std::byte* quants, float* out) {
  const float d = load_f16(block);
  const float d_min = load_f16(block + 2);
  for (int group = 0; group < 8; ++group) {
    const SubScale sub = sub_scale(block + 4, group);
    const float scale = d * static_cast<float>(sub.scale);
    const float min = d_min * static_cast<float>(sub.min);
    for (int i = 0; i < 32; ++i) {
      int code = byte_at(quants, 32 * (group / 2) + i) >> (group % 2 == 0 ? 0 : 4) & 15;
      if (high != nullptr) code |= (byte_at(high, i) >> group & 1) << 4;
      out[32 * group + i] = scale * static_cast<float>(code) - min;
    }
  }
}

void q6_k(const std::byte* block, float* out) {
  const float d = load_f16(block + 208);
  for (int i = 0; i < 256; ++i) {
    const int half = i / 128;
    const int quarter = i % 128 / 32;
    const int at = i % 32;
    const int low =
        byte_at(block, 64 * half + 32 * (quarter % 2) + at) >> (quarter < 2 ? 0 : 4) & 15;
    const int high = byte_at(block, 128 + 32 * half + at) >> 2 * quarter & 3;
    const float scale = d * static_cast<float>(load<int8_t>(block + 192 + i / 16));
    out[i] = scale * static_cast<float>((low | high << 4) - 32);
  }
}

}  // namespace

void dequantise_row(DType dtype, const std::byte* blocks, int64_t count, float* out) noexcept {
  const DTypeInfo& format = info(dtype);
  const auto each_block = [&](auto&& decode) {
    for (int64_t i = 0; i < count; i += format.block_elements) {
      decode(blocks, out + i);
      blocks += format.block_bytes;
    }
  };
  switch (dtype) {
    case DType::f64:
      for (int64_t i = 0; i < count; ++i) out[i] = static_cast<float>(load<double>(blocks + 8 * i));
      return;
    case DType::f32:
      return widen<float>(blocks, count, out);
    case DType::f16:
      return widen<f16>(blocks, count, out);
    case DType::bf16:
      return widen<bf16>(blocks, count, out);
    case DType::i8:
      for (int64_t i = 0; i < count; ++i) out[i] = static_cast<float>(load<int8_t>(blocks + i));
      return;
    case DType::q8_0:
      return each_block(q8_0);
    case DType::q4_0:
      return each_block([](const std::byte* block, float* to) {
        q4(block + 2, 8, load_f16(block), 0.0f, false, to);
      });
    case DType::q4_1:
      return each_block([](const std::byte* block, float* to) {
        q4(block + 4, 0, load_f16(block), load_f16(block + 2), true, to);
      });
    case DType::q5_0:
      return each_block([](const std::byte* block, float* to) {
        q5(block + 2, 16, load_f16(block), 0.0f, false, to);
      });
    case DType::q5_1:
      return each_block([](const std::byte* block, float* to) {
        q5(block + 4, 0, load_f16(block), load_f16(block + 2), true, to);
      });
    case DType::q4_k:
      return each_block(
          [](const std::byte* block, float* to) { k_block(block, nullptr, block + 16, to); });
    case DType::q5_k:
      return each_block(
          [](const std::byte* block, float* to) { k_block(block, block + 16, block + 48, to); });
    case DType::q6_k:
      return each_block(q6_k);
  }
}

}  // namespace regard
