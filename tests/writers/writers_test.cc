// What is written is what is read: both formats against the project's own readers.
#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <functional>

#include "formats/gguf_tensors.h"
#include "formats/safetensors.h"
#include "regard/error.h"
#include "writers/gguf_writer.h"
#include "writers/safetensors_writer.h"

namespace regard {
namespace {

namespace fs = std::filesystem;

// A tensor of bytes that count up from `first`, given in pieces of 7.
TensorToWrite counting(std::string name, DType dtype, std::vector<int64_t> shape, int first) {
  TensorToWrite tensor{.name = std::move(name), .dtype = dtype, .produce = {}};
  tensor.rank = static_cast<int>(shape.size());
  std::copy(shape.begin(), shape.end(), tensor.shape.begin());
  const uint64_t bytes = tensor.bytes();
  tensor.produce = [bytes, first](const std::function<void(Bytes)>& take) {
    std::vector<std::byte> all;
    for (uint64_t i = 0; i < bytes; ++i) all.push_back(static_cast<std::byte>(first + i));
    for (uint64_t i = 0; i < bytes; i += 7) {
      take(std::span(all).subspan(i, std::min<uint64_t>(7, bytes - i)));
    }
  };
  return tensor;
}

void expect_counting(const TensorInfo& tensor, int first) {
  for (std::size_t i = 0; i < tensor.data.size(); ++i) {
    ASSERT_EQ(tensor.data[i], static_cast<std::byte>(first + static_cast<int>(i))) << tensor.name;
  }
}

class Writers : public testing::Test {
 protected:
  void SetUp() override {
    path_ =
        fs::path(testing::TempDir()) /
        (std::string("written-") + testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::remove(path_);
  }
  void TearDown() override { fs::remove(path_); }
  fs::path path_;
};

TEST_F(Writers, GgufThatIsReadBack) {
  GgufWriter writer;
  writer.key("general.architecture", "llama");
  writer.key("u8", uint8_t{1});
  writer.key("i16", int16_t{-2});
  writer.key("u32", uint32_t{3});
  writer.key("u64", uint64_t{4});
  writer.key("f32", 0.5f);
  writer.key("f64", 0.25);
  writer.key("yes", true);
  writer.key("texts", std::vector<std::string>{"a", "", "bc"});
  writer.key("numbers", std::vector<int32_t>{-1, 2});
  writer.key("scores", std::vector<float>{1.5f});
  writer.key("flags", std::vector<bool>{true, false});
  writer.tensor(counting("a", DType::f32, {3, 2}, 1));
  writer.tensor(counting("b", DType::q4_1, {2, 3, 32}, 2));
  writer.tensor(counting("c", DType::bf16, {}, 3));
  uint64_t last = 0;
  writer.write(path_, [&](uint64_t done, uint64_t all) {
    EXPECT_LE(done, all);
    EXPECT_GE(done, last);
    last = done;
  });
  const GgufTensors model = GgufTensors::open(path_);
  const GgufFile& keys = model.keys();
  EXPECT_EQ(keys.version(), 3u);
  EXPECT_EQ(fs::file_size(path_) % 32, 0u);
  EXPECT_EQ(keys.get_string("general.architecture"), "llama");
  EXPECT_EQ(keys.get_int("u8", 0, 9), 1);
  EXPECT_EQ(keys.get_int("i16", -9, 9), -2);
  EXPECT_EQ(keys.get_int("u64", 0, 9), 4);
  EXPECT_EQ(keys.get_f32("f32"), 0.5f);
  EXPECT_EQ(keys.get_f64("f64"), 0.25);
  EXPECT_TRUE(keys.get_bool("yes"));
  EXPECT_EQ(keys.get_strings("texts").size(), 3u);
  EXPECT_EQ(keys.get_i32s("numbers"), (std::vector<int32_t>{-1, 2}));
  EXPECT_EQ(keys.get_f32s("scores"), (std::vector<float>{1.5f}));
  EXPECT_EQ(keys.find_key("flags")->element, GgufType::boolean);
  EXPECT_EQ(model.get("a").shape, (std::array<int64_t, 4>{3, 2, 1, 1}));
  EXPECT_EQ(model.get("b").shape, (std::array<int64_t, 4>{2, 3, 32, 1}));
  EXPECT_EQ(model.get("b").dtype, DType::q4_1);
  EXPECT_EQ(model.get("c").rank, 0);
  expect_counting(model.get("a"), 1);
  expect_counting(model.get("b"), 2);
  expect_counting(model.get("c"), 3);

  // Keys copied from it are the same bytes.
  GgufWriter again;
  for (const GgufValue& value : keys.keys()) again.copy(value);
  again.tensor(counting("a", DType::f32, {3, 2}, 1));
  again.tensor(counting("b", DType::q4_1, {2, 3, 32}, 2));
  again.tensor(counting("c", DType::bf16, {}, 3));
  const fs::path second = path_.string() + "-again";
  again.write(second);
  const GgufFile copy = GgufFile::open(second);
  ASSERT_EQ(copy.bytes().size(), keys.bytes().size());
  EXPECT_EQ(std::memcmp(copy.bytes().data(), keys.bytes().data(), copy.bytes().size()), 0);
  fs::remove(second);
}

TEST_F(Writers, SafetensorsThatAreReadBack) {
  const std::vector<TensorToWrite> tensors{
      counting("half", DType::f16, {3}, 1), counting("a \"b\"\n", DType::f32, {2, 2}, 2),
      counting("none", DType::f32, {0, 4}, 3), counting("one", DType::f64, {}, 4),
      counting("bf", DType::bf16, {1, 2, 1, 2}, 5)};
  write_safetensors(path_, tensors, {{"format", "pt"}});
  const Safetensors model = Safetensors::open(path_);
  EXPECT_EQ(model.metadata().at("format"), "pt");
  ASSERT_EQ(model.tensors().size(), 5u);
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const TensorInfo& read = model.get(tensors[i].name);
    EXPECT_EQ(read.dtype, tensors[i].dtype);
    EXPECT_EQ(read.shape, tensors[i].shape);
    expect_counting(read, static_cast<int>(i) + 1);
    // Aligned to its numbers, as the file is mapped at a page.
    if (!read.data.empty()) {
      EXPECT_EQ(reinterpret_cast<uintptr_t>(read.data.data()) %
                    static_cast<uintptr_t>(info(*read.dtype).block_bytes),
                0u);
    }
  }
}

void expect_refusal(const std::function<void()>& call, std::string_view words) {
  try {
    call();
    ADD_FAILURE() << "not refused: " << words;
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::invalid_argument);
    EXPECT_NE(std::string(error.what()).find(words), std::string::npos) << error.what();
  }
}

TEST_F(Writers, WhatAFormatCannotHoldIsRefused) {
  GgufWriter writer;
  expect_refusal([&] { writer.key("", 1); }, "a key has 0 bytes");
  expect_refusal([&] { writer.key(std::string(65536, 'k'), 1); }, "a key has 65536 bytes");
  expect_refusal([&] { writer.tensor(counting(std::string(64, 'n'), DType::f32, {1}, 0)); },
                 "has 64 bytes; it must have 1 to 63");
  expect_refusal(
      [&] {
        writer.tensor(counting("t", DType::q8_0, {2, 33}, 0));
      },
      "rows of tensor \"t\" have 33 numbers, which are no whole blocks of 32");
  expect_refusal([&] { writer.tensor(counting("t", DType::f32, {2, 0}, 0)); }, "has no numbers");
  writer.key("k", 1);
  writer.tensor(counting("t", DType::f32, {1}, 0));
  GgufWriter twice = writer;
  twice.key("k", 2);
  expect_refusal([&] { twice.write(path_); }, "key \"k\" is given twice");
  twice = writer;
  twice.tensor(counting("t", DType::f16, {1}, 0));
  expect_refusal([&] { twice.write(path_); }, "tensor \"t\" is given twice");
  const std::vector<TensorToWrite> blocks{counting("t", DType::q8_0, {32}, 0)};
  expect_refusal([&] { write_safetensors(path_, blocks); }, "type q8_0 cannot be written");
  const std::vector<TensorToWrite> same{counting("t", DType::f32, {1}, 0),
                                        counting("t", DType::f16, {1}, 0)};
  expect_refusal([&] { write_safetensors(path_, same); }, "tensor \"t\" is given twice");
  EXPECT_FALSE(fs::exists(path_));
}

TEST_F(Writers, AProducerThatFailsLeavesTheOldFile) {
  std::ofstream(path_) << "old";
  TensorToWrite broken = counting("t", DType::f32, {1000}, 0);
  broken.produce = [](const std::function<void(Bytes)>&) {
    throw Error(ErrorKind::failed, "interrupted");
  };
  const std::vector<TensorToWrite> tensors{counting("a", DType::f32, {9}, 0), broken};
  EXPECT_THROW(write_safetensors(path_, tensors), Error);
  GgufWriter writer;
  for (const TensorToWrite& tensor : tensors) writer.tensor(tensor);
  EXPECT_THROW(writer.write(path_), Error);
  std::ifstream file(path_);
  EXPECT_EQ(std::string((std::istreambuf_iterator<char>(file)), {}), "old");
}

}  // namespace
}  // namespace regard
