// What a file seems to be, from its first bytes: which reader to try, and what to tell people whose
// file is another.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

namespace regard {

// Safetensors has no magic; its first 8 bytes are the length of the JSON that follows, and no more
// than this.
inline constexpr std::size_t kMaxSafetensorsHeader = 100'000'000;

enum class FileKind {
  gguf,
  safetensors,
  zip,  // a wheel, or a checkpoint of torch
  pickle,
  old_ggml,  // the formats before GGUF
  lfs_pointer,
  web_page,
  json,
  other
};

FileKind file_kind(std::span<const std::byte> bytes) noexcept;

// "it looks like …; what to do", for a file that is not what was wanted.
std::string_view advice(FileKind kind) noexcept;

}  // namespace regard
