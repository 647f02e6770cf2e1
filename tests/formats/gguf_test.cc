// What a right GGUF file gives: every value type, every getter, tensors, and the mapping.
#include "formats/gguf.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <type_traits>
#include <utility>

#include "formats/ggml_types.h"
#include "gguf_builder.h"

namespace regard {
namespace {

GgufFile parse(const std::string& bytes) { return GgufFile::parse(as_bytes(bytes), "test.gguf"); }

std::vector<std::string> all(const GgufStrings& strings) {
  return {strings.begin(), strings.end()};
}

TEST(Gguf, ReadsEveryValueType) {
  GgufBuilder builder;
  builder.key<uint8_t>("u8", 200).key<int8_t>("i8", -100).key<uint16_t>("u16", 60000);
  builder.key<int16_t>("i16", -30000).key<uint32_t>("u32", 4000000000u);
  builder.key<int32_t>("i32", -2000000000).key<float>("f32", 0.5f).key<bool>("bool", true);
  builder.key<uint64_t>("u64", ~uint64_t{0}).key<int64_t>("i64", -5).key<double>("f64", 1e100);
  builder.string_key("string", "text").string_key("bytes", std::string_view("\0\xFF", 2));
  builder.strings("strings", {"one", "", "three"}).array<uint8_t>("u8s", {1, 255});
  builder.array<float>("f32s", {0.5f, -INFINITY}).array<double>("f64s", {0.25});
  builder.array<int64_t>("i64s", {-7}).array<bool>("bools", {true, false});
  builder.array<float>("none", {});
  const std::string bytes = builder.build();
  const GgufFile file = parse(bytes);

  EXPECT_EQ(file.version(), 3u);
  EXPECT_EQ(file.alignment(), 32u);
  EXPECT_EQ(file.keys().size(), 20u);
  EXPECT_EQ(file.keys()[11].key, "string");
  EXPECT_EQ(file.keys()[13].type, GgufType::array);
  EXPECT_EQ(file.keys()[13].element, GgufType::string);
  EXPECT_EQ(file.keys()[13].count, 3u);
  EXPECT_TRUE(file.tensors().empty());

  EXPECT_EQ(file.get_u64("u8"), 200u);
  EXPECT_EQ(file.get_int("i8", -128, 127), -100);
  EXPECT_EQ(file.get_u64("u16"), 60000u);
  EXPECT_EQ(file.get_int("i16", -30000, 0), -30000);
  EXPECT_EQ(file.get_u64("u32"), 4000000000u);
  EXPECT_EQ(file.get_int("i32", std::numeric_limits<int64_t>::min(), 0), -2000000000);
  EXPECT_EQ(file.get_u64("u64"), ~uint64_t{0});
  EXPECT_EQ(file.get_int("i64", -5, -5), -5);
  EXPECT_EQ(file.get_f32("f32"), 0.5f);
  EXPECT_EQ(file.get_f64("f32"), 0.5);
  EXPECT_EQ(file.get_f64("f64"), 1e100);
  EXPECT_TRUE(file.get_bool("bool"));
  EXPECT_EQ(file.get_string("string"), "text");
  EXPECT_EQ(file.get_string("bytes"), std::string_view("\0\xFF", 2));
  EXPECT_EQ(all(file.get_strings("strings")), (std::vector<std::string>{"one", "", "three"}));
  EXPECT_EQ(file.get_strings("strings").size(), 3u);
  EXPECT_EQ(file.get_i32s("u8s"), (std::vector<int32_t>{1, 255}));
  EXPECT_EQ(file.get_i32s("i64s"), (std::vector<int32_t>{-7}));
  EXPECT_EQ(file.get_f32s("f32s"), (std::vector<float>{0.5f, -INFINITY}));
  EXPECT_EQ(file.get_f32s("f64s"), (std::vector<float>{0.25f}));
  EXPECT_TRUE(file.get_f32s("none").empty());
}

TEST(Gguf, AnAbsentKeyIsNothing) {
  const std::string bytes = GgufBuilder().build();
  const GgufFile file = parse(bytes);
  EXPECT_FALSE(file.has("k"));
  EXPECT_EQ(file.find_u64("k"), std::nullopt);
  EXPECT_EQ(file.find_int("k", 0, 1), std::nullopt);
  EXPECT_EQ(file.find_f64("k"), std::nullopt);
  EXPECT_EQ(file.find_f32("k"), std::nullopt);
  EXPECT_EQ(file.find_bool("k"), std::nullopt);
  EXPECT_EQ(file.find_string("k"), std::nullopt);
  EXPECT_FALSE(file.find_strings("k").has_value());
  EXPECT_EQ(file.find_i32s("k"), std::nullopt);
  EXPECT_EQ(file.find_f32s("k"), std::nullopt);
  EXPECT_EQ(file.find_per_layer("k", 2, 0, 9), std::nullopt);
  EXPECT_EQ(file.find("t"), nullptr);
}

TEST(Gguf, OneNumberALayerFromAScalarOrAnArray) {
  GgufBuilder builder;
  builder.key<uint32_t>("scalar", 8).array<uint32_t>("array", {4, 2, 1});
  const std::string bytes = builder.build();
  const GgufFile file = parse(bytes);
  EXPECT_EQ(file.get_per_layer("scalar", 3, 1, 8), (std::vector<int64_t>{8, 8, 8}));
  EXPECT_EQ(file.get_per_layer("array", 3, 1, 8), (std::vector<int64_t>{4, 2, 1}));
  EXPECT_TRUE(file.get_per_layer("scalar", 0, 1, 8).empty());
}

TEST(Gguf, GivesEachTensorItsBytes) {
  GgufBuilder builder;
  builder.tensor("matrix", {64, 3}, 3, 2 * 20 * 3);  // q4_1
  builder.tensor("cube", {2, 3, 4}, 1, 48).tensor("scalar", {}, 28, 8);
  builder.tensor("other", {256, 2}, 10, 168);  // q2_k
  const std::string bytes = builder.build();
  const GgufFile file = parse(bytes);
  ASSERT_EQ(file.tensors().size(), 4u);

  const GgufTensor& matrix = file.get("matrix");
  EXPECT_EQ(&matrix, file.tensors().data());
  EXPECT_EQ(matrix.dtype, DType::q4_1);
  EXPECT_EQ(matrix.type_name, "q4_1");
  EXPECT_EQ(matrix.rank, 2);
  EXPECT_EQ(matrix.dims, (std::array<int64_t, 4>{64, 3, 1, 1}));
  EXPECT_EQ(matrix.elements(), 192);
  EXPECT_EQ(matrix.data.size(), 120u);
  EXPECT_EQ(matrix.data.data(), as_bytes(bytes).data() + file.data_start());
  EXPECT_EQ(file.data_start() % 32, 0u);
  for (std::size_t i = 0; i < matrix.data.size(); ++i) {
    ASSERT_EQ(std::to_integer<int>(matrix.data[i]), static_cast<uint8_t>(i * 7 + 1));
  }
  EXPECT_EQ(file.get("cube").data.data(), matrix.data.data() + 128);
  EXPECT_EQ(file.get("cube").rank, 3);
  EXPECT_EQ(file.get("scalar").rank, 0);
  EXPECT_EQ(file.get("scalar").elements(), 1);
  EXPECT_EQ(file.get("scalar").dtype, DType::f64);
  EXPECT_EQ(file.get("other").dtype, std::nullopt);
  EXPECT_EQ(file.get("other").type_name, "q2_k");
  EXPECT_EQ(file.get("other").data.size(), 168u);
}

TEST(Gguf, TensorsMayLieInAnyOrderWithGaps) {
  GgufBuilder builder;
  builder.tensor("late", {8}, 0, 32, 128).tensor("early", {8}, 0, 32, 0);
  builder.tensor("filler", {32}, 0, 128, 256);
  std::string bytes = builder.build();
  bytes.resize(bytes.size() + 384);
  const GgufFile file = parse(bytes);
  EXPECT_EQ(file.get("late").data.data() - file.get("early").data.data(), 128);
}

TEST(Gguf, HonoursItsAlignment) {
  for (const uint32_t alignment : {8u, 64u, 4096u}) {
    GgufBuilder builder;
    builder.alignment = alignment;
    builder.key<uint32_t>("general.alignment", alignment).f32_tensor("a", {3});
    builder.f32_tensor("b", {5});
    const std::string bytes = builder.build();
    const GgufFile file = parse(bytes);
    EXPECT_EQ(file.alignment(), alignment);
    EXPECT_EQ(file.data_start() % alignment, 0u);
    EXPECT_EQ(file.get("b").data.data() - file.get("a").data.data(),
              alignment * ((12 + alignment - 1) / alignment));
  }
}

TEST(Gguf, ReadsVersionTwo) {
  GgufBuilder builder = small_model();
  builder.version = 2;
  const std::string bytes = builder.build();
  EXPECT_EQ(parse(bytes).version(), 2u);
}

TEST(Gguf, LooksUpByNameAmongMany) {
  GgufBuilder builder;
  for (int i = 0; i < 500; ++i) {
    builder.key<int32_t>("key" + std::to_string(i * 7919 % 500), i);
    builder.f32_tensor("tensor" + std::to_string(i * 7919 % 500), {static_cast<uint64_t>(i + 1)});
  }
  const std::string bytes = builder.build();
  const GgufFile file = parse(bytes);
  for (int i = 0; i < 500; ++i) {
    EXPECT_EQ(file.get_int("key" + std::to_string(i * 7919 % 500), i, i), i);
    EXPECT_EQ(file.get("tensor" + std::to_string(i * 7919 % 500)).dims[0], i + 1);
  }
  EXPECT_FALSE(file.has("key500"));
  EXPECT_FALSE(file.has(""));
}

// The expected sizes are those of ggml-common.h's structs, written out independently of the table.
TEST(Gguf, KnowsEveryTypesBlock) {
  const int f16 = 2;
  const struct {
    uint32_t id;
    int elements, bytes;
  } kWanted[] = {{0, 1, 4},
                 {1, 1, 2},
                 {2, 32, f16 + 16},
                 {3, 32, 2 * f16 + 16},
                 {6, 32, f16 + 4 + 16},
                 {7, 32, 2 * f16 + 4 + 16},
                 {8, 32, f16 + 32},
                 {9, 32, 2 * f16 + 32},
                 {10, 256, 16 + 64 + 2 * f16},
                 {11, 256, 32 + 64 + 12 + f16},
                 {12, 256, 2 * f16 + 12 + 128},
                 {13, 256, 2 * f16 + 12 + 32 + 128},
                 {14, 256, 128 + 64 + 16 + f16},
                 {15, 256, 4 + 256 + 32},
                 {16, 256, f16 + 64},
                 {17, 256, f16 + 64 + 8},
                 {18, 256, f16 + 96},
                 {19, 256, f16 + 32 + 16},
                 {20, 32, f16 + 16},
                 {21, 256, f16 + 64 + 8 + 32 + 4},
                 {22, 256, f16 + 64 + 8 + 8},
                 {23, 256, f16 + 2 + 4 + 128},
                 {24, 1, 1},
                 {25, 1, 2},
                 {26, 1, 4},
                 {27, 1, 8},
                 {28, 1, 8},
                 {29, 256, 32 + 16 + 8},
                 {30, 1, 2},
                 {34, 256, f16 + 48 + 4},
                 {35, 256, f16 + 64},
                 {39, 32, 1 + 16},
                 {40, 64, 4 + 32},
                 {41, 128, f16 + 16},
                 {42, 64, f16 + 16}};
  uint32_t known = 0;
  for (const auto& wanted : kWanted) {
    SCOPED_TRACE(wanted.id);
    const GgmlType* type = find_ggml_type(wanted.id);
    ASSERT_NE(type, nullptr);
    EXPECT_EQ(type->block_elements, wanted.elements);
    EXPECT_EQ(type->block_bytes, wanted.bytes);
    if (type->dtype) {
      EXPECT_EQ(type->name, info(*type->dtype).name);
      EXPECT_EQ(type->block_elements, info(*type->dtype).block_elements);
      EXPECT_EQ(type->block_bytes, info(*type->dtype).block_bytes);
    }
    ++known;
  }
  uint32_t found = 0;
  for (uint32_t id = 0; id < 1000; ++id) found += find_ggml_type(id) != nullptr ? 1 : 0;
  EXPECT_EQ(found, known);
  for (const uint32_t id : {4, 5, 31, 32, 33, 36, 37, 38}) EXPECT_TRUE(is_removed_ggml_type(id));
  EXPECT_FALSE(is_removed_ggml_type(43));
}

static_assert(!std::is_copy_constructible_v<GgufFile> && !std::is_copy_assignable_v<GgufFile>);

class GgufOnDisk : public testing::Test {
 protected:
  GgufOnDisk()
      : folder_(std::filesystem::temp_directory_path() /
                ("regard_gguf_test_" + std::to_string(getpid()))) {
    std::filesystem::create_directory(folder_);
  }
  ~GgufOnDisk() override { std::filesystem::remove_all(folder_); }

  std::filesystem::path write(const std::string& bytes) const {
    const std::filesystem::path path = folder_ / "model.gguf";
    std::ofstream(path, std::ios::binary) << bytes;
    return path;
  }

  // Pages of `part` that are resident in this process, in kB.
  static long resident_kb(std::span<const std::byte> part) {
    std::ifstream maps("/proc/self/smaps");
    const auto wanted = reinterpret_cast<uintptr_t>(part.data());
    std::string line;
    bool inside = false;
    while (std::getline(maps, line)) {
      unsigned long first, last;
      long kb;
      if (std::sscanf(line.c_str(), "%lx-%lx ", &first, &last) == 2) {
        inside = first <= wanted && wanted < last;
      } else if (inside && std::sscanf(line.c_str(), "Rss: %ld kB", &kb) == 1) {
        return kb;
      }
    }
    return -1;
  }

  std::filesystem::path folder_;
};

TEST_F(GgufOnDisk, OpensAndMoves) {
  const std::string bytes = small_model().build();
  GgufFile file = GgufFile::open(write(bytes));
  EXPECT_EQ(file.bytes().size(), bytes.size());
  const GgufTensor& before = file.get("token_embd.weight");
  GgufFile moved = std::move(file);
  EXPECT_EQ(&moved.get("token_embd.weight"), &before);
  EXPECT_EQ(moved.get_string("general.name"), "small");
  moved = GgufFile::open(write(small_model().string_key("extra", "yes").build()));
  EXPECT_EQ(moved.get_string("extra"), "yes");
}

TEST_F(GgufOnDisk, AnUnlinkedFileStaysReadable) {
  const std::filesystem::path path = write(small_model().build());
  const GgufFile file = GgufFile::open(path);
  std::filesystem::remove(path);
  EXPECT_EQ(file.get_string("general.name"), "small");
}

TEST_F(GgufOnDisk, ReleasedPagesLeaveResidentMemoryAndComeBack) {
  GgufBuilder builder;
  builder.f32_tensor("big", {1 << 20}).f32_tensor("small", {4});
  const GgufFile file = GgufFile::open(write(builder.build()));
  const auto data = file.get("big").data;
  const auto sum = [&] {
    uint64_t total = 0;
    for (const std::byte value : data) total += std::to_integer<uint64_t>(value);
    return total;
  };
  const uint64_t before = sum();
  const long resident = resident_kb(data);
  ASSERT_GE(resident, 4096);
  file.release(data);
  EXPECT_LE(resident_kb(data), 64);
  EXPECT_EQ(sum(), before);
  EXPECT_GE(resident_kb(data), 4096);
}

TEST_F(GgufOnDisk, ReleaseLeavesOtherMemoryAlone) {
  const std::string bytes = small_model().build();
  std::vector<std::byte> own(1 << 16, std::byte{7});
  GgufFile::open(write(bytes)).release(own);
  GgufFile::parse(as_bytes(bytes), "test").release(own);
  for (const std::byte value : own) ASSERT_EQ(value, std::byte{7});
}

}  // namespace
}  // namespace regard
