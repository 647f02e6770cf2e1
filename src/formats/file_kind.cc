#include "formats/file_kind.h"

#include <cstdint>
#include <cstring>

namespace regard {
namespace {

bool starts_with(std::span<const std::byte> bytes, std::string_view prefix) {
  return bytes.size() >= prefix.size() &&
         std::memcmp(bytes.data(), prefix.data(), prefix.size()) == 0;
}

bool is_safetensors(std::span<const std::byte> bytes) {
  uint64_t header = 0;
  if (bytes.size() <= sizeof header) return false;
  std::memcpy(&header, bytes.data(), sizeof header);
  return header >= 2 && header <= kMaxSafetensorsHeader && bytes[sizeof header] == std::byte{'{'};
}

bool is_pickle(std::span<const std::byte> bytes) {
  return bytes.size() >= 2 && bytes[0] == std::byte{0x80} && bytes[1] >= std::byte{2} &&
         bytes[1] <= std::byte{5};
}

}  // namespace

FileKind file_kind(std::span<const std::byte> bytes) noexcept {
  if (starts_with(bytes, "GGUF")) return FileKind::gguf;
  if (is_safetensors(bytes)) return FileKind::safetensors;
  if (starts_with(bytes, "PK\x03\x04")) return FileKind::zip;
  if (is_pickle(bytes)) return FileKind::pickle;
  for (const std::string_view old : {"lmgg", "fmgg", "tjgg", "algg"}) {
    if (starts_with(bytes, old)) return FileKind::old_ggml;
  }
  if (starts_with(bytes, "version https://git-lfs")) return FileKind::lfs_pointer;
  for (const std::string_view page : {"<!DOCTYPE", "<!doctype", "<html"}) {
    if (starts_with(bytes, page)) return FileKind::web_page;
  }
  return starts_with(bytes, "{") ? FileKind::json : FileKind::other;
}

std::string_view advice(FileKind kind) noexcept {
  switch (kind) {
    case FileKind::gguf:
      return "it looks like GGUF; its name ought to end in .gguf";
    case FileKind::safetensors:
      return "it looks like safetensors; name the model's folder, or convert it";
    case FileKind::zip:
      return "it looks like a zip archive (a wheel or a PyTorch checkpoint); unpack or convert it";
    case FileKind::pickle:
      return "it looks like a Python pickle, which can run code and is never read; convert it";
    case FileKind::old_ggml:
      return "it is of ggml's formats before GGUF; convert it";
    case FileKind::lfs_pointer:
      return "it is a Git LFS pointer; fetch the file itself with git lfs pull";
    case FileKind::web_page:
      return "it is a web page, so the download went wrong";
    case FileKind::json:
      return "it looks like JSON; name the model file or its folder";
    case FileKind::other:
      break;
  }
  return "it is another kind of file, or damaged";
}

}  // namespace regard
