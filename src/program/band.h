// Band: the part of a mask that is a run of keys for each row, so that it costs two numbers a row.
#pragma once

#include <algorithm>
#include <cstdint>

#include "regard/program.h"

namespace regard::program {

// Keys and rows are counted up to this, and i lies no further below 0: then nothing a band is made
// of wraps around, and it is the mask that it was taken from.
inline constexpr int64_t kMaxPosition = int64_t{1} << 29;

// The query at position i, the row-th of its call, may use the keys first .. end - 1.
struct KeyRun {
  int64_t first, end;
};
struct Band {
  static constexpr int64_t kFar = int64_t{1} << 40;
  int64_t from = 0, from_query = -kFar, from_row = -kFar;  // j >= from, i + from_query, ...
  int64_t to = kFar, to_query = kFar, to_row = kFar;       // j <  to, i + to_query, ...

  // Of keys 0 .. keys - 1; first <= end.
  KeyRun keys_of(int64_t i, int64_t row, int64_t keys) const noexcept {
    const int64_t first = std::max({from, i + from_query, row + from_row, int64_t{0}});
    const int64_t end = std::min({to, i + to_query, row + to_row, keys});
    return first < end ? KeyRun{first, end} : KeyRun{0, 0};
  }
  bool everything() const noexcept {
    return from <= 0 && from_query == -kFar && from_row == -kFar && to == kFar &&
           to_query == kFar && to_row == kFar;
  }
};

// mask = band & rest. What stands among the mask's conjuncts (through ~ and |, if that makes one)
// and compares the key with a constant, or with i or row and a constant, goes into the band:
// causal, windows, |i - j| <= w, fixed prefixes. rest is empty if nothing is left.
struct SplitMask {
  Band band;
  Expr rest;
};
SplitMask split_mask(const Expr& mask);

}  // namespace regard::program
