// The reading of a GGUF header: from bytes to checked views of them.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "formats/gguf.h"

namespace regard {

// Throws Error(unreadable). `file` stands for the file in messages.
GgufHeader parse_gguf(std::span<const std::byte> bytes, const std::string& file);

// The bytes of one value of a fixed size; 0 for strings and arrays.
std::size_t gguf_type_bytes(GgufType type) noexcept;

}  // namespace regard
