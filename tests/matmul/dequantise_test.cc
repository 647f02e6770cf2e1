// Every stored format against a second reading of its layout, element by element and bit by bit.
#include <gtest/gtest.h>

#include <bit>
#include <cstring>
#include <vector>

#include "matmul/matmul.h"
#include "matmul/weights.h"
#include "simd/target.h"

namespace regard {
namespace {

// Element i of a block, as GGUF's description of the format says it.
float element(DType dtype, const std::byte* block, int i) {
  const auto byte = [&](int at) { return std::to_integer<int>(block[at]); };
  const auto half = [&](int at) {
    return to_f32(f16{static_cast<uint16_t>(byte(at) | byte(at + 1) << 8)});
  };
  const auto signed_byte = [&](int at) { return byte(at) < 128 ? byte(at) : byte(at) - 256; };
  const auto nibble = [&](int quants) {  // of the 32-number formats
    return i < 16 ? byte(quants + i) % 16 : byte(quants + i - 16) / 16;
  };
  const auto bit = [&](int at, int index) { return byte(at + index / 8) >> index % 8 & 1; };
  const auto number = [](int x) { return static_cast<float>(x); };
  switch (dtype) {
    case DType::f32:
      return std::bit_cast<float>(static_cast<uint32_t>(byte(0)) | byte(1) << 8 | byte(2) << 16 |
                                  static_cast<uint32_t>(byte(3)) << 24);
    case DType::f16:
      return half(0);
    case DType::bf16:
      return std::bit_cast<float>(static_cast<uint32_t>(byte(0) | byte(1) << 8) << 16);
    case DType::q8_0:
      return number(signed_byte(2 + i)) * half(0);
    case DType::q4_0:
      return number(nibble(2) - 8) * half(0);
    case DType::q4_1: {
      const float product = number(nibble(4)) * half(0);
      return product + half(2);
    }
    case DType::q5_0:
      return number(nibble(6) + 16 * bit(2, i) - 16) * half(0);
    case DType::q5_1: {
      const float product = number(nibble(8) + 16 * bit(4, i)) * half(0);
      return product + half(2);
    }
    case DType::q4_k:
    case DType::q5_k: {
      const int g = i / 32, l = i % 32;
      const int s = 4;  // the 12 bytes of 6-bit scales
      int scale, min;
      if (g < 4) {
        scale = byte(s + g) % 64;
        min = byte(s + g + 4) % 64;
      } else {
        scale = byte(s + g + 4) % 16 + 16 * (byte(s + g - 4) / 64);
        min = byte(s + g + 4) / 16 + 16 * (byte(s + g) / 64);
      }
      const int quants = dtype == DType::q4_k ? 16 : 48;
      const int packed = byte(quants + 32 * (g / 2) + l);
      int n = g % 2 == 0 ? packed % 16 : packed / 16;
      if (dtype == DType::q5_k) n += 16 * (byte(16 + l) >> g & 1);
      const float step = half(0) * number(scale);
      const float product = step * number(n);
      const float offset = half(2) * number(min);
      return product - offset;
    }
    default: {  // q6_k
      const int h = i / 128, q = i % 128 / 32, l = i % 32;
      const int packed = byte(64 * h + 32 * (q % 2) + l);
      const int low = q < 2 ? packed % 16 : packed / 16;
      const int high = byte(128 + 32 * h + l) >> 2 * q & 3;
      const float step = half(208) * number(signed_byte(192 + i / 16));
      return step * number(low + 16 * high - 32);
    }
  }
}

TEST(Dequantise, EqualsTheWrittenLayoutBitForBit) {
  WeightMaker maker(7);
  for (const DType dtype : kWeightTypes) {
    SCOPED_TRACE(info(dtype).name);
    const int block = info(dtype).block_elements;
    const int64_t count = 200 * block;
    const std::vector<std::byte> row = maker.row(dtype, count, /*any_scale=*/true);
    std::vector<float> out(static_cast<std::size_t>(count));
    dequantise_row(dtype, row.data(), count, out.data());
    int different = 0;
    for (int64_t i = 0; i < count; ++i) {
      const float expected = element(dtype, row.data() + i / block * info(dtype).block_bytes,
                                     static_cast<int>(i % block));
      different += std::bit_cast<uint32_t>(out[i]) != std::bit_cast<uint32_t>(expected);
    }
    EXPECT_EQ(different, 0);
  }
}

TEST(Dequantise, NarrowsDoubles) {
  const double numbers[] = {1.0 / 3.0, -2.5, 1e300};
  std::byte bytes[sizeof numbers];
  std::memcpy(bytes, numbers, sizeof numbers);
  float out[3];
  dequantise_row(DType::f64, bytes, 3, out);
  EXPECT_EQ(out[0], 1.0f / 3.0f);
  EXPECT_EQ(out[1], -2.5f);
  EXPECT_EQ(out[2], std::numeric_limits<float>::infinity());
}

// The packed form keeps every number, negative zeros included, on every target.
TEST(PackedMatrix, RowsAreTheDequantisedRowsBitForBit) {
  WeightMaker maker(8);
  ThreadPool pool(2);
  for (const DType dtype : kWeightTypes) {
    const int block = info(dtype).block_elements;
    for (const int64_t inputs :
         {int64_t{block}, int64_t{3 * block}, int64_t{block == 1 ? 301 : 512}}) {
      for (const int64_t outputs : {1, 16, 17, 100}) {
        std::vector<std::byte> bytes;
        std::vector<std::vector<float>> expected;
        for (int64_t i = 0; i < outputs; ++i) {
          const std::vector<std::byte> row = maker.row(dtype, inputs, /*any_scale=*/true);
          bytes.insert(bytes.end(), row.begin(), row.end());
          expected.emplace_back(inputs);
          dequantise_row(dtype, row.data(), inputs, expected.back().data());
        }
        const PackedMatrix packed = PackedMatrix::pack(dtype, bytes, outputs, inputs, pool);
        EXPECT_EQ(packed.outputs(), outputs);
        EXPECT_EQ(packed.inputs(), inputs);
        EXPECT_EQ(packed.dtype(), dtype);
        for (const Target target : available_targets()) {
          const ScopedTarget forced(target);
          SCOPED_TRACE(testing::Message() << info(dtype).name << " " << outputs << " x " << inputs
                                          << " on " << name(target));
          int different = 0;
          std::vector<float> out(static_cast<std::size_t>(inputs));
          for (int64_t i = 0; i < outputs; ++i) {
            packed.row(i, out.data());
            different += std::memcmp(out.data(), expected[i].data(), out.size() * 4) != 0;
          }
          EXPECT_EQ(different, 0);
        }
      }
    }
  }
}

TEST(PackedMatrix, IsAsLargeAsTheFile) {
  ThreadPool pool(1);
  WeightMaker maker(9);
  for (const DType dtype : kWeightTypes) {
    const std::vector<std::byte> bytes = maker.matrix(dtype, 64, 512);
    const PackedMatrix packed = PackedMatrix::pack(dtype, bytes, 64, 512, pool);
    EXPECT_LE(packed.bytes(), static_cast<int64_t>(bytes.size()) * 103 / 100) << info(dtype).name;
  }
}

TEST(PackedMatrix, TakesRotatedPairsApart) {
  ThreadPool pool(1);
  WeightMaker maker(10);
  const int64_t head = 8, outputs = 24, inputs = 32;
  const std::vector<std::byte> bytes = maker.matrix(DType::q4_1, outputs, inputs);
  const PackedMatrix packed =
      PackedMatrix::pack(DType::q4_1, bytes, outputs, inputs, pool, /*permute_halves=*/head);
  const int64_t from[8] = {0, 2, 4, 6, 1, 3, 5, 7};
  for (int64_t i = 0; i < outputs; ++i) {
    std::vector<float> expected(inputs), out(inputs);
    const int64_t source = i / head * head + from[i % head];
    dequantise_row(DType::q4_1, bytes.data() + source * row_bytes(DType::q4_1, inputs), inputs,
                   expected.data());
    packed.row(i, out.data());
    EXPECT_EQ(out, expected) << i;
  }
}

}  // namespace
}  // namespace regard
