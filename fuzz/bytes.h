// A fuzzer's input, a byte at a time; behind its end zeros. Calls that may be refused.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "regard/error.h"

namespace regard {

[[noreturn]] inline void complain(std::string_view what) {
  std::fprintf(stderr, "fuzz: %.*s\n", static_cast<int>(what.size()), what.data());
  std::abort();
}

class Bytes {
 public:
  Bytes(const uint8_t* data, std::size_t size) : data_(data), size_(size) {}
  int next() { return at_ < size_ ? data_[at_++] : 0; }
  int below(int count) { return next() % count; }
  bool chance(int one_in) { return next() % one_in == one_in - 1; }
  bool done() const { return at_ >= size_; }

 private:
  const uint8_t* data_;
  std::size_t size_;
  std::size_t at_ = 0;
};

// Does work() without an Error? One must be one line.
template <class Work>
bool computes(const Work& work) {
  try {
    work();
    return true;
  } catch (const Error& error) {
    const std::string_view line = error.what();
    if (line.empty() || line.find('\n') != line.npos) complain("an error is not one line");
    return false;
  }
}

}  // namespace regard
