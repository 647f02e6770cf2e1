// The reading of one safetensors file: from bytes to checked views of them.
#pragma once

#include <cstddef>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "formats/tensor_source.h"

namespace regard {

struct SafetensorsHeader {
  std::map<std::string, std::string> metadata;
  std::vector<TensorInfo> tensors;  // in the order of their data
};

// Throws Error(unreadable). `file` stands for the file in messages.
SafetensorsHeader parse_safetensors(std::span<const std::byte> bytes, const std::string& file);

}  // namespace regard
