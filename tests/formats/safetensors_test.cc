// What a safetensors file or folder says is what comes out, and a folder that does not agree with
// itself ends in one line.
#include "formats/safetensors.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "regard/error.h"
#include "safetensors_builder.h"

namespace regard {
namespace {

namespace fs = std::filesystem;

std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text));
}

TEST(Safetensors, TensorsAsTheFileHasThem) {
  const std::string file = safetensors_file(
      R"({"__metadata__":{"format":"pt"},)" + entry("b.w", "BF16", "[3,2]", 4, 16) + "," +
          entry("a", "F32", "[]", 0, 4) + "," + entry("c", "F8_E4M3", "[1,2,1,2]", 16, 20) + "}",
      20);
  const Safetensors source = Safetensors::parse(bytes_of(file), "x.safetensors");
  EXPECT_EQ(source.metadata().at("format"), "pt");
  EXPECT_EQ(source.files(), 1);
  EXPECT_EQ(source.file_bytes(), std::ssize(file));
  ASSERT_EQ(source.tensors().size(), 3u);
  EXPECT_EQ(source.tensors()[0].name, "a");  // in the order of the data
  const TensorInfo& b = source.get("b.w");
  EXPECT_EQ(b.dtype, DType::bf16);
  EXPECT_EQ(b.type_name, "bf16");
  EXPECT_EQ(b.rank, 2);
  EXPECT_EQ(b.shape, (std::array<int64_t, 4>{3, 2, 1, 1}));
  EXPECT_EQ(shape_text(b), "[3, 2]");
  EXPECT_EQ(b.data.size(), 12u);
  EXPECT_EQ(b.data.data(), bytes_of(file).data() + file.size() - 16);  // a view, no copy
  EXPECT_EQ(source.get("a").rank, 0);
  EXPECT_FALSE(source.get("c").dtype);
  EXPECT_EQ(source.get("c").type_name, "f8_e4m3");
  EXPECT_EQ(source.find("d"), nullptr);
  EXPECT_THROW(source.get("d"), Error);
}

TEST(Safetensors, MoreThanFourDimensionsAreDescribedAndNotUsed) {
  const std::string file = safetensors_file("{" + entry("a", "U8", "[1,2,1,2,1,2]", 0, 8) + "}", 8);
  const Safetensors source = Safetensors::parse(bytes_of(file), "x.safetensors");
  EXPECT_EQ(source.tensors()[0].rank, 6);
  EXPECT_EQ(shape_text(source.tensors()[0]), "[1, 2, 1, 2, ...]");
  try {
    source.get("a");
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(),
                 "x.safetensors: tensor \"a\" has 6 dimensions; at most 4 can be used");
  }
}

class SafetensorsFolder : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(testing::TempDir()) /
              fmt::format("safetensors-{}",
                          testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::remove_all(folder_);
    fs::create_directories(folder_);
    write("one.safetensors", shard("a"));
    write("two.safetensors", shard("b"));
    index(R"({"a":"one.safetensors","b":"two.safetensors"})");
  }
  void TearDown() override { fs::remove_all(folder_); }

  static std::string shard(std::string_view name) {
    return safetensors_file("{" + entry(name, "F32", "[2]", 0, 8) + "}", 8);
  }
  void write(const std::string& name, const std::string& bytes) {
    std::ofstream(folder_ / name, std::ios::binary) << bytes;
  }
  void index(std::string_view map) {
    write("model.safetensors.index.json",
          fmt::format(R"({{"metadata":{{"total_size":16}},"weight_map":{}}})", map));
  }
  void refuse(std::string_view words) {
    try {
      Safetensors::open(folder_);
      ADD_FAILURE() << "not refused: " << words;
    } catch (const Error& error) {
      const std::string message = error.what();
      EXPECT_EQ(error.kind(), ErrorKind::unreadable);
      EXPECT_EQ(message.rfind(folder_.string(), 0), 0u) << message;
      EXPECT_NE(message.find(words), std::string::npos) << message;
      EXPECT_EQ(message.find('\n'), std::string::npos);
    }
  }

  fs::path folder_;
};

TEST_F(SafetensorsFolder, IsOneSource) {
  const Safetensors source = Safetensors::open(folder_);
  EXPECT_EQ(source.files(), 2);
  EXPECT_EQ(source.tensors().size(), 2u);
  EXPECT_EQ(source.get("b").shape[0], 2);
  source.release(source.get("b").data);
  EXPECT_EQ(std::to_integer<int>(source.get("b").data[1]), 8);
  EXPECT_EQ(source.name(), folder_.string());
}

TEST_F(SafetensorsFolder, OneFileNeedsNoIndex) {
  write("model.safetensors", shard("c"));
  EXPECT_TRUE(Safetensors::open(folder_).has("c"));
  EXPECT_TRUE(Safetensors::open(folder_ / "one.safetensors").has("a"));
}

TEST_F(SafetensorsFolder, AMissingShard) {
  fs::remove(folder_ / "two.safetensors");
  refuse("tensor \"b\" lies in two.safetensors, and there is no such file");
}

TEST_F(SafetensorsFolder, ATensorThatNoShardHolds) {
  index(R"({"a":"one.safetensors","b":"two.safetensors","c":"two.safetensors"})");
  refuse("tensor \"c\" is said to lie in two.safetensors, which does not hold it");
}

TEST_F(SafetensorsFolder, ATensorInTheWrongShard) {
  index(R"({"a":"two.safetensors","b":"one.safetensors"})");
  refuse("is said to lie in two.safetensors, and one.safetensors holds one, too");
}

TEST_F(SafetensorsFolder, ATensorInTwoShards) {
  write("two.safetensors",
        safetensors_file(
            "{" + entry("a", "F32", "[1]", 0, 4) + "," + entry("b", "F32", "[1]", 4, 8) + "}", 8));
  refuse("tensor \"a\" is said to lie in one.safetensors, and two.safetensors holds one, too");
  write("one.safetensors",
        safetensors_file(
            "{" + entry("a", "F32", "[1]", 0, 4) + "," + entry("x", "F32", "[1]", 4, 8) + "}", 8));
  write("two.safetensors",
        safetensors_file(
            "{" + entry("b", "F32", "[1]", 0, 4) + "," + entry("x", "F32", "[1]", 4, 8) + "}", 8));
  refuse("tensor \"x\" is in two files of the model");
}

TEST_F(SafetensorsFolder, NamesThatLeaveTheFolder) {
  for (const std::string_view name :
       {"../x.safetensors", "/etc/x.safetensors", "sub/x.safetensors", "..\\\\x.safetensors",
        "x.bin", "", ".safetensors", "c:x.safetensors", "a\\u0000.safetensors"}) {
    index(fmt::format(R"({{"a":"{}"}})", name));
    refuse("a file is named without a folder");
  }
}

TEST_F(SafetensorsFolder, AnIndexThatIsNone) {
  index("{}");
  refuse("names no tensor");
  index("[]");
  refuse("has no object \"weight_map\"");
  index(R"({"a":1})");
  refuse("the file of tensor \"a\" is not a text");
  index(R"({"a":"one.safetensors","a":"two.safetensors"})");
  refuse("there twice");
  write("model.safetensors.index.json", std::string(60'000, '['));
  refuse("nested more than 8 deep");
  write("model.safetensors.index.json", "");
  refuse("is empty");
}

TEST_F(SafetensorsFolder, FoldersWithOtherWeights) {
  fs::remove(folder_ / "model.safetensors.index.json");
  refuse("has neither model.safetensors nor model.safetensors.index.json");
  write("pytorch_model.bin", "x");
  refuse("pickle");
  fs::remove(folder_ / "pytorch_model.bin");
  write("model.gguf", "x");
  refuse("it has a .gguf file");
}

TEST_F(SafetensorsFolder, ADamagedShardIsNamed) {
  write("two.safetensors", "short");
  refuse("two.safetensors: has 5 bytes");
}

}  // namespace
}  // namespace regard
