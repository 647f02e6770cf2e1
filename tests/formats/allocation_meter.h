// Counts what this program takes with operator new, so that a test can bound it: unlike resident
// memory the count is the same on every machine and under sanitizers. It replaces the operators,
// so one source file of a program may include it.
#pragma once

#include <malloc.h>
#include <time.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <new>

namespace regard {

inline std::atomic<std::size_t> live_bytes{0};
inline std::atomic<std::size_t> peak_bytes{0};

// The most that was live at once since this object was made, above what was live then.
class AllocationMeter {
 public:
  AllocationMeter() : before_(live_bytes) { peak_bytes = before_; }
  std::size_t peak() const { return peak_bytes - before_; }

 private:
  std::size_t before_;
};

// Seconds of this thread's own computing, which other programs on the machine do not lengthen.
inline double cpu_seconds() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

inline void* counted(std::size_t bytes) noexcept {
  void* memory = std::malloc(bytes == 0 ? 1 : bytes);
  if (memory == nullptr) return nullptr;
  const std::size_t size = malloc_usable_size(memory);
  const std::size_t live = live_bytes += size;
  std::size_t peak = peak_bytes;
  while (live > peak && !peak_bytes.compare_exchange_weak(peak, live)) {
  }
  return memory;
}

inline void* counted_or_throw(std::size_t bytes) {
  if (void* memory = counted(bytes)) return memory;
  throw std::bad_alloc();
}

inline void uncounted(void* memory) noexcept {
  if (memory == nullptr) return;
  live_bytes -= malloc_usable_size(memory);
  std::free(memory);
}

}  // namespace regard

void* operator new(std::size_t bytes) { return regard::counted_or_throw(bytes); }
void* operator new[](std::size_t bytes) { return regard::counted_or_throw(bytes); }
void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept {
  return regard::counted(bytes);
}
void* operator new[](std::size_t bytes, const std::nothrow_t&) noexcept {
  return regard::counted(bytes);
}
void operator delete(void* memory) noexcept { regard::uncounted(memory); }
void operator delete[](void* memory) noexcept { regard::uncounted(memory); }
void operator delete(void* memory, std::size_t) noexcept { regard::uncounted(memory); }
void operator delete[](void* memory, std::size_t) noexcept { regard::uncounted(memory); }
void operator delete(void* memory, const std::nothrow_t&) noexcept { regard::uncounted(memory); }
void operator delete[](void* memory, const std::nothrow_t&) noexcept { regard::uncounted(memory); }
