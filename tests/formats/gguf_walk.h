// walk(): touches everything a GgufFile hands out, as a loader would and more, so that a sanitizer
// or a signal tells if any of it lies outside the file.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>

#include "formats/describe.h"
#include "formats/gguf.h"
#include "regard/error.h"

namespace regard {

// Throws std::logic_error unless the error is what a bad file may cause: Error(unreadable), one
// line, which begins with the file's name and is not longer than a screen.
inline void expect_clean(const Error& error, std::string_view file_name) {
  const std::string_view message = error.what();
  if (error.kind() != ErrorKind::unreadable || !message.starts_with(file_name) ||
      message.size() > 1000 || message.find('\n') != std::string_view::npos) {
    throw std::logic_error("not a clean refusal: " + std::string(message));
  }
}

template <class Use>
uint64_t unless_refused(const GgufFile& file, Use use) {
  try {
    return use();
  } catch (const Error& error) {
    expect_clean(error, file.name());
    return 0;
  }
}

// A sum over all that was touched. `data` also reads the ends of every tensor.
inline uint64_t walk(const GgufFile& file, bool data = true) {
  uint64_t sum = file.version() + file.alignment();
  const auto add = [&](auto use) { sum += unless_refused(file, use); };
  for (const GgufValue& value : file.keys()) {
    const std::string_view key = value.key;
    if (file.find_key(key) != &value) throw std::logic_error("lost a key");
    if (value.type == GgufType::array && value.element == GgufType::string) {
      for (const std::string_view text : file.get_strings(key)) {
        for (const char letter : text) sum += static_cast<uint8_t>(letter);
      }
    } else if (value.type == GgufType::array) {
      add([&] { return file.get_i32s(key).size(); });
      add([&] { return file.get_f32s(key).size(); });
      add([&] { return file.get_per_layer(key, 3, 0, 1 << 20).size(); });
    } else if (value.type == GgufType::string) {
      for (const char letter : file.get_string(key)) sum += static_cast<uint8_t>(letter);
    } else if (value.type == GgufType::boolean) {
      sum += file.get_bool(key) ? 1 : 0;
    } else if (value.type == GgufType::f32 || value.type == GgufType::f64) {
      add([&] { return file.get_f64(key) > 1 ? 1 : 0; });
      add([&] { return file.get_f32(key) > 1 ? 1 : 0; });
    } else {
      add([&] { return file.get_u64(key); });
      add([&] { return static_cast<uint64_t>(file.get_int(key, -5, 1000)); });
      add([&] { return file.get_per_layer(key, 3, 0, 1 << 20).size(); });
    }
  }
  for (const GgufTensor& tensor : file.tensors()) {
    if (file.find(tensor.name) != &tensor) throw std::logic_error("lost a tensor");
    if (tensor.elements() < 1 || tensor.data.empty()) throw std::logic_error("an empty tensor");
    if (data) {
      sum += std::to_integer<uint64_t>(tensor.data.front()) +
             std::to_integer<uint64_t>(tensor.data.back());
    }
  }
  add([&] { return static_cast<uint64_t>(summarise(file).parameters); });
  return sum;
}

// Loads and walks, or refuses cleanly; anything else throws. True if it loaded.
inline bool loads_or_refuses(std::span<const std::byte> bytes, bool data = true) {
  static const std::string kName = "hostile.gguf";
  try {
    walk(GgufFile::parse(bytes, kName), data);
    return true;
  } catch (const Error& error) {
    expect_clean(error, kName);
    return false;
  }
}

}  // namespace regard
