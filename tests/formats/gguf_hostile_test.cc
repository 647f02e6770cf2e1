// Files that mean harm: every cut, every flipped bit, the public incidents, and sizes chosen to
// make a reader slow or large. Each must end in a load or in one clean refusal.
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "allocation_meter.h"
#include "gguf_builder.h"
#include "gguf_incidents.h"
#include "gguf_walk.h"

namespace regard {
namespace {

constexpr double kSeconds = 1.0;
constexpr std::size_t kBytes = std::size_t{64} << 20;

// Opens and describes, within the bounds that hold for every file of up to 1 MB.
bool loads_in_bounds(const std::string& bytes) {
  const AllocationMeter meter;
  const double start = cpu_seconds();
  bool loaded = false;
  try {
    const GgufFile file = GgufFile::parse(as_bytes(bytes), "hostile.gguf");
    loaded = true;
    summarise(file);
  } catch (const Error& error) {
    expect_clean(error, "hostile.gguf");
  }
  EXPECT_LT(cpu_seconds() - start, kSeconds);
  EXPECT_LT(meter.peak(), kBytes);
  return loaded;
}

TEST(AllocationMeter, SeesThePeak) {
  const AllocationMeter meter;
  { const std::vector<char> big(5 << 20); }
  const std::vector<char> small(1 << 20);
  EXPECT_GE(meter.peak(), std::size_t{5} << 20);
  EXPECT_LT(meter.peak(), std::size_t{6} << 20);
}

class GgufIncident : public testing::TestWithParam<Incident> {};

TEST_P(GgufIncident, IsRefusedByTheRightRule) {
  const Incident& incident = GetParam();
  EXPECT_FALSE(loads_in_bounds(incident.file)) << incident.defect;
  try {
    GgufFile::parse(as_bytes(incident.file), "m.gguf");
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find(incident.message), std::string::npos) << error.what();
  }
}

INSTANTIATE_TEST_SUITE_P(Public, GgufIncident, testing::ValuesIn(gguf_incidents()),
                         [](const auto& test) { return test.param.name; });

TEST(GgufHostile, TruncatedAtEveryByte) {
  const GgufBuilder builder = small_model();
  const std::string whole = builder.build();
  for (std::size_t size = 0; size < whole.size(); ++size) {
    // A copy of just that size, so that a sanitizer sees any read behind it.
    const std::string cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
    ASSERT_FALSE(loads_or_refuses(as_bytes(cut))) << size;
  }
  ASSERT_TRUE(loads_or_refuses(as_bytes(whole)));
}

TEST(GgufHostile, EveryBitOfTheHeaderFlipped) {
  const GgufBuilder builder = small_model();
  std::string bytes = builder.build();
  const std::size_t header = builder.header().size();
  int loaded = 0;
  for (std::size_t bit = 0; bit < 8 * header; ++bit) {
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << bit % 8));
    loaded += loads_or_refuses(as_bytes(bytes)) ? 1 : 0;
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << bit % 8));
  }
  // A flip in a name or number leaves a file that can be read; one in a length or count does not.
  EXPECT_GT(loaded, 0);
  EXPECT_LT(loaded, static_cast<int>(8 * header));
}

TEST(GgufHostile, AThousandRandomFlips) {
  const std::string whole = small_model().build();
  std::mt19937_64 random(1);
  for (int i = 0; i < 1000; ++i) {
    std::string bytes = whole;
    const auto flips = 1 + random() % 16;
    for (uint64_t flip = 0; flip < flips; ++flip) {
      const uint64_t bit = random() % (8 * bytes.size());
      bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << bit % 8));
    }
    loads_or_refuses(as_bytes(bytes));
  }
}

TEST(GgufHostile, EightBytesAnywhereReplacedByExtremes) {
  const GgufBuilder builder = small_model();
  const std::string whole = builder.build();
  const std::size_t header = builder.header().size();
  for (const uint64_t extreme :
       {uint64_t{0}, ~uint64_t{0}, uint64_t{1} << 63, (uint64_t{1} << 63) - 1, uint64_t{1} << 32,
        uint64_t{0x7FFFFFFF}, uint64_t{whole.size()}}) {
    for (std::size_t at = 4; at + 8 <= header; ++at) {
      std::string bytes = whole;
      std::memcpy(bytes.data() + at, &extreme, sizeof extreme);
      loads_or_refuses(as_bytes(bytes));
    }
  }
}

// ggml compares all pairs of names, which takes minutes here.
TEST(GgufHostile, QuadraticDuplicates) {
  GgufBuilder keys, tensors;
  for (int i = 0; i < 100'000; ++i) {
    const std::string name = std::to_string(i * 7919LL % 100'000);
    keys.key<bool>(name, true);
    tensors.tensor(name, {}, 24, 1);
  }
  EXPECT_TRUE(loads_in_bounds(keys.build()));
  EXPECT_TRUE(loads_in_bounds(tensors.build()));
  keys.key<bool>("0", true);
  tensors.tensor("0", {}, 24, 1);
  EXPECT_FALSE(loads_in_bounds(keys.build()));
  EXPECT_FALSE(loads_in_bounds(tensors.build()));
}

TEST(GgufHostile, AMegabyteOfTheSmallestThings) {
  constexpr std::size_t kMegabyte = 1 << 20;
  GgufBuilder keys, tensors;
  std::string name(3, '\0');
  for (uint32_t i = 0; i < kMegabyte / 16; ++i) {
    std::memcpy(name.data(), &i, 3);
    keys.key<bool>("q" + name, true);
    if (i < kMegabyte / 60) tensors.tensor("q" + name, {}, 24, 1);
  }
  EXPECT_TRUE(loads_in_bounds(keys.build()));
  EXPECT_TRUE(loads_in_bounds(tensors.build()));
  GgufBuilder strings;
  strings.raw_array("tokenizer.ggml.tokens", 8, kMegabyte / 8, std::string(kMegabyte, '\0'));
  EXPECT_TRUE(loads_in_bounds(strings.build()));
  GgufBuilder numbers;
  numbers.array("n", std::vector<uint8_t>(kMegabyte, 1));
  EXPECT_TRUE(loads_in_bounds(numbers.build()));
  GgufBuilder text;
  text.string_key("general.architecture", std::string(kMegabyte, 'a'));
  EXPECT_TRUE(loads_in_bounds(text.build()));
}

// Long names that differ only at their ends make each comparison as dear as it can be.
TEST(GgufHostile, LongCommonPrefixes) {
  GgufBuilder file;
  for (int i = 0; i < 1000; ++i) file.key<bool>(std::string(1000, 'a') + std::to_string(i), true);
  EXPECT_TRUE(loads_in_bounds(file.build()));
}

TEST(GgufHostile, NestedArraysDoNotRecurse) {
  std::string value;
  for (int depth = 0; depth < 80'000; ++depth) {
    append<uint32_t>(value, static_cast<uint32_t>(GgufType::array));
    append<uint64_t>(value, 1);
  }
  GgufBuilder file;
  file.raw_key("deep", static_cast<uint32_t>(GgufType::array), value);
  EXPECT_FALSE(loads_in_bounds(file.build()));
}

TEST(GgufHostile, AFileThatChangesAfterOpeningCannotLeadStringsAstray) {
  GgufBuilder builder;
  builder.strings("s", {"one", "two", "three"});
  std::string bytes = builder.build();
  const GgufFile file = GgufFile::parse(as_bytes(bytes), "m.gguf");
  const std::size_t first = bytes.find("one");
  const uint64_t huge = ~uint64_t{0};
  std::memcpy(bytes.data() + first - sizeof huge, &huge, sizeof huge);
  std::size_t letters = 0;
  std::size_t strings = 0;
  for (const std::string_view text : file.get_strings("s")) {
    for (const char letter : text) letters += letter != '\0' ? 1 : 0;
    letters += text.size();
    ++strings;
  }
  EXPECT_EQ(strings, 3u);
  EXPECT_LE(letters, 2 * bytes.size());
}

}  // namespace
}  // namespace regard
