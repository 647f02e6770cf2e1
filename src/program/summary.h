// Summary: what integers or truth values a box of a captured array holds, without reading the box
// element by element.
#pragma once

#include <vector>

#include "expr/node.h"

namespace regard::program {

struct Extremes {
  int32_t lo = INT32_MAX, hi = INT32_MIN;  // of nothing
  uint64_t residues = 0;                   // bit r: an element that is r mod 64
};

class Summary {
 public:
  // array: integer or boolean.
  explicit Summary(const Array& array);

  // Reads the whole array: the extremes of every block of 16 (of 16 × 16 over the last two axes).
  // Booleans next to each other are left alone: a box of them is looked at when it is asked for.
  void read();
  bool is_read() const noexcept { return read_; }

  // Of the elements in a box of indices, inclusive and inside the array; of a larger box possibly
  // those of the blocks that cover it.
  Extremes of(const int64_t* first, const int64_t* last) const;

 private:
  static constexpr int kAxes = Array::kMaxRank;

  Extremes scanned(int64_t offset, int64_t count) const noexcept;
  Extremes flags(const int64_t* from, const int64_t* to) const noexcept;
  Extremes elements(const int64_t* from, const int64_t* to) const noexcept;
  Extremes run(const int64_t* from, const int64_t* to) const noexcept;
  int64_t offset_of(const int64_t* index) const noexcept;
  int64_t block_of(const int64_t* index) const noexcept;

  Array array_;
  // The array's axes are the last of four; the others have extent 1.
  int64_t shape_[kAxes] = {1, 1, 1, 1};  // 1 where the stride is 0
  int64_t stride_[kAxes] = {};
  int64_t blocks_[kAxes] = {1, 1, 1, 1};  // along each axis
  std::vector<Extremes> extremes_;        // [blocks], row-major
  Extremes all_;
  bool flags_next_to_each_other_;
  bool read_ = false;
};

}  // namespace regard::program
