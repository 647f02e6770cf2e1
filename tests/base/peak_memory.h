// How much memory this process takes while something runs.
#pragma once

#include <cstdint>
#include <cstdio>
#include <string>

#if defined(__GLIBC__)
#include <malloc.h>
#endif

#include "base/arena.h"

namespace regard::testing {

// Bytes of a line of /proc/self/status; -1: there is none.
inline int64_t status_bytes(const std::string& name) {
  std::FILE* const file = std::fopen("/proc/self/status", "r");
  if (file == nullptr) return -1;
  char line[256];
  long kilobytes = -1;
  while (std::fgets(line, sizeof line, file) != nullptr) {
    if (std::string(line).rfind(name + ":", 0) == 0) {
      std::sscanf(line + name.size(), ":%ld", &kilobytes);
    }
  }
  std::fclose(file);
  return kilobytes < 0 ? -1 : int64_t{kilobytes} * 1024;
}

// Lets the peak begin anew; false: this system does not, or a sanitizer's own memory comes on top.
inline bool forget_peak() {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  return false;
#endif
  std::FILE* const file = std::fopen("/proc/self/clear_refs", "w");
  if (file == nullptr) return false;
  const bool written = std::fputs("5", file) >= 0;
  return std::fclose(file) == 0 && written;
}

// The most memory that was held at once during call() on top of what was held before, when nothing
// was kept for later use. Call once before, so that code and threads are in memory already.
template <class Call>
int64_t peak_growth(const Call& call) {
  Arena::global().trim();
#if defined(__GLIBC__)
  malloc_trim(0);
#endif
  forget_peak();
  const int64_t before = status_bytes("VmRSS");
  call();
  return status_bytes("VmHWM") - before;
}

}  // namespace regard::testing
