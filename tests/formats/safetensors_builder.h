// Safetensors files for tests: right ones, and the wrong ones that a reader must refuse, each with
// words of the refusal. The fuzz target's seeds are these.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace regard {

// A file of this header and so many bytes of data.
inline std::string safetensors_file(std::string_view header, std::size_t data) {
  std::string bytes(8, '\0');
  const uint64_t length = header.size();
  std::memcpy(bytes.data(), &length, sizeof length);
  bytes += header;
  for (std::size_t i = 0; i < data; ++i) bytes += static_cast<char>(i * 7 + 1);
  return bytes;
}

// "name":{…}, as it stands in a header.
inline std::string entry(std::string_view name, std::string_view dtype, std::string_view shape,
                         uint64_t begin, uint64_t end) {
  return fmt::format(R"("{}":{{"dtype":"{}","shape":{},"data_offsets":[{},{}]}})", name, dtype,
                     shape, begin, end);
}

// One tensor of the given shape and place in front of 16 bytes of data.
inline std::string one_tensor(std::string_view dtype, std::string_view shape,
                              std::string_view offsets) {
  return safetensors_file(fmt::format(R"({{"t":{{"dtype":"{}","shape":{},"data_offsets":{}}}}})",
                                      dtype, shape, offsets),
                          16);
}

struct SafetensorsCase {
  std::string name;
  std::string file;
  std::string message;  // in the refusal; empty: the file is right
};

inline std::vector<SafetensorsCase> safetensors_cases() {
  const auto file = safetensors_file;
  const auto of = [](uint64_t length, std::string_view rest) {
    std::string bytes(8, '\0');
    std::memcpy(bytes.data(), &length, sizeof length);
    return bytes + std::string(rest);
  };
  const std::string a = entry("a", "F32", "[2,2]", 0, 16);
  std::string every_type = "{", keys;
  uint64_t at = 0;
  for (const auto& [dtype, bytes] : std::vector<std::pair<std::string, uint64_t>>{{"F64", 8},
                                                                                  {"F32", 4},
                                                                                  {"F16", 2},
                                                                                  {"BF16", 2},
                                                                                  {"I64", 8},
                                                                                  {"I32", 4},
                                                                                  {"I16", 2},
                                                                                  {"I8", 1},
                                                                                  {"U64", 8},
                                                                                  {"U32", 4},
                                                                                  {"U16", 2},
                                                                                  {"U8", 1},
                                                                                  {"BOOL", 1},
                                                                                  {"C64", 8},
                                                                                  {"F8_E4M3", 1},
                                                                                  {"F8_E5M2", 1},
                                                                                  {"F8_E8M0", 1}}) {
    every_type += entry(dtype, dtype, "[1]", at, at + bytes) + ",";
    at += bytes;
  }
  every_type += entry("F4", "F4", "[2,3]", at, at + 3) + "}";
  std::string deep = R"({"a":)" + std::string(60'000, '[');
  return {
      // Right ones.
      {"one", file("{" + a + "}", 16), ""},
      {"padded", file("{" + a + "}       ", 16), ""},
      {"no_tensors", file("{}", 0), ""},
      {"metadata", file(R"({"__metadata__":{"format":"pt","e":""},)" + a + "}", 16), ""},
      {"every_type", file(every_type, at + 3), ""},
      {"unordered",
       file("{" + entry("b", "F16", "[1]", 4, 6) + "," + entry("a", "F32", "[]", 0, 4) + "}", 6),
       ""},
      {"zero_sized",
       file("{" + entry("z", "F32", "[0,5]", 4, 4) + "," + entry("a", "F32", "[]", 0, 4) + "," +
                entry("y", "F32", "[3,0]", 0, 0) + "}",
            4),
       ""},
      {"rank_6", file("{" + entry("a", "U8", "[1,2,1,2,1,2]", 0, 8) + "}", 8), ""},
      {"more_keys", file(R"({"a":{"dtype":"U8","shape":[],"data_offsets":[0,1],"x":[{}]}})", 1),
       ""},
      // The start.
      {"no_bytes", "", "has 0 bytes"},
      {"seven_bytes", std::string(7, '\2'), "has 7 bytes"},
      {"length_0", of(0, "{}"), "its header is no JSON object"},
      {"length_beyond_file", of(1000, "{}"), "promises a header of 1000 bytes, and 2 follow"},
      {"length_beyond_limit", of(100'000'001, "{}"), "at most 100000000 are read"},
      {"length_all_ones", of(~uint64_t{0}, "{}"), "at most 100000000 are read"},
      {"not_an_object", file("[1,2]", 0), "its header is no JSON object"},
      {"space_first", file(" {}", 0), "its header is no JSON object"},
      {"gguf", "GGUF" + std::string(20, '\0'), "it looks like GGUF"},
      {"pickle", "\x80\x02}q" + std::string(20, '\0'), "pickle"},
      {"zip", "PK\x03\x04" + std::string(20, '\0'), "zip"},
      {"lfs", "version https://git-lfs.github.com/spec/v1\n", "Git LFS"},
      // The JSON.
      {"not_json", file("{\"a\"", 0), "not JSON"},
      {"rest_after_json", file("{} {}", 0), "not JSON"},
      {"not_utf8", file("{\"\xFF\":{}}", 0), "UTF-8"},
      {"deep_brackets", file(deep, 0), "nested more than 8 deep"},
      {"duplicate_name", file("{" + a + "," + a + "}", 16), "key \"a\" is there twice"},
      {"duplicate_metadata", file(R"({"__metadata__":{},"__metadata__":{}})", 0), "there twice"},
      {"metadata_list", file(R"({"__metadata__":[]})", 0), "__metadata__ is not an object"},
      {"metadata_number", file(R"({"__metadata__":{"a":1}})", 0), "\"a\" is not a text"},
      {"entry_list", file(R"({"a":[]})", 0), "is not described by an object"},
      {"no_dtype", file(R"({"a":{"shape":[],"data_offsets":[0,0]}})", 0), "dtype is missing"},
      {"no_shape", file(R"({"a":{"dtype":"U8","data_offsets":[0,0]}})", 0), "shape is missing"},
      {"no_offsets", file(R"({"a":{"dtype":"U8","shape":[]}})", 0), "data_offsets is missing"},
      {"dtype_number", file(R"({"a":{"dtype":1,"shape":[],"data_offsets":[0,0]}})", 0),
       "dtype is not a text"},
      {"unknown_dtype", one_tensor("F33", "[4]", "[0,16]"), "dtype \"F33\" is unknown"},
      {"shape_number", one_tensor("F32", "4", "[0,16]"), "shape is not a list"},
      {"shape_negative", one_tensor("F32", "[-4]", "[0,16]"), "shape holds -4"},
      {"shape_float", one_tensor("F32", "[4.0]", "[0,16]"), "shape holds 4.0"},
      {"shape_text", one_tensor("F32", "[\"4\"]", "[0,16]"), "shape holds"},
      {"shape_nested", one_tensor("F32", "[[4]]", "[0,16]"), "shape holds array"},
      {"shape_2_63", one_tensor("F32", "[9223372036854775808]", "[0,16]"), "2^63 - 1"},
      {"shape_overflow", one_tensor("F32", "[4294967296,4294967296,4294967297]", "[0,16]"),
       "its size overflows"},
      // 2^62 numbers of 4 bytes: 2^64 bytes, which is 0 where nobody looks.
      {"bytes_overflow", one_tensor("F32", "[4611686018427387904]", "[0,0]"), "its size overflows"},
      {"half_a_byte", one_tensor("F4", "[3]", "[0,1]"), "do not fill whole bytes"},
      // The places.
      {"offsets_three", one_tensor("F32", "[4]", "[0,8,16]"), "two numbers"},
      {"offsets_negative", one_tensor("F32", "[4]", "[-1,15]"), "data_offsets holds -1"},
      {"offsets_backwards", one_tensor("F32", "[4]", "[16,0]"), "do not lie in the 16 bytes"},
      {"offsets_beyond", one_tensor("F32", "[5]", "[0,20]"), "do not lie in the 16 bytes"},
      {"offsets_far", one_tensor("F32", "[4]", "[9223372036854775800,9223372036854775807]"),
       "do not lie in the 16 bytes"},
      {"shape_too_small", one_tensor("F32", "[3]", "[0,16]"), "takes 12 bytes"},
      {"shape_too_large", one_tensor("F32", "[5]", "[0,16]"), "takes 20 bytes"},
      {"zero_shape_with_bytes", one_tensor("F32", "[0]", "[0,16]"), "takes 0 bytes"},
      {"hole_in_front", one_tensor("F32", "[3]", "[4,16]"), "without holes"},
      {"hole_between",
       file("{" + entry("a", "F32", "[1]", 0, 4) + "," + entry("b", "F32", "[1]", 8, 12) + "}", 12),
       "without holes"},
      {"overlap",
       file("{" + entry("a", "F32", "[2]", 0, 8) + "," + entry("b", "F32", "[2]", 4, 12) + "}", 12),
       "without overlaps"},
      {"same_place",
       file("{" + entry("a", "F32", "[1]", 0, 4) + "," + entry("b", "F32", "[1]", 0, 4) + "}", 4),
       "without overlaps"},
      {"zero_sized_inside",
       file("{" + entry("a", "F32", "[2]", 0, 8) + "," + entry("z", "F32", "[0]", 4, 4) + "}", 8),
       "without overlaps"},
      // A second format behind the first: what one reader sees another does not.
      {"polyglot", file("{" + entry("a", "F32", "[1]", 0, 4) + "}", 4) + "PK\x05\x06",
       "without a rest"},
      {"data_without_tensors", file("{}", 4), "without a rest"},
      {"cut_short", file("{" + a + "}", 15), "do not lie in the 15 bytes"},
  };
}

}  // namespace regard
