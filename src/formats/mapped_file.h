// MappedFile: a whole file as read-only memory. Pages are read when first touched and belong to
// the system's file cache, so a model costs no copy.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string_view>

namespace regard {

// The size is taken once, when the file is opened. A program that shortens the file afterwards
// makes the system send SIGBUS to whoever touches a lost page, as with every mapped file: replace
// a model by writing a new file and renaming it, which leaves an open mapping as it was.
class MappedFile {
 public:
  MappedFile() = default;
  // Throws Error(unreadable) for what is missing, not a regular file, empty, or may not be read,
  // and Error(out_of_memory) if the address space has no room.
  explicit MappedFile(const std::filesystem::path& path);
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile other) noexcept;
  ~MappedFile();

  std::span<const std::byte> bytes() const noexcept { return {data_, size_}; }
  std::string_view text() const noexcept { return {reinterpret_cast<const char*>(data_), size_}; }

  // Takes the whole pages inside `part` out of this process's resident memory. They are read
  // again from the file when they are touched again. Bytes outside the mapping are left alone.
  void release(std::span<const std::byte> part) const noexcept;

 private:
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace regard
