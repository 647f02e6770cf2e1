// Safetensors files that mean harm: every case of the list, every cut, every flipped bit, and
// headers chosen to make a reader slow or large. Each ends in a load or in one clean refusal.
#include <gtest/gtest.h>

#include <random>

#include "allocation_meter.h"
#include "safetensors_builder.h"
#include "safetensors_walk.h"

namespace regard {
namespace {

std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text));
}

// Within the bounds that hold for every file of up to 1 MB.
bool loads_in_bounds(const std::string& bytes) {
  const AllocationMeter meter;
  const double start = cpu_seconds();
  const bool loaded = safetensors_loads_or_refuses(bytes_of(bytes));
  EXPECT_LT(cpu_seconds() - start, 1.0);
  EXPECT_LT(meter.peak(), std::size_t{64} << 20);
  return loaded;
}

class SafetensorsCases : public testing::TestWithParam<SafetensorsCase> {};

TEST_P(SafetensorsCases, IsReadOrRefusedByTheRightRule) {
  const SafetensorsCase& one = GetParam();
  EXPECT_EQ(loads_in_bounds(one.file), one.message.empty());
  try {
    Safetensors::parse(bytes_of(one.file), "x.safetensors");
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find(one.message), std::string::npos) << error.what();
  }
}

INSTANTIATE_TEST_SUITE_P(All, SafetensorsCases, testing::ValuesIn(safetensors_cases()),
                         [](const auto& test) { return test.param.name; });

std::string small_file() {
  return safetensors_file(R"({"__metadata__":{"format":"pt"},)" +
                              entry("a", "F32", "[2,3]", 0, 24) + "," +
                              entry("b", "BF16", "[4]", 24, 32) + "}  ",
                          32);
}

TEST(SafetensorsHostile, CutShortAtEveryByte) {
  const std::string whole = small_file();
  for (std::size_t size = 0; size < whole.size(); ++size) {
    // A copy of just that size, so that a sanitizer sees any read behind it.
    const std::string cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
    ASSERT_FALSE(safetensors_loads_or_refuses(bytes_of(cut))) << size;
  }
  ASSERT_TRUE(safetensors_loads_or_refuses(bytes_of(whole)));
}

TEST(SafetensorsHostile, EveryBitOfTheHeaderFlipped) {
  std::string bytes = small_file();
  const std::size_t bits = 8 * (bytes.size() - 32);
  std::size_t loaded = 0;
  for (std::size_t bit = 0; bit < bits; ++bit) {
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << bit % 8));
    loaded += safetensors_loads_or_refuses(bytes_of(bytes)) ? 1 : 0;
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << bit % 8));
  }
  EXPECT_GT(loaded, 0u);  // a letter of a name
  EXPECT_LT(loaded, bits / 4);
}

TEST(SafetensorsHostile, AMegabyteOfTheSmallestThings) {
  std::string tensors = "{";
  for (int i = 0; i < 17'000; ++i) tensors += entry(std::to_string(i), "U8", "[0]", 0, 0) + ",";
  tensors.back() = '}';
  EXPECT_TRUE(loads_in_bounds(safetensors_file(tensors, 0)));
  std::string ones = R"({"a":{"dtype":"U8","data_offsets":[0,1],"shape":[)";
  for (int i = 0; i < 500'000; ++i) ones += "1,";
  ones.back() = ']';
  EXPECT_TRUE(loads_in_bounds(safetensors_file(ones + "}}", 1)));
  std::string metadata = R"({"__metadata__":{)";
  for (int i = 0; i < 70'000; ++i) metadata += fmt::format("\"{:x}\":\"\",", i);
  metadata.back() = '}';
  EXPECT_TRUE(loads_in_bounds(safetensors_file(metadata + "}", 0)));
  std::string lists = R"({"a":[)";
  for (int i = 0; i < 330'000; ++i) lists += "[],";
  lists.back() = ']';
  EXPECT_FALSE(loads_in_bounds(safetensors_file(lists + "}", 0)));
  const std::string long_name(1'000'000, 'a');
  EXPECT_FALSE(
      loads_in_bounds(safetensors_file("{" + entry(long_name, "F32", "[1]", 0, 1) + "}", 1)));
}

TEST(SafetensorsHostile, AThousandRandomFlips) {
  const std::string whole = small_file();
  std::mt19937_64 random(1);
  for (int i = 0; i < 1000; ++i) {
    std::string bytes = whole;
    const auto flips = 1 + random() % 8;
    for (uint64_t flip = 0; flip < flips; ++flip) {
      const uint64_t bit = random() % (8 * bytes.size());
      bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << bit % 8));
    }
    safetensors_loads_or_refuses(bytes_of(bytes));
  }
}

}  // namespace
}  // namespace regard
