// A model in several GGUF files is one source; parts that do not belong together end in one line.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <optional>

#include "formats/gguf_tensors.h"
#include "gguf_builder.h"
#include "regard/error.h"

namespace regard {
namespace {

namespace fs = std::filesystem;

class GgufSplit : public testing::Test {
 protected:
  void SetUp() override {
    folder_ =
        fs::path(testing::TempDir()) /
        (std::string("split-") + testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::remove_all(folder_);
    fs::create_directories(folder_);
    for (int i = 0; i < 3; ++i) part(i);
  }
  void TearDown() override { fs::remove_all(folder_); }

  struct Keys {
    std::optional<uint16_t> number, count = 3;
    std::optional<int32_t> tensors = 3;
    std::string tensor;
  };
  void part(int i, Keys keys) {
    GgufBuilder file;
    if (i == 0) file.string_key("general.architecture", "llama");
    if (keys.number) file.key<uint16_t>("split.no", *keys.number);
    if (keys.count) file.key<uint16_t>("split.count", *keys.count);
    if (keys.tensors) file.key<int32_t>("split.tensors.count", *keys.tensors);
    file.f32_tensor(keys.tensor.empty() ? "t" + std::to_string(i) : keys.tensor, {2, 3});
    write(i, file.build());
  }
  void part(int i) { part(i, {.number = static_cast<uint16_t>(i), .tensor = {}}); }
  void write(int i, const std::string& bytes) { std::ofstream(path(i), std::ios::binary) << bytes; }
  fs::path path(int i) const {
    return folder_ / ("m-0000" + std::to_string(i + 1) + "-of-00003.gguf");
  }
  void refuse(std::string_view words, int by = 0) {
    try {
      GgufTensors::open(path(by));
      ADD_FAILURE() << "not refused: " << words;
    } catch (const Error& error) {
      const std::string message = error.what();
      EXPECT_EQ(error.kind(), ErrorKind::unreadable);
      EXPECT_NE(message.find(words), std::string::npos) << message;
      EXPECT_EQ(message.find('\n'), std::string::npos);
    }
  }

  fs::path folder_;
};

TEST_F(GgufSplit, IsOneSourceWhicheverPartIsNamed) {
  for (int by = 0; by < 3; ++by) {
    const GgufTensors model = GgufTensors::open(path(by));
    EXPECT_EQ(model.files().size(), 3u);
    EXPECT_EQ(model.keys().get_string("general.architecture"), "llama");
    ASSERT_EQ(model.tensors().size(), 3u);
    EXPECT_EQ(model.tensors()[2].name, "t2");
    EXPECT_EQ(model.get("t1").shape, (std::array<int64_t, 4>{3, 2, 1, 1}));  // outermost first
    EXPECT_EQ(model.get("t1").dtype, DType::f32);
    model.release(model.get("t1").data);
    EXPECT_EQ(std::to_integer<int>(model.get("t1").data[1]), 8);
    EXPECT_EQ(model.find("t3"), nullptr);
  }
}

TEST_F(GgufSplit, AMissingPart) {
  fs::remove(path(1));
  refuse("m-00002-of-00003.gguf: there is no such file; it is part 2 of 3");
  refuse("m-00002-of-00003.gguf: there is no such file; it is part 2 of 3", 2);
}

TEST_F(GgufSplit, PartsThatDisagree) {
  part(1, {.number = 2, .tensor = {}});
  refuse("key \"split.no\" is 2, and counted from 0 the file's name says 1");
  part(1, {.number = 1, .count = 4, .tensor = {}});
  refuse("key \"split.count\" is 4, and the file's name says that there are 3");
  part(1, {.number = 1, .tensors = 4, .tensor = {}});
  refuse("key \"split.tensors.count\" is 4, and the first part says 3");
  part(1, {.number = 1, .tensor = "t0"});
  refuse("tensor \"t0\" is in two parts");
  part(1, {.number = {}, .tensor = {}});
  refuse("key \"split.no\" is missing");
  part(1, {.number = 1, .count = {}, .tensor = {}});
  refuse("key \"split.count\" is missing");
}

TEST_F(GgufSplit, ANumberOfTensorsThatIsNot) {
  for (int i = 0; i < 3; ++i) {
    part(i, {.number = static_cast<uint16_t>(i), .tensors = 4, .tensor = {}});
  }
  refuse("\"split.tensors.count\" is 4, and the 3 parts hold 3 tensors");
}

TEST_F(GgufSplit, NamesThatCannotBe) {
  const auto rename = [&](const char* name) {
    fs::copy_file(path(0), folder_ / name);
    try {
      GgufTensors::open(folder_ / name);
      return std::string();
    } catch (const Error& error) {
      return std::string(error.what());
    }
  };
  EXPECT_NE(rename("m-00004-of-00003.gguf").find("part 4 of 3"), std::string::npos);
  EXPECT_NE(rename("m-00001-of-99999.gguf").find("at most 9999"), std::string::npos);
  // A part whose name says nothing is no whole model.
  EXPECT_NE(rename("model.gguf").find("one of 3 parts"), std::string::npos);
}

TEST_F(GgufSplit, ADamagedPartIsNamed) {
  write(2, "GGUF");
  refuse("m-00003-of-00003.gguf: has 4 bytes");
}

TEST(GgufTensors, OneFileIsAModel) {
  const std::string bytes = GgufBuilder().f32_tensor("a", {}).f32_tensor("b", {4, 2, 3}).build();
  const GgufTensors model(GgufFile::parse(std::as_bytes(std::span(bytes)), "m.gguf"));
  EXPECT_EQ(model.name(), "m.gguf");
  EXPECT_EQ(model.get("a").rank, 0);
  EXPECT_EQ(model.get("b").shape, (std::array<int64_t, 4>{3, 2, 4, 1}));
}

}  // namespace
}  // namespace regard
