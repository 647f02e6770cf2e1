#include "formats/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <string>
#include <system_error>
#include <utility>

#include "base/check.h"
#include "base/printable.h"

namespace regard {
namespace {

// Closes the descriptor when the scope ends; a mapping outlives it.
struct Descriptor {
  int number;
  ~Descriptor() {
    if (number >= 0) close(number);
  }
};

std::string reason(int error) { return std::generic_category().message(error); }

}  // namespace

MappedFile::MappedFile(const std::filesystem::path& path) {
  const std::string name = printable(path.native(), 1024);
  // O_NONBLOCK: opening a pipe without a writer must not wait.
  const Descriptor file{open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)};
  if (file.number < 0) {
    const int error = errno;
    if (error == ENOENT) {
      fail(ErrorKind::unreadable, "{}: there is no such file; check the path", name);
    }
    if (error == EACCES) {
      fail(ErrorKind::unreadable, "{}: permission denied; make the file readable", name);
    }
    fail(ErrorKind::unreadable, "{}: the file cannot be opened: {}", name, reason(error));
  }
  struct stat facts {};
  if (fstat(file.number, &facts) != 0) {
    fail(ErrorKind::unreadable, "{}: the file cannot be examined: {}", name, reason(errno));
  }
  if (S_ISDIR(facts.st_mode)) {
    fail(ErrorKind::unreadable, "{}: is a directory; name the model file inside it", name);
  }
  if (!S_ISREG(facts.st_mode)) {
    fail(ErrorKind::unreadable, "{}: is not a regular file, and a model is mapped from one", name);
  }
  if (facts.st_size == 0) {
    fail(ErrorKind::unreadable, "{}: is empty (0 bytes); download it again", name);
  }
  const auto size = static_cast<std::size_t>(facts.st_size);
  void* mapping = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.number, 0);
  if (mapping == MAP_FAILED) {
    const int error = errno;
    fail(error == ENOMEM ? ErrorKind::out_of_memory : ErrorKind::unreadable,
         "{}: {} bytes cannot be mapped: {}", name, size, reason(error));
  }
  data_ = static_cast<const std::byte*>(mapping);
  size_ = size;
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) munmap(const_cast<std::byte*>(data_), size_);
}

void MappedFile::release(std::span<const std::byte> part) const noexcept {
  if (data_ == nullptr || part.empty()) return;
  const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const auto mapped = reinterpret_cast<uintptr_t>(data_);
  const auto wanted = reinterpret_cast<uintptr_t>(part.data());
  const uintptr_t first = (std::max(wanted, mapped) + page - 1) / page * page;
  const uintptr_t last = std::min(wanted + part.size(), mapped + size_) / page * page;
  if (first < last) madvise(reinterpret_cast<void*>(first), last - first, MADV_DONTNEED);
}

}  // namespace regard
