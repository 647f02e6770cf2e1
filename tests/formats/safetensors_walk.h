// Touches everything a Safetensors source hands out, so that a sanitizer or a signal tells if any
// of it lies outside the file.
#pragma once

#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>

#include "formats/gguf_walk.h"
#include "formats/safetensors.h"

namespace regard {

inline uint64_t walk(const TensorSource& source) {
  uint64_t sum = 0;
  for (const TensorInfo& tensor : source.tensors()) {
    if (source.find(tensor.name) != &tensor) throw std::logic_error("lost a tensor");
    if (!tensor.data.empty()) {
      sum += std::to_integer<uint64_t>(tensor.data.front()) +
             std::to_integer<uint64_t>(tensor.data.back());
    }
    source.release(tensor.data);
    try {
      sum += static_cast<uint64_t>(source.get(tensor.name).rank) + shape_text(tensor).size();
    } catch (const Error& error) {
      if (tensor.rank <= 4) throw std::logic_error("refused a tensor that can be used");
      expect_clean(error, source.name());
    }
  }
  return sum;
}

// Loads and walks, or refuses cleanly; anything else throws. True if it loaded.
inline bool safetensors_loads_or_refuses(std::span<const std::byte> bytes) {
  static const std::string kName = "hostile.safetensors";
  try {
    walk(Safetensors::parse(bytes, kName));
    return true;
  } catch (const Error& error) {
    expect_clean(error, kName);
    return false;
  }
}

inline bool index_loads_or_refuses(std::string_view text) {
  static const std::string kName = "hostile.index.json";
  try {
    for (const auto& [tensor, shard] : parse_safetensors_index(text, kName)) {
      if (shard.find('/') != std::string::npos) throw std::logic_error("a shard with a folder");
    }
    return true;
  } catch (const Error& error) {
    expect_clean(error, kName);
    return false;
  }
}

}  // namespace regard
