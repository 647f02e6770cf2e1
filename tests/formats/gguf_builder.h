// GgufBuilder: writes small GGUF files for tests, right ones and, field by field, wrong ones.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "formats/gguf.h"

namespace regard {

inline void append_bytes(std::string& to, const void* from, std::size_t count) {
  to.append(static_cast<const char*>(from), count);
}

template <class T>
void append(std::string& to, T value) {
  static_assert(std::is_arithmetic_v<T>);
  append_bytes(to, &value, sizeof value);
}

// A length, then the bytes. A wrong length can be written in its place.
inline void append_string(std::string& to, std::string_view text,
                          std::optional<uint64_t> length = {}) {
  append<uint64_t>(to, length.value_or(text.size()));
  to += text;
}

template <class T>
constexpr GgufType gguf_type_of() {
  if constexpr (std::is_same_v<T, bool>) return GgufType::boolean;
  if constexpr (std::is_same_v<T, uint8_t>) return GgufType::u8;
  if constexpr (std::is_same_v<T, int8_t>) return GgufType::i8;
  if constexpr (std::is_same_v<T, uint16_t>) return GgufType::u16;
  if constexpr (std::is_same_v<T, int16_t>) return GgufType::i16;
  if constexpr (std::is_same_v<T, uint32_t>) return GgufType::u32;
  if constexpr (std::is_same_v<T, int32_t>) return GgufType::i32;
  if constexpr (std::is_same_v<T, uint64_t>) return GgufType::u64;
  if constexpr (std::is_same_v<T, int64_t>) return GgufType::i64;
  if constexpr (std::is_same_v<T, float>) return GgufType::f32;
  if constexpr (std::is_same_v<T, double>) return GgufType::f64;
}

class GgufBuilder {
 public:
  // Fields of the start that a test may falsify.
  std::string magic = "GGUF";
  uint32_t version = 3;
  std::optional<uint64_t> tensor_count;  // default: the true ones
  std::optional<uint64_t> key_count;
  uint32_t alignment = 32;  // of the layout; the key general.alignment is written by the test

  // A key whose type number and value bytes are whatever the test says.
  GgufBuilder& raw_key(std::string_view key, uint32_t type, std::string_view value) {
    append_string(keys_, key);
    append(keys_, type);
    keys_ += value;
    ++keys_written_;
    return *this;
  }

  template <class T>
  GgufBuilder& key(std::string_view name, T value) {
    std::string bytes;
    append(bytes, value);
    return raw_key(name, static_cast<uint32_t>(gguf_type_of<T>()), bytes);
  }

  GgufBuilder& string_key(std::string_view name, std::string_view text) {
    std::string bytes;
    append_string(bytes, text);
    return raw_key(name, static_cast<uint32_t>(GgufType::string), bytes);
  }

  GgufBuilder& raw_array(std::string_view name, uint32_t element_type, uint64_t count,
                         std::string_view elements) {
    std::string bytes;
    append(bytes, element_type);
    append(bytes, count);
    bytes += elements;
    return raw_key(name, static_cast<uint32_t>(GgufType::array), bytes);
  }

  template <class T>
  GgufBuilder& array(std::string_view name, const std::vector<T>& values) {
    std::string bytes;
    for (const T value : values) append<T>(bytes, value);
    return raw_array(name, static_cast<uint32_t>(gguf_type_of<T>()), values.size(), bytes);
  }

  GgufBuilder& strings(std::string_view name, const std::vector<std::string>& values) {
    std::string bytes;
    for (const std::string& value : values) append_string(bytes, value);
    return raw_array(name, static_cast<uint32_t>(GgufType::string), values.size(), bytes);
  }

  // A tensor of `bytes` bytes of data, laid out behind the others unless `offset` says otherwise.
  GgufBuilder& tensor(std::string_view name, const std::vector<uint64_t>& dims, uint32_t type,
                      std::size_t bytes, std::optional<uint64_t> offset = {}) {
    append_string(tensors_, name);
    append(tensors_, static_cast<uint32_t>(dims.size()));
    for (const uint64_t extent : dims) append(tensors_, extent);
    append(tensors_, type);
    data_.resize((data_.size() + alignment - 1) / alignment * alignment);
    append<uint64_t>(tensors_, offset.value_or(data_.size()));
    for (std::size_t i = 0; i < bytes; ++i) data_.push_back(static_cast<char>(i * 7 + 1));
    ++tensors_written_;
    return *this;
  }

  GgufBuilder& f32_tensor(std::string_view name, const std::vector<uint64_t>& dims) {
    uint64_t numbers = 1;
    for (const uint64_t extent : dims) numbers *= extent;
    return tensor(name, dims, 0, numbers * sizeof(float));
  }

  // Everything in front of the padding and the data.
  std::string header() const {
    std::string bytes = magic;
    append(bytes, version);
    append(bytes, tensor_count.value_or(tensors_written_));
    append(bytes, key_count.value_or(keys_written_));
    return bytes + keys_ + tensors_;
  }

  std::string build() const {
    std::string bytes = header();
    if (!data_.empty()) bytes.resize((bytes.size() + alignment - 1) / alignment * alignment);
    return bytes + data_;
  }

 private:
  std::string keys_, tensors_, data_;
  uint64_t keys_written_ = 0, tensors_written_ = 0;
};

// A model of the smallest kind that uses most of the format: the Llama keys, a vocabulary, and
// tensors of several types.
inline GgufBuilder small_model() {
  GgufBuilder file;
  file.string_key("general.architecture", "llama")
      .string_key("general.name", "small")
      .key<uint32_t>("llama.block_count", 1)
      .key<uint32_t>("llama.context_length", 64)
      .key<uint32_t>("llama.embedding_length", 32)
      .key<uint32_t>("llama.feed_forward_length", 64)
      .key<uint32_t>("llama.attention.head_count", 4)
      .array<int32_t>("llama.attention.head_count_kv", {2})
      .key<float>("llama.attention.layer_norm_rms_epsilon", 1e-5f)
      .key<bool>("tokenizer.ggml.add_bos_token", false)
      .string_key("tokenizer.ggml.model", "gpt2")
      .strings("tokenizer.ggml.tokens", {"a", "b", "", "\xE2\x82"})
      .array<int32_t>("tokenizer.ggml.token_type", {1, 1, 3, 6})
      .tensor("token_embd.weight", {32, 4}, 8, 4 * 34)
      .f32_tensor("output_norm.weight", {32})
      .tensor("blk.0.ffn_up.weight", {32, 3}, 3, 3 * 20);
  return file;
}

inline std::span<const std::byte> as_bytes(const std::string& text) {
  return std::as_bytes(std::span(text));
}

}  // namespace regard
