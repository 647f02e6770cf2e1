// AtomicFile: a file that appears whole or not at all. Bytes go to a temporary file beside the
// target; commit() makes them durable and gives them the name. Until then, and on any failure,
// what lay at the name stays, and the temporary goes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string_view>
#include <vector>

namespace regard {

class AtomicFile {
 public:
  // Throw Error(failed) that names the target and the system's reason.
  explicit AtomicFile(const std::filesystem::path& path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(std::span<const std::byte> bytes);
  void write(std::string_view text) { write(std::as_bytes(std::span(text))); }
  void write_zeros(uint64_t count);
  uint64_t written() const noexcept { return written_; }

  void commit();

 private:
  void flush();
  void write_through(std::span<const std::byte> bytes);
  [[noreturn]] void refuse(int error) const;

  std::filesystem::path path_;
  std::filesystem::path temporary_;
  int file_ = -1;
  uint64_t written_ = 0;
  std::vector<std::byte> waiting_;  // small pieces, written together
};

// A file of this text alone. Throws as AtomicFile does.
void write_atomically(const std::filesystem::path& path, std::string_view text);

}  // namespace regard
