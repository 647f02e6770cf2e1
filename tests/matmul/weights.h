// Random rows of every stored weight format, for the tests of packed matrices.
#pragma once

#include <cstring>
#include <random>
#include <vector>

#include "regard/dtype.h"
#include "regard/half.h"

namespace regard {

inline constexpr DType kWeightTypes[] = {DType::f32,  DType::f16,  DType::bf16, DType::q8_0,
                                         DType::q4_0, DType::q4_1, DType::q5_0, DType::q5_1,
                                         DType::q4_k, DType::q5_k, DType::q6_k};

class WeightMaker {
 public:
  explicit WeightMaker(unsigned seed) : engine_(seed) {}

  float normal() { return std::normal_distribution<float>()(engine_); }
  uint32_t bits() { return static_cast<uint32_t>(engine_()); }

  // `count` numbers of about the size 1/8; any_scale: scales are any finite f16 instead.
  std::vector<std::byte> row(DType dtype, int64_t count, bool any_scale = false) {
    std::vector<std::byte> bytes(static_cast<std::size_t>(row_bytes(dtype, count)));
    const DTypeInfo& format = info(dtype);
    for (std::byte& byte : bytes) byte = static_cast<std::byte>(bits());
    for (int64_t i = 0; i < count / format.block_elements; ++i) {
      std::byte* block = bytes.data() + i * format.block_bytes;
      switch (dtype) {
        case DType::f32:
          put(normal() / 8, block);
          break;
        case DType::f16:
          put(any_scale ? any_half() : to_f16(normal() / 8), block);
          break;
        case DType::bf16:
          put(to_bf16(normal() / 8), block);
          break;
        case DType::q6_k:
          put(any_scale ? any_half() : to_f16(normal() / 8192), block + 208);
          break;
        case DType::q4_k:
        case DType::q5_k:
          put(any_scale ? any_half() : to_f16(normal() / 1024), block);
          put(any_scale ? any_half() : to_f16(normal() / 256), block + 2);
          break;
        default:
          put(any_scale ? any_half() : to_f16(normal() / 128), block);
          if (dtype == DType::q4_1 || dtype == DType::q5_1) {
            put(any_scale ? any_half() : to_f16(normal() / 8), block + 2);
          }
      }
    }
    return bytes;
  }

  std::vector<std::byte> matrix(DType dtype, int64_t outputs, int64_t inputs) {
    std::vector<std::byte> all;
    for (int64_t i = 0; i < outputs; ++i) {
      const std::vector<std::byte> one = row(dtype, inputs);
      all.insert(all.end(), one.begin(), one.end());
    }
    return all;
  }

 private:
  f16 any_half() {
    for (;;) {
      const uint16_t half = static_cast<uint16_t>(bits());
      if ((half & 0x7C00) != 0x7C00) return {half};
    }
  }
  template <class T>
  static void put(T number, std::byte* to) {
    std::memcpy(to, &number, sizeof number);
  }

  std::mt19937 engine_;
};

}  // namespace regard
