// DType: how numbers are stored. Plain types hold one number each; block types hold a row of
// numbers in blocks with shared scales (the layouts of GGUF).
#pragma once

#include <cstdint>
#include <string_view>

namespace regard {

// i8: whole numbers -127 .. 127, each vector of them with an f32 scale that is kept beside it, as
// KvCache does.
enum class DType : uint8_t {
  f64,
  f32,
  f16,
  bf16,
  i8,
  q8_0,
  q4_0,
  q4_1,
  q5_0,
  q5_1,
  q4_k,
  q5_k,
  q6_k
};

struct DTypeInfo {
  std::string_view name;  // lower case, as on the command line: "f16", "q4_k"
  int block_elements;     // numbers in a block; 1 for plain types
  int block_bytes;
};

// Never fails: every DType has an entry.
const DTypeInfo& info(DType dtype) noexcept;

inline bool is_quantised(DType dtype) noexcept { return info(dtype).block_elements > 1; }

// Bytes of a dense row. Requires: elements is a multiple of the block size.
inline int64_t row_bytes(DType dtype, int64_t elements) noexcept {
  const DTypeInfo& facts = info(dtype);
  return elements / facts.block_elements * facts.block_bytes;
}

}  // namespace regard
