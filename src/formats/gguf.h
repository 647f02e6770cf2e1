// GgufFile: a model file of ggml's format GGUF, version 2 or 3, as typed metadata and named views
// of its tensors. Nothing is copied and no tensor is read. Files are treated as hostile: whatever
// the bytes say, opening ends in a load or in one Error, in time and memory linear in the file.
// https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <iterator>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "formats/mapped_file.h"
#include "regard/dtype.h"

namespace regard {

// One row-major array. dims[0] is the length of a row and runs fastest, as the file lists them;
// a matrix [out, in] of other libraries has dims {in, out}. Dimensions past `rank` are 1.
struct GgufTensor {
  std::string_view name;
  uint32_t type_id = 0;        // ggml's number
  std::optional<DType> dtype;  // nothing: a legal type that regard does not compute with
  std::string_view type_name;  // "q4_1", "iq2_xs"
  std::array<int64_t, 4> dims{1, 1, 1, 1};  // each at least 1
  int rank = 0;                             // 0 (one number) to 4
  std::span<const std::byte> data;          // exactly the bytes of dims and type, inside the file

  int64_t elements() const noexcept { return dims[0] * dims[1] * dims[2] * dims[3]; }
};

enum class GgufType : uint32_t {
  u8,
  i8,
  u16,
  i16,
  u32,
  i32,
  f32,
  boolean,
  string,
  array,
  u64,
  i64,
  f64
};

std::string_view to_string(GgufType type) noexcept;

// One metadata entry, its value still as bytes. The getters of GgufFile read it.
struct GgufValue {
  std::string_view key;
  GgufType type{};
  GgufType element{};                // of an array; else the same as type
  uint64_t count = 1;                // of an array's elements
  std::span<const std::byte> bytes;  // a string without its length; an array's elements
};

// An array of strings, read where it lies: one pass costs no allocation. The strings are bytes,
// not always UTF-8 (tokens can hold a part of a character).
class GgufStrings {
 public:
  class Iterator {
   public:
    using iterator_category = std::input_iterator_tag;
    using value_type = std::string_view;
    using difference_type = std::ptrdiff_t;
    using pointer = void;
    using reference = std::string_view;

    Iterator() = default;
    Iterator(std::span<const std::byte> rest, uint64_t strings) : rest_(rest), strings_(strings) {}

    std::string_view operator*() const noexcept {
      if (rest_.size() < kPrefix) return {};
      return {reinterpret_cast<const char*>(rest_.data()) + kPrefix, length()};
    }
    Iterator& operator++() noexcept {
      if (rest_.size() >= kPrefix) rest_ = rest_.subspan(kPrefix + length());
      --strings_;
      return *this;
    }
    Iterator operator++(int) noexcept {
      const Iterator before = *this;
      ++*this;
      return before;
    }
    bool operator==(const Iterator& other) const noexcept { return strings_ == other.strings_; }

   private:
    static constexpr std::size_t kPrefix = sizeof(uint64_t);
    // Opening the file checked every length; the limits here hold even if the file was written to
    // since.
    std::size_t length() const noexcept {
      uint64_t length;
      std::memcpy(&length, rest_.data(), kPrefix);
      return length < rest_.size() - kPrefix ? length : rest_.size() - kPrefix;
    }

    std::span<const std::byte> rest_;
    uint64_t strings_ = 0;  // still to come
  };

  GgufStrings() = default;
  GgufStrings(std::span<const std::byte> bytes, uint64_t count) : bytes_(bytes), count_(count) {}

  std::size_t size() const noexcept { return count_; }
  bool empty() const noexcept { return count_ == 0; }
  Iterator begin() const noexcept { return {bytes_, count_}; }
  Iterator end() const noexcept { return {}; }

 private:
  std::span<const std::byte> bytes_;
  uint64_t count_ = 0;
};

// What a file says about itself, checked; views into its bytes.
struct GgufHeader {
  uint32_t version = 0;
  uint32_t alignment = 32;              // of each tensor, from the start of the file
  std::size_t data_start = 0;           // where the tensors begin
  std::vector<GgufValue> values;        // in the file's order
  std::vector<GgufTensor> tensors;      // in the file's order
  std::vector<uint32_t> values_by_key;  // indices, sorted
  std::vector<uint32_t> tensors_by_name;
};

class GgufFile {
 public:
  // More layers than any model has: a limit on what a file may make its reader allocate.
  static constexpr int64_t kMaxLayers = 4096;

  // Maps the file read-only. Throws Error(unreadable) that names the file, the key or tensor, the
  // rule that is broken and the numbers.
  static GgufFile open(const std::filesystem::path& path);
  // The same from bytes that outlive the result; `name` stands for the file in messages. Tensors
  // are as aligned as `bytes` is.
  static GgufFile parse(std::span<const std::byte> bytes, std::string name);

  GgufFile(GgufFile&&) noexcept = default;
  GgufFile& operator=(GgufFile&&) noexcept = default;

  const std::string& name() const noexcept { return name_; }  // as in messages
  std::span<const std::byte> bytes() const noexcept { return bytes_; }
  uint32_t version() const noexcept { return header_.version; }
  uint32_t alignment() const noexcept { return header_.alignment; }
  std::size_t data_start() const noexcept { return header_.data_start; }

  // Every metadata entry, in the file's order.
  std::span<const GgufValue> keys() const noexcept { return header_.values; }
  const GgufValue* find_key(std::string_view key) const noexcept;  // nullptr if absent
  bool has(std::string_view key) const noexcept { return find_key(key) != nullptr; }

  // Typed metadata. find_… gives nothing if the key is absent, get_… throws Error(unreadable) then;
  // both throw it for a value of another type or out of range. Integers of every width and sign
  // are accepted where an integer is wanted, f32 and f64 where a number is. Numbers are finite.
  // Views live as long as the file.
  uint64_t get_u64(std::string_view key) const;
  int64_t get_int(std::string_view key, int64_t least, int64_t most) const;
  double get_f64(std::string_view key) const;
  float get_f32(std::string_view key) const;
  bool get_bool(std::string_view key) const;
  std::string_view get_string(std::string_view key) const;
  GgufStrings get_strings(std::string_view key) const;
  std::vector<int32_t> get_i32s(std::string_view key) const;
  std::vector<float> get_f32s(std::string_view key) const;  // these may be infinite or NaN
  // One number a layer: a scalar stands for all layers, an array has exactly `layers` entries.
  // Requires 0 <= layers <= kMaxLayers.
  std::vector<int64_t> get_per_layer(std::string_view key, int64_t layers, int64_t least,
                                     int64_t most) const;

  std::optional<uint64_t> find_u64(std::string_view key) const;
  std::optional<int64_t> find_int(std::string_view key, int64_t least, int64_t most) const;
  std::optional<double> find_f64(std::string_view key) const;
  std::optional<float> find_f32(std::string_view key) const;
  std::optional<bool> find_bool(std::string_view key) const;
  std::optional<std::string_view> find_string(std::string_view key) const;
  std::optional<GgufStrings> find_strings(std::string_view key) const;
  std::optional<std::vector<int32_t>> find_i32s(std::string_view key) const;
  std::optional<std::vector<float>> find_f32s(std::string_view key) const;
  std::optional<std::vector<int64_t>> find_per_layer(std::string_view key, int64_t layers,
                                                     int64_t least, int64_t most) const;

  std::span<const GgufTensor> tensors() const noexcept { return header_.tensors; }
  const GgufTensor* find(std::string_view name) const noexcept;  // nullptr if absent
  const GgufTensor& get(std::string_view name) const;            // throws Error(unreadable)

  // Tells the system that `part` (a tensor's data, once it is packed) is not needed for now: its
  // whole pages leave resident memory and come back from the file if touched. Nothing after
  // parse().
  void release(std::span<const std::byte> part) const noexcept { mapping_.release(part); }

 private:
  GgufFile() = default;

  MappedFile mapping_;  // empty after parse()
  std::span<const std::byte> bytes_;
  std::string name_;
  GgufHeader header_;
};

}  // namespace regard
