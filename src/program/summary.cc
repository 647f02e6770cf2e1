#include "program/summary.h"

#include <algorithm>

namespace regard::program {
namespace {

constexpr int64_t kBlock = 16;
constexpr int64_t kReadAtMost = 256;     // elements of a box that is read itself
constexpr int64_t kBlocksAtMost = 4096;  // blocks looked at for one box

void include(Extremes& all, const Extremes& more) {
  all.lo = std::min(all.lo, more.lo);
  all.hi = std::max(all.hi, more.hi);
}

}  // namespace

Summary::Summary(const Array& array) : array_(array) {
  const int rank = array.rank();
  for (int axis = 0; axis < rank; ++axis) {
    shape_[axis] =
        array.stride(axis) == 0 ? std::min<int64_t>(array.shape(axis), 1) : array.shape(axis);
    block_[axis] = axis + 2 >= rank ? kBlock : 1;
    blocks_[axis] = (shape_[axis] + block_[axis] - 1) / block_[axis];
  }
}

int32_t Summary::element(const int64_t* index) const noexcept {
  int64_t offset = 0;
  for (int axis = 0; axis < array_.rank(); ++axis) offset += index[axis] * array_.stride(axis);
  if (array_.type() == ElementType::i32) return static_cast<const int32_t*>(array_.data())[offset];
  return static_cast<const uint8_t*>(array_.data())[offset] != 0 ? 1 : 0;
}

// Every index of a box, the last axis fastest.
template <class Visit>
void Summary::walk(const int64_t* first, const int64_t* last, const Visit& visit) const {
  int64_t at[Array::kMaxRank] = {};
  for (at[0] = first[0]; at[0] <= last[0]; ++at[0]) {
    for (at[1] = first[1]; at[1] <= last[1]; ++at[1]) {
      for (at[2] = first[2]; at[2] <= last[2]; ++at[2]) {
        for (at[3] = first[3]; at[3] <= last[3]; ++at[3]) visit(at);
      }
    }
  }
}

void Summary::read() {
  extremes_.assign(static_cast<std::size_t>(blocks_[0] * blocks_[1] * blocks_[2] * blocks_[3]), {});
  all_ = {};
  const int64_t first[Array::kMaxRank] = {};
  int64_t last[Array::kMaxRank];
  for (int axis = 0; axis < Array::kMaxRank; ++axis) last[axis] = shape_[axis] - 1;
  walk(first, last, [&](const int64_t* at) {
    int64_t block = 0;
    for (int axis = 0; axis < Array::kMaxRank; ++axis) {
      block = block * blocks_[axis] + at[axis] / block_[axis];
    }
    const int32_t value = element(at);
    include(extremes_[static_cast<std::size_t>(block)], {value, value});
  });
  for (const Extremes& block : extremes_) include(all_, block);
  read_ = true;
}

Extremes Summary::of(const int64_t* first, const int64_t* last) const {
  int64_t from[Array::kMaxRank] = {}, to[Array::kMaxRank] = {};
  int64_t elements = 1;
  for (int axis = 0; axis < array_.rank(); ++axis) {
    from[axis] = std::min(first[axis], shape_[axis] - 1);
    to[axis] = std::min(last[axis], shape_[axis] - 1);
    elements = std::min(elements * (to[axis] - from[axis] + 1), kReadAtMost + 1);
  }
  Extremes found;
  if (elements <= kReadAtMost) {
    walk(from, to, [&](const int64_t* at) {
      const int32_t value = element(at);
      include(found, {value, value});
    });
    return found;
  }
  int64_t blocks = 1;
  for (int axis = 0; axis < Array::kMaxRank; ++axis) {
    from[axis] /= block_[axis];
    to[axis] /= block_[axis];
    blocks = std::min(blocks * (to[axis] - from[axis] + 1), kBlocksAtMost + 1);
  }
  if (blocks > kBlocksAtMost) return all_;
  walk(from, to, [&](const int64_t* at) {
    int64_t block = 0;
    for (int axis = 0; axis < Array::kMaxRank; ++axis) block = block * blocks_[axis] + at[axis];
    include(found, extremes_[static_cast<std::size_t>(block)]);
  });
  return found;
}

}  // namespace regard::program
