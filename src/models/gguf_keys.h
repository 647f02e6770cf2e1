// The settings as GGUF keys: read from a file, or listed for one to be written. What is read from
// what was written is the same.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "formats/gguf.h"
#include "formats/tensor_source.h"
#include "models/family.h"

namespace regard::models {

// Of a file of this family; tensors, those of all parts of a split model, tell the vocabulary and
// the frequencies' factors. Throws Error(unreadable) naming file, key and rule.
Settings read_keys(const GgufFile& file, const TensorSource& tensors, const Family& family);

struct GgufKey {
  std::string key;
  std::variant<uint32_t, float, bool, std::string, std::vector<uint32_t>, std::vector<bool>> value;
};

// Without general.* and tokenizer.*, which are the writer's.
std::vector<GgufKey> write_keys(const Settings& settings, const Family& family);

}  // namespace regard::models
