// GgufWriter: metadata and tensors to one GGUF file of version 3, which appears whole or not at
// all.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "formats/gguf.h"
#include "writers/tensor_to_write.h"

namespace regard {

class GgufWriter {
 public:
  // Throw Error(invalid_argument) for an empty or repeated key or one of more than 65535 bytes.
  template <class T>
  requires std::is_arithmetic_v<T>
  void key(std::string_view name, T value) {
    begin(name, type_of<T>());
    append(value);
  }
  void key(std::string_view name, std::string_view text);
  void key(std::string_view name, const char* text) { key(name, std::string_view(text)); }
  void key(std::string_view name, const std::vector<std::string>& texts);
  template <class T>
  requires std::is_arithmetic_v<T>
  void key(std::string_view name, const std::vector<T>& numbers) {
    begin_array(name, type_of<T>(), numbers.size());
    for (const T number : numbers) append(number);
  }
  void copy(const GgufValue& value);  // as another file has it

  // Throws Error(invalid_argument) for a name that is empty, repeated or longer than 63 bytes, and
  // for rows that are no whole blocks or shapes without numbers, which GGUF cannot hold.
  void tensor(TensorToWrite tensor);

  // Throws Error(failed) naming the path and the system's reason; what lay there stays then.
  // progress: bytes of tensors written so far, of all.
  using Progress = std::function<void(uint64_t done, uint64_t all)>;
  void write(const std::filesystem::path& path, const Progress& progress = {}) const;

 private:
  template <class T>
  static constexpr GgufType type_of() {
    if constexpr (std::is_same_v<T, bool>) return GgufType::boolean;
    if constexpr (std::is_same_v<T, float>) return GgufType::f32;
    if constexpr (std::is_same_v<T, double>) return GgufType::f64;
    constexpr bool kSigned = std::is_signed_v<T>;
    if constexpr (sizeof(T) == 1) return kSigned ? GgufType::i8 : GgufType::u8;
    if constexpr (sizeof(T) == 2) return kSigned ? GgufType::i16 : GgufType::u16;
    if constexpr (sizeof(T) == 4) return kSigned ? GgufType::i32 : GgufType::u32;
    return kSigned ? GgufType::i64 : GgufType::u64;
  }
  template <class T>
  void append(T value) {
    keys_.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  void append_text(std::string_view text);
  void begin(std::string_view name, GgufType type);
  void begin_array(std::string_view name, GgufType element, std::size_t count);

  std::string keys_;  // as the file has them
  std::vector<std::string> key_names_;
  std::vector<TensorToWrite> tensors_;
};

}  // namespace regard
