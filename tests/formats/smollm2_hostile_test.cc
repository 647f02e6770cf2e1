// The real model, damaged: its header cut at every 64th byte, and a thousand times some of its
// bits flipped. REGARD_TEST_MODEL names SmolLM2-135M-Instruct.Q4_1.gguf.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <random>

#include "allocation_meter.h"
#include "formats/describe.h"
#include "gguf_walk.h"

namespace regard {
namespace {

constexpr double kSeconds = 1.0;
constexpr std::size_t kBytes = std::size_t{64} << 20;

// The model's bytes, privately writable: a flip copies one page and never reaches the file.
class SmolLM2 : public testing::Test {
 protected:
  void SetUp() override {
    const char* path = std::getenv("REGARD_TEST_MODEL");
    ASSERT_NE(path, nullptr) << "REGARD_TEST_MODEL must name SmolLM2-135M-Instruct.Q4_1.gguf";
    const int file = open(path, O_RDONLY | O_CLOEXEC);
    ASSERT_GE(file, 0) << path;
    struct stat facts {};
    ASSERT_EQ(fstat(file, &facts), 0);
    size_ = static_cast<std::size_t>(facts.st_size);
    void* mapping = mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0);
    close(file);
    ASSERT_NE(mapping, MAP_FAILED);
    data_ = static_cast<std::byte*>(mapping);
    header_ = GgufFile::parse(bytes(), path).data_start();
  }
  void TearDown() override {
    if (data_ != nullptr) munmap(data_, size_);
  }

  std::span<const std::byte> bytes() const { return {data_, size_}; }

  static bool loads_in_bounds(std::span<const std::byte> bytes) {
    const AllocationMeter meter;
    const double start = cpu_seconds();
    const bool loaded = loads_or_refuses(bytes);
    EXPECT_LT(cpu_seconds() - start, kSeconds);
    EXPECT_LT(meter.peak(), kBytes);
    return loaded;
  }

  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
  std::size_t header_ = 0;
};

TEST_F(SmolLM2, ReadsWhole) {
  const GgufFile file = GgufFile::open(std::getenv("REGARD_TEST_MODEL"));
  const FileSummary summary = summarise(file);
  EXPECT_EQ(summary.architecture, "llama");
  EXPECT_EQ(summary.tensors, 272);
  EXPECT_EQ(summary.keys, 33);
  EXPECT_EQ(summary.parameters, 134515008);
  EXPECT_EQ(summary.layers, 30);
  EXPECT_EQ(summary.context_length, 8192);
  EXPECT_EQ(summary.tokens, 49152);
  EXPECT_EQ(summary.types[0].type, "q4_1");
  EXPECT_EQ(summary.types[0].tensors, 210);
  EXPECT_EQ(file.get("token_embd.weight").dims, (std::array<int64_t, 4>{576, 49152, 1, 1}));
  EXPECT_EQ(file.data_start(), 1785664u);
  EXPECT_TRUE(loads_in_bounds(bytes()));
}

TEST_F(SmolLM2, HeaderTruncatedAtEvery64thByte) {
  for (std::size_t size = 0; size <= header_; size += 64) {
    ASSERT_FALSE(loads_in_bounds(bytes().first(size))) << size;
  }
}

TEST_F(SmolLM2, RandomBitsOfTheHeaderFlipped) {
  std::mt19937_64 random(1);
  int loaded = 0;
  for (int i = 0; i < 1000; ++i) {
    // Half the cases strike the small fields in front of and behind the vocabulary.
    const auto pick = [&] {
      const uint64_t place = random();
      if (i % 2 == 0) return place % (8 * header_);
      return place % 2 == 0 ? place % (8 * 1024) : 8 * (header_ - 16384) + place % (8 * 16384);
    };
    std::vector<uint64_t> bits(1 + random() % 8);
    for (uint64_t& bit : bits) bit = pick();
    const auto flip = [&] {
      for (const uint64_t bit : bits) data_[bit / 8] ^= std::byte{1} << static_cast<int>(bit % 8);
    };
    flip();
    loaded += loads_in_bounds(bytes()) ? 1 : 0;
    flip();
  }
  EXPECT_GT(loaded, 0);
  EXPECT_LT(loaded, 1000);
}

}  // namespace
}  // namespace regard
