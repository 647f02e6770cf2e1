// Summary: the smallest and the largest element of every block of a captured array, so that a box
// of indices is bounded without reading it.
#pragma once

#include <vector>

#include "expr/node.h"

namespace regard::program {

struct Extremes {
  int32_t lo = INT32_MAX, hi = INT32_MIN;  // of nothing
};

class Summary {
 public:
  // array: integer or boolean.
  explicit Summary(const Array& array);

  // Reads the whole array.
  void read();
  bool is_read() const noexcept { return read_; }

  // Bounds of the elements in a box of indices, inclusive and inside the array: exact for small
  // boxes, otherwise those of the blocks that cover it.
  Extremes of(const int64_t* first, const int64_t* last) const;

 private:
  int32_t element(const int64_t* index) const noexcept;
  template <class Visit>
  void walk(const int64_t* first, const int64_t* last, const Visit& visit) const;

  Array array_;
  int64_t shape_[Array::kMaxRank] = {1, 1, 1, 1};   // 1 where the stride is 0
  int64_t block_[Array::kMaxRank] = {1, 1, 1, 1};   // elements of a block
  int64_t blocks_[Array::kMaxRank] = {1, 1, 1, 1};  // blocks along an axis
  std::vector<Extremes> extremes_;                  // [blocks], row-major
  Extremes all_;
  bool read_ = false;
};

}  // namespace regard::program
