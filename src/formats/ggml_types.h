// The tensor types a GGUF file can name: ggml's numbers, their block sizes, and which of them
// regard computes with.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "regard/dtype.h"

namespace regard {

struct GgmlType {
  std::string_view name;  // lower case, as in DTypeInfo
  int block_elements;     // numbers in a block; 1 for plain types
  int block_bytes;
  std::optional<DType> dtype;  // nothing: legal in a file, but regard does not compute with it
};

// nullptr for numbers that ggml never gave out or has removed.
const GgmlType* find_ggml_type(uint32_t id) noexcept;

// Numbers that once meant a type whose layout is gone (4, 5, 31-33, 36-38).
bool is_removed_ggml_type(uint32_t id) noexcept;

}  // namespace regard
