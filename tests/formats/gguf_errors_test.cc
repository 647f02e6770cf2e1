// What a wrong GGUF file is told: each rule has one clear line.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <functional>

#include "formats/describe.h"
#include "formats/gguf.h"
#include "gguf_builder.h"
#include "gguf_walk.h"

namespace regard {
namespace {

// The message of the Error(unreadable) that `use` must throw.
std::string refusal(const std::function<void()>& use) {
  try {
    use();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::unreadable) << error.what();
    EXPECT_EQ(std::string_view(error.what()).find('\n'), std::string_view::npos);
    return error.what();
  }
  return "(nothing was refused)";
}

std::string refusal(const std::string& bytes) {
  return refusal([&] { GgufFile::parse(as_bytes(bytes), "m.gguf"); });
}
std::string refusal(const GgufBuilder& builder) { return refusal(builder.build()); }

TEST(GgufErrors, OtherFiles) {
  EXPECT_EQ(refusal(""), "m.gguf: is empty (0 bytes); download it again");
  EXPECT_EQ(refusal("GG"),
            "m.gguf: has 2 bytes, and the start of a GGUF file takes 24; download it again");
  EXPECT_EQ(refusal(small_model().build().substr(0, 23)),
            "m.gguf: has 23 bytes, and the start of a GGUF file takes 24; download it again");
  std::string safetensors;
  append_string(safetensors, "{\"a\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]}}");
  EXPECT_EQ(
      refusal(safetensors + "1234"),
      "m.gguf: is not GGUF: it begins with the bytes 35 00 00 00, not with \"GGUF\"; it looks "
      "like safetensors; name the model's folder, or convert it");
  const std::pair<std::string, std::string> kLooks[] = {
      {std::string("PK\x03\x04") + "archive", "zip archive"},
      {"\x80\x02}q\x01X", "Python pickle"},
      {"tjgg\x03", "before GGUF"},
      {"version https://git-lfs.github.com/spec/v1", "git lfs pull"},
      {"<!DOCTYPE html><html>", "web page"},
      {"{\"model_type\": \"llama\"}", "JSON"},
      {"hello, world, this is no model", "another kind of file"}};
  for (const auto& [bytes, part] : kLooks) {
    EXPECT_NE(refusal(bytes).find(part), std::string::npos) << refusal(bytes);
  }
}

TEST(GgufErrors, Versions) {
  GgufBuilder file = small_model();
  file.version = 1;
  EXPECT_EQ(refusal(file),
            "m.gguf: is GGUF version 1, whose layout is outdated; convert the model again");
  file.version = 0x03000000;
  EXPECT_EQ(refusal(file),
            "m.gguf: is big-endian (version word 0x03000000); convert it to little-endian");
  for (const uint32_t version : {0u, 4u, 70000u}) {
    file.version = version;
    EXPECT_EQ(refusal(file),
              fmt::format("m.gguf: is GGUF version {}; versions 2 and 3 can be read", version));
  }
}

TEST(GgufErrors, Counts) {
  GgufBuilder file;
  file.key<bool>("k", true);
  file.key_count = 2;
  EXPECT_EQ(refusal(file),
            "m.gguf: promises 2 keys of at least 14 bytes each, and 14 bytes follow; it is cut "
            "short or damaged, download it again");
  file.key_count = {};
  file.tensor_count = 1;
  EXPECT_EQ(refusal(file),
            "m.gguf: promises 1 tensors of at least 25 bytes each, and 14 bytes follow; it is cut "
            "short or damaged, download it again");
}

TEST(GgufErrors, Keys) {
  GgufBuilder twice;
  twice.key<bool>("b", true).key<bool>("a", true).key<bool>("b", false);
  EXPECT_EQ(refusal(twice),
            "m.gguf: key \"b\": is listed twice, as number 0 and number 2; the file is damaged");
  EXPECT_EQ(refusal(GgufBuilder().key<uint32_t>("", 1)), "m.gguf: key number 0: the name is empty");
  EXPECT_EQ(refusal(GgufBuilder().key<bool>(std::string(65536, 'k'), true)),
            "m.gguf: key number 0: the name has 65536 bytes; at most 65535 are allowed");
  EXPECT_EQ(refusal(GgufBuilder().raw_key("k", 13, "12345678")),
            "m.gguf: key \"k\": the value type is 13; GGUF has 0 to 12");
  EXPECT_EQ(refusal(GgufBuilder().raw_key("k", 7, "\x02")),
            "m.gguf: key \"k\": a bool is 2; it must be 0 or 1");
  EXPECT_EQ(refusal(GgufBuilder().raw_array("k", 7, 3, std::string("\1\0\3", 3))),
            "m.gguf: key \"k\": a bool is 3; it must be 0 or 1");
  EXPECT_EQ(refusal(GgufBuilder().raw_array("k", 9, 1, std::string(40, '\0'))),
            "m.gguf: key \"k\": is an array of arrays, which is not read");
  EXPECT_EQ(refusal(GgufBuilder().raw_array("k", 99, 1, "1234")),
            "m.gguf: key \"k\": the array's element type is 99; GGUF has 0 to 12");
  EXPECT_EQ(refusal(GgufBuilder().raw_array("k", 5, 3, "12345678")),
            "m.gguf: key \"k\": promises an array of 3 i32 values of at least 4 bytes each, and 8 "
            "bytes follow; the file is cut short or damaged, download it again");
  EXPECT_EQ(refusal(GgufBuilder().raw_key("k", 4, "12")),
            "m.gguf: key \"k\": the value takes 4 bytes from byte 37 on, and the file has 2 left; "
            "it is cut short or damaged, download it again");
}

TEST(GgufErrors, Alignment) {
  const auto with = [](auto value) {
    return refusal(GgufBuilder().key("general.alignment", value).f32_tensor("t", {1}));
  };
  EXPECT_EQ(with(uint64_t{32}), "m.gguf: key \"general.alignment\": has type u64; it must be u32");
  for (const uint32_t value : {0u, 4u, 24u, 33u}) {
    EXPECT_EQ(with(value), fmt::format("m.gguf: key \"general.alignment\": is {}; it must be a "
                                       "power of two and at least 8",
                                       value));
  }
  EXPECT_EQ(refusal(GgufBuilder().array<uint32_t>("general.alignment", {32})),
            "m.gguf: key \"general.alignment\": has type array; it must be u32");
}

TEST(GgufErrors, Tensors) {
  const auto with = [](std::vector<uint64_t> dims, uint32_t type, std::size_t bytes,
                       std::optional<uint64_t> offset = {}) {
    return refusal(GgufBuilder().tensor("t", dims, type, bytes, offset));
  };
  EXPECT_EQ(with({1, 1, 1, 1, 1}, 0, 4),
            "m.gguf: tensor \"t\": has 5 dimensions; at most 4 are allowed");
  EXPECT_EQ(with({4, 0}, 0, 4), "m.gguf: tensor \"t\": dimension 1 is 0; it must be 1 to 2^63 - 1");
  EXPECT_EQ(with({uint64_t{1} << 63}, 0, 4),
            "m.gguf: tensor \"t\": dimension 0 is 9223372036854775808; it must be 1 to 2^63 - 1");
  EXPECT_EQ(with({4}, 36, 4),
            "m.gguf: tensor \"t\": type 36 was removed from the format; convert the model again");
  EXPECT_EQ(with({4}, 43, 4), "m.gguf: tensor \"t\": type 43 is unknown; types 0 to 42 are known");
  EXPECT_EQ(
      with({48, 2}, 3, 60),
      "m.gguf: tensor \"t\": its rows have 48 numbers, which is not a multiple of the 32 in a "
      "block of q4_1");
  EXPECT_EQ(with({uint64_t{1} << 40, uint64_t{1} << 40}, 0, 4),
            "m.gguf: tensor \"t\": its size overflows: 1099511627776 × 1099511627776 × 1 × 1 "
            "numbers of f32");
  EXPECT_EQ(with({8}, 0, 32, 16),
            "m.gguf: tensor \"t\": offset 16 is not a multiple of the file's alignment 32");
  EXPECT_EQ(with({8}, 0, 28),
            "m.gguf: tensor \"t\": 32 bytes at offset 0 do not lie in the 28 bytes of tensor data; "
            "the file is cut short or damaged, download it again");
  EXPECT_EQ(
      with({8}, 0, 32, 64),
      "m.gguf: tensor \"t\": 32 bytes at offset 64 do not lie in the 32 bytes of tensor data; "
      "the file is cut short or damaged, download it again");
}

TEST(GgufErrors, TensorsTogether) {
  GgufBuilder twice;
  twice.f32_tensor("a", {8}).f32_tensor("b", {8}).f32_tensor("a", {8});
  EXPECT_EQ(refusal(twice),
            "m.gguf: tensor \"a\": is listed twice, as number 0 and number 2; the file is damaged");
  GgufBuilder overlap;
  overlap.tensor("a", {24}, 0, 96).tensor("b", {8}, 0, 32, 64);
  EXPECT_EQ(refusal(overlap),
            "m.gguf: tensor \"b\": its data at offset 64 overlaps tensor \"a\" (offset 0, 96 "
            "bytes)");
  EXPECT_EQ(refusal(GgufBuilder().f32_tensor("", {8})),
            "m.gguf: tensor number 0: the name is empty");
  EXPECT_EQ(refusal(GgufBuilder().f32_tensor(std::string(64, 'n'), {8})),
            "m.gguf: tensor number 0: the name has 64 bytes; at most 63 are allowed");
  const std::string longest = GgufBuilder().f32_tensor(std::string(63, 'n'), {8}).build();
  EXPECT_NO_THROW(GgufFile::parse(as_bytes(longest), "m.gguf"));
}

TEST(GgufErrors, LengthsThatMustAgree) {
  GgufBuilder layers;
  layers.string_key("general.architecture", "llama").key<uint32_t>("llama.block_count", 3);
  layers.array<int32_t>("llama.attention.head_count_kv", {1, 2});
  EXPECT_EQ(refusal(layers),
            "m.gguf: key \"llama.attention.head_count_kv\": has 2 entries; it must have one for "
            "each of the 3 layers");
  GgufBuilder deep;
  deep.string_key("general.architecture", "llama").key<uint32_t>("llama.block_count", 5000);
  EXPECT_EQ(refusal(deep), "m.gguf: key \"llama.block_count\": is 5000; it must be 0 to 4096");
  GgufBuilder tokens;
  tokens.strings("tokenizer.ggml.tokens", {"a", "b"}).array<float>("tokenizer.ggml.scores", {1});
  EXPECT_EQ(
      refusal(tokens),
      "m.gguf: key \"tokenizer.ggml.scores\": has 1 entries; it must have one for each of the "
      "2 tokens");
  GgufBuilder types;
  types.strings("tokenizer.ggml.tokens", {"a"}).array<int32_t>("tokenizer.ggml.token_type", {1, 1});
  EXPECT_EQ(
      refusal(types),
      "m.gguf: key \"tokenizer.ggml.token_type\": has 2 entries; it must have one for each of "
      "the 1 tokens");
}

TEST(GgufErrors, Getters) {
  GgufBuilder builder;
  builder.key<int32_t>("int", -1).key<float>("nan", NAN).key<double>("wide", 1e39);
  builder.string_key("string", "s").array<int64_t>("ints", {1, int64_t{1} << 40});
  builder.array<double>("wides", {1e39}).array<uint32_t>("layers", {1, 2});
  const std::string bytes = builder.build();
  const GgufFile file = GgufFile::parse(as_bytes(bytes), "m.gguf");
  const auto message = [&](auto get) { return refusal([&] { get(); }); };
  EXPECT_EQ(message([&] { file.get_u64("none"); }),
            "m.gguf: key \"none\": is missing, and the model cannot be read without it");
  EXPECT_EQ(message([&] { file.get("none"); }),
            "m.gguf: tensor \"none\" is missing, and the model cannot be read without it");
  EXPECT_EQ(message([&] { file.find_u64("int"); }),
            "m.gguf: key \"int\": is -1; it must be 0 to 18446744073709551615");
  EXPECT_EQ(message([&] { file.find_int("int", 1, 9); }),
            "m.gguf: key \"int\": is -1; it must be 1 to 9");
  EXPECT_EQ(message([&] { file.find_u64("string"); }),
            "m.gguf: key \"string\": has type string; it must be an integer");
  EXPECT_EQ(message([&] { file.find_u64("ints"); }),
            "m.gguf: key \"ints\": has type array of i64; it must be an integer");
  EXPECT_EQ(message([&] { file.find_f64("int"); }),
            "m.gguf: key \"int\": has type i32; it must be f32 or f64");
  EXPECT_EQ(message([&] { file.find_f64("nan"); }),
            "m.gguf: key \"nan\": is nan; it must be finite");
  EXPECT_EQ(message([&] { file.find_f32("wide"); }),
            "m.gguf: key \"wide\": 1e+39 is beyond the range of f32");
  EXPECT_EQ(message([&] { file.find_bool("int"); }),
            "m.gguf: key \"int\": has type i32; it must be bool");
  EXPECT_EQ(message([&] { file.find_string("int"); }),
            "m.gguf: key \"int\": has type i32; it must be string");
  EXPECT_EQ(message([&] { file.find_strings("ints"); }),
            "m.gguf: key \"ints\": has type array of i64; it must be an array of string");
  EXPECT_EQ(message([&] { file.find_i32s("ints"); }),
            "m.gguf: key \"ints\": element 1 is 1099511627776; it must be -2147483648 to "
            "2147483647");
  EXPECT_EQ(message([&] { file.find_i32s("int"); }),
            "m.gguf: key \"int\": has type i32; it must be an array of integers");
  EXPECT_EQ(message([&] { file.find_f32s("wides"); }),
            "m.gguf: key \"wides\": 1e+39 is beyond the range of f32");
  EXPECT_EQ(message([&] { file.find_per_layer("layers", 3, 0, 9); }),
            "m.gguf: key \"layers\": has 2 entries; it must have one for each of the 3 layers");
  EXPECT_EQ(message([&] { file.find_per_layer("layers", 2, 0, 1); }),
            "m.gguf: key \"layers\": element 1 is 2; it must be 0 to 1");
  EXPECT_EQ(
      message([&] { file.find_per_layer("string", 2, 0, 1); }),
      "m.gguf: key \"string\": has type string; it must be an integer, or an array of one for "
      "each layer");
  EXPECT_THROW(file.find_per_layer("layers", -1, 0, 1), Error);
}

TEST(GgufErrors, NamesOutOfTheFileCannotForgeALine) {
  GgufBuilder file;
  file.raw_key("a\nERROR: \x1B[31mfake\xFF", 13, "12345678");
  EXPECT_EQ(refusal(file),
            "m.gguf: key \"a\\x0AERROR: \\x1B[31mfake\\xFF\": the value type is 13; GGUF has 0 to "
            "12");
  EXPECT_EQ(refusal([] { GgufFile::parse({}, "two\nlines"); }),
            "two\\x0Alines: is empty (0 bytes); download it again");
}

class GgufPaths : public testing::Test {
 protected:
  GgufPaths()
      : folder_(std::filesystem::temp_directory_path() /
                ("regard_gguf_errors_" + std::to_string(getpid()))) {
    std::filesystem::create_directory(folder_);
  }
  ~GgufPaths() override { std::filesystem::remove_all(folder_); }

  std::string opened(const std::filesystem::path& path) const {
    return refusal([&] { GgufFile::open(path); });
  }

  std::filesystem::path folder_;
};

TEST_F(GgufPaths, ThatAreNoModel) {
  const std::string folder = folder_.string();
  EXPECT_EQ(opened(folder_ / "none.gguf"),
            folder + "/none.gguf: there is no such file; check the path");
  EXPECT_EQ(opened(folder_), folder + ": is a directory; name the model file inside it");
  std::ofstream(folder_ / "empty.gguf");
  EXPECT_EQ(opened(folder_ / "empty.gguf"),
            folder + "/empty.gguf: is empty (0 bytes); download it again");
  ASSERT_EQ(mkfifo((folder_ / "pipe").c_str(), 0600), 0);
  EXPECT_EQ(opened(folder_ / "pipe"),
            folder + "/pipe: is not a regular file, and a model is mapped from one");
  EXPECT_EQ(opened("/dev/null"),
            "/dev/null: is not a regular file, and a model is mapped from one");
  std::ofstream(folder_ / "file") << "text";
  EXPECT_NE(opened(folder_ / "file" / "below").find("cannot be opened: "), std::string::npos);
  if (geteuid() != 0) {  // root reads through permissions
    std::filesystem::permissions(folder_ / "file", std::filesystem::perms::none);
    EXPECT_EQ(opened(folder_ / "file"),
              folder + "/file: permission denied; make the file readable");
  }
}

TEST_F(GgufPaths, NameTheFileThatIsWrong) {
  std::ofstream(folder_ / "text.gguf") << "this is no model, but long enough for one";
  EXPECT_TRUE(opened(folder_ / "text.gguf").starts_with(folder_.string() + "/text.gguf: is not"));
}

}  // namespace
}  // namespace regard
