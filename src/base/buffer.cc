#include "base/buffer.h"

#include <sys/mman.h>

#include <cstdlib>
#include <cstring>

#include "base/check.h"

namespace regard {
namespace {

// From here on a buffer is a mapping of its own: lazily zeroed, in large pages where the system
// offers them, and given back to the system at once.
constexpr std::size_t kMapFrom = std::size_t{1} << 20;

}  // namespace

Buffer::Buffer(std::size_t bytes, const char* what) : size_(bytes) {
  if (bytes == 0) return;
  constexpr std::size_t kLargest = SIZE_MAX / 2;
  if (bytes >= kMapFrom && bytes < kLargest) {
    void* mapping =
        mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapping != MAP_FAILED) {
      madvise(mapping, bytes, MADV_HUGEPAGE);
      data_ = decltype(data_)(static_cast<std::byte*>(mapping), Release{bytes});
      return;
    }
  } else if (bytes < kLargest) {
    const std::size_t rounded = (bytes + kAlignment - 1) / kAlignment * kAlignment;
    if (void* memory = std::aligned_alloc(kAlignment, rounded)) {
      std::memset(memory, 0, rounded);
      data_ = decltype(data_)(static_cast<std::byte*>(memory), Release{0});
      return;
    }
  }
  fail(ErrorKind::out_of_memory, "{}: no memory for {} bytes", what, bytes);
}

void Buffer::Release::operator()(std::byte* data) const noexcept {
  if (mapped != 0) {
    munmap(data, mapped);
  } else {
    std::free(data);
  }
}

}  // namespace regard
