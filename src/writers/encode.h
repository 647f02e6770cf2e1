// encode_row(): numbers to how they are stored, as ggml's reference does it, byte for byte.
#pragma once

#include <cstddef>
#include <span>

#include "regard/dtype.h"

namespace regard {

// f32, f16, bf16, q8_0, q4_0 and q4_1.
bool can_encode(DType dtype) noexcept;

// Rounds numbers to f16 and bf16 to nearest even; blocks are those of ggml's quantize_row_*_ref.
// Requires can_encode(dtype), whole blocks, finite numbers, and row_bytes() of room at `out`.
void encode_row(DType dtype, std::span<const float> numbers, std::byte* out) noexcept;

}  // namespace regard
