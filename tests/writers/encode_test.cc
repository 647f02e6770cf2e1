// Encoded blocks against those of the gguf package, byte for byte; halves against the library's
// own.
#include "writers/encode.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstring>
#include <fstream>
#include <iterator>
#include <limits>
#include <string>
#include <vector>

#include "regard/half.h"

namespace regard {
namespace {

constexpr int64_t kBlocks = 96;
constexpr int64_t kNumbers = 32 * kBlocks;

std::string golden() {
  std::ifstream file(GOLDEN, std::ios::binary);
  return std::string((std::istreambuf_iterator<char>(file)), {});
}

TEST(Encode, BlocksAreThoseOfTheReference) {
  const std::string bytes = golden();
  std::vector<float> numbers(kNumbers);
  ASSERT_EQ(bytes.size(), kNumbers * sizeof(float) + kBlocks * (34 + 18 + 20));
  std::memcpy(numbers.data(), bytes.data(), kNumbers * sizeof(float));
  std::size_t at = kNumbers * sizeof(float);
  for (const DType dtype : {DType::q8_0, DType::q4_0, DType::q4_1}) {
    ASSERT_TRUE(can_encode(dtype));
    std::vector<std::byte> out(static_cast<std::size_t>(row_bytes(dtype, kNumbers)));
    encode_row(dtype, numbers, out.data());
    const auto each = static_cast<std::size_t>(info(dtype).block_bytes);
    for (std::size_t block = 0; block < kBlocks; ++block) {
      EXPECT_EQ(std::memcmp(out.data() + block * each, bytes.data() + at + block * each, each), 0)
          << info(dtype).name << " block " << block;
    }
    at += out.size();
  }
}

TEST(Encode, PlainNumbersAreRoundedOnce) {
  std::vector<float> numbers;
  for (int i = 0; i < 5000; ++i) numbers.push_back(std::ldexp(1.0f + 0.37f * i, i % 40 - 30));
  numbers.insert(numbers.end(), {0.0f, -0.0f, 1.0f / 3, -65504.0f, 1e-40f});
  std::vector<std::byte> out(numbers.size() * sizeof(float));
  encode_row(DType::f32, numbers, out.data());
  EXPECT_EQ(std::memcmp(out.data(), numbers.data(), out.size()), 0);
  encode_row(DType::f16, numbers, out.data());
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    uint16_t bits;
    std::memcpy(&bits, out.data() + 2 * i, 2);
    EXPECT_EQ(bits, to_f16(numbers[i]).bits);
  }
  encode_row(DType::bf16, numbers, out.data());
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    uint16_t bits;
    std::memcpy(&bits, out.data() + 2 * i, 2);
    EXPECT_EQ(bits, to_bf16(numbers[i]).bits);
  }
}

TEST(Encode, NoBlockOfFiniteNumbersIsOutOfRange) {
  const float extremes[] = {
      0,      -0.0f, std::numeric_limits<float>::denorm_min(), std::numeric_limits<float>::min(),
      1e-38f, 65504, std::numeric_limits<float>::max()};
  for (const float most : extremes) {
    for (const float sign : {1.0f, -1.0f}) {
      std::array<float, 32> block{};
      block[3] = sign * most;
      block[4] = -sign * most / 3;
      std::array<std::byte, 34> out{};
      for (const DType dtype : {DType::q8_0, DType::q4_0, DType::q4_1}) {
        encode_row(dtype, block, out.data());  // the sanitizers look on
      }
    }
  }
  EXPECT_FALSE(can_encode(DType::q5_0));
  EXPECT_FALSE(can_encode(DType::i8));
}

}  // namespace
}  // namespace regard
