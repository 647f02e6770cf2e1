// Buffer: owned bytes on a cache-line boundary, zero at first.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

namespace regard {

inline constexpr std::size_t kAlignment = 64;

class Buffer {
 public:
  Buffer() = default;
  // Zeroed; large buffers take memory from the system page by page as they are first touched.
  // Throws Error(out_of_memory) that names `what` and the size.
  Buffer(std::size_t bytes, const char* what);

  std::byte* data() const noexcept { return data_.get(); }
  std::size_t size() const noexcept { return size_; }
  template <class T>
  T* as() const noexcept {
    return reinterpret_cast<T*>(data_.get());
  }

 private:
  struct Release {
    std::size_t mapped;  // length of the mapping; 0 = from the heap
    void operator()(std::byte* data) const noexcept;
  };
  std::unique_ptr<std::byte[], Release> data_{nullptr, Release{0}};
  std::size_t size_ = 0;
};

}  // namespace regard
