#include "writers/atomic_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <system_error>
#include <utility>

#include "base/check.h"
#include "base/printable.h"

namespace regard {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kTogether = std::size_t{1} << 20;

// Names that an ended program with this number left behind are stepped over.
constexpr int kMostAttempts = 1000;
int next_number() {
  static std::atomic<int> number{0};
  return number++;
}

fs::path folder_of(const fs::path& path) {
  return path.has_parent_path() ? path.parent_path() : fs::path(".");
}

}  // namespace

void AtomicFile::refuse(int error) const {
  fail(ErrorKind::failed, "{}: cannot be written: {}", printable(path_.native(), 1024),
       std::generic_category().message(error));
}

AtomicFile::AtomicFile(const fs::path& path) : path_(path) {
  std::error_code ignored;
  if (fs::is_directory(path, ignored)) refuse(EISDIR);
  for (int attempt = 0; file_ < 0; ++attempt) {
    const fs::path name = folder_of(path) / fmt::format(".regard-{}-{}", getpid(), next_number());
    file_ = open(name.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0666);
    if (file_ < 0 && (errno != EEXIST || attempt == kMostAttempts)) refuse(errno);
    if (file_ >= 0) temporary_ = name;
  }
}

AtomicFile::~AtomicFile() {
  if (file_ >= 0) close(file_);
  if (!temporary_.empty()) unlink(temporary_.c_str());
}

void AtomicFile::write_through(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(file_, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) refuse(errno);
    bytes = bytes.subspan(static_cast<std::size_t>(count));
  }
}

void AtomicFile::flush() {
  write_through(waiting_);
  waiting_.clear();
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  written_ += bytes.size();
  if (waiting_.size() + bytes.size() > kTogether) flush();
  if (bytes.size() > kTogether) return write_through(bytes);
  waiting_.insert(waiting_.end(), bytes.begin(), bytes.end());
}

void AtomicFile::write_zeros(uint64_t count) {
  static constexpr std::byte kZeros[4096]{};
  while (count > 0) {
    const uint64_t now = std::min<uint64_t>(count, sizeof kZeros);
    write({kZeros, static_cast<std::size_t>(now)});
    count -= now;
  }
}

void AtomicFile::commit() {
  flush();
  if (fsync(file_) != 0) refuse(errno);
  if (close(std::exchange(file_, -1)) != 0) refuse(errno);
  if (rename(temporary_.c_str(), path_.c_str()) != 0) refuse(errno);
  temporary_.clear();
  // The name, too, survives a power cut.
  const int folder = open(folder_of(path_).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder >= 0) {
    fsync(folder);
    close(folder);
  }
}

void write_atomically(const std::filesystem::path& path, std::string_view text) {
  AtomicFile file(path);
  file.write(text);
  file.commit();
}

}  // namespace regard
