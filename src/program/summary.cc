#include "program/summary.h"

#include <algorithm>
#include <cstring>

namespace regard::program {
namespace {

constexpr int64_t kBlock = 16;           // elements of a block, along each of the last two axes
constexpr int64_t kReadAtMost = 256;     // elements of a box that is read itself
constexpr int64_t kFlagsAtMost = 65536;  // the same of booleans next to each other
constexpr int64_t kBlocksAtMost = 4096;  // blocks looked at for one box

void include(Extremes& all, const Extremes& more) {
  all.lo = std::min(all.lo, more.lo);
  all.hi = std::max(all.hi, more.hi);
  all.residues |= more.residues;
}

constexpr int64_t block_size(int axis) { return axis >= 2 ? kBlock : 1; }

// Calls visit for every index of the first three axes, that of the last one being from[3].
template <class Visit>
void each_row(const int64_t* from, const int64_t* to, const Visit& visit) {
  int64_t at[4] = {0, 0, 0, from[3]};
  for (at[0] = from[0]; at[0] <= to[0]; ++at[0]) {
    for (at[1] = from[1]; at[1] <= to[1]; ++at[1]) {
      for (at[2] = from[2]; at[2] <= to[2]; ++at[2]) visit(at);
    }
  }
}

// What a run of bytes holds: bit 0 a zero, bit 1 something else.
unsigned kinds_of(const uint8_t* bytes, int64_t count) {
  constexpr uint64_t kOnes = 0x0101010101010101, kTops = 0x8080808080808080;
  uint64_t zeros = 0, others = 0;
  for (; count >= 8; count -= 8, bytes += 8) {
    uint64_t eight;
    std::memcpy(&eight, bytes, sizeof eight);
    zeros |= (eight - kOnes) & ~eight & kTops;
    others |= eight;
  }
  for (; count > 0; --count, ++bytes) {
    zeros |= *bytes == 0 ? 1 : 0;
    others |= *bytes;
  }
  return (zeros != 0 ? 1 : 0) | (others != 0 ? 2 : 0);
}

}  // namespace

Summary::Summary(const Array& array) : array_(array) {
  const int rank = array.rank();
  for (int axis = 0; axis < rank; ++axis) {
    const int place = kAxes - rank + axis;
    stride_[place] = array.stride(axis);
    shape_[place] =
        stride_[place] == 0 ? std::min<int64_t>(array.shape(axis), 1) : array.shape(axis);
    blocks_[place] = (shape_[place] + block_size(place) - 1) / block_size(place);
  }
  const int last = kAxes - 1;
  flags_next_to_each_other_ =
      array.type() == ElementType::boolean && (stride_[last] == 1 || shape_[last] <= 1);
}

int64_t Summary::offset_of(const int64_t* index) const noexcept {
  int64_t offset = 0;
  for (int axis = 0; axis < kAxes; ++axis) offset += index[axis] * stride_[axis];
  return offset;
}
int64_t Summary::block_of(const int64_t* index) const noexcept {
  int64_t block = 0;
  for (int axis = 0; axis < kAxes; ++axis) {
    block = block * blocks_[axis] + index[axis] / block_size(axis);
  }
  return block;
}

// count elements along the last axis.
Extremes Summary::scanned(int64_t offset, int64_t count) const noexcept {
  Extremes found;
  const int64_t step = stride_[kAxes - 1];
  const auto scan = [&](const auto* from) {
    for (int64_t n = 0; n < count; ++n, from += step) {
      const int32_t value = sizeof *from == 1 ? *from != 0 : static_cast<int32_t>(*from);
      found.lo = std::min(found.lo, value);
      found.hi = std::max(found.hi, value);
      found.residues |= uint64_t{1} << (value & 63);
    }
  };
  if (array_.type() == ElementType::i32) {
    scan(static_cast<const int32_t*>(array_.data()) + offset);
  } else {
    scan(static_cast<const uint8_t*>(array_.data()) + offset);
  }
  return found;
}

void Summary::read() {
  read_ = true;
  if (flags_next_to_each_other_) return;
  extremes_.assign(static_cast<std::size_t>(blocks_[0] * blocks_[1] * blocks_[2] * blocks_[3]), {});
  all_ = {};
  const int64_t first[kAxes] = {};
  const int64_t last[kAxes] = {shape_[0] - 1, shape_[1] - 1, shape_[2] - 1, 0};
  each_row(first, last, [&](const int64_t* row) {
    Extremes* const block = extremes_.data() + block_of(row);
    const int64_t offset = offset_of(row);
    for (int64_t b = 0; b < blocks_[3]; ++b) {
      const int64_t count = std::min(kBlock, shape_[3] - b * kBlock);
      include(block[b], scanned(offset + b * kBlock * stride_[3], count));
    }
  });
  for (const Extremes& block : extremes_) include(all_, block);
}

Extremes Summary::flags(const int64_t* from, const int64_t* to) const noexcept {
  unsigned kinds = 0;
  each_row(from, to, [&](const int64_t* row) {
    if (kinds == 3) return;
    kinds |=
        kinds_of(static_cast<const uint8_t*>(array_.data()) + offset_of(row), to[3] - from[3] + 1);
  });
  return {(kinds & 1) != 0 ? 0 : 1, (kinds & 2) != 0 ? 1 : 0, kinds};
}

Extremes Summary::elements(const int64_t* from, const int64_t* to) const noexcept {
  Extremes found;
  each_row(from, to, [&](const int64_t* row) {
    include(found, scanned(offset_of(row), to[3] - from[3] + 1));
  });
  return found;
}

// A box that is long along the last axis only: whole blocks, and the elements before and after.
Extremes Summary::run(const int64_t* from, const int64_t* to) const noexcept {
  Extremes found;
  const Extremes* const blocks = extremes_.data() + block_of(from) - from[3] / kBlock;
  const int64_t offset = offset_of(from) - from[3] * stride_[3];
  for (int64_t at = from[3]; at <= to[3];) {
    const int64_t left = to[3] + 1 - at;
    // The last block may be a short one.
    if (at % kBlock == 0 && (left >= kBlock || to[3] + 1 == shape_[3])) {
      include(found, blocks[at / kBlock]);
      at += kBlock;
    } else {
      const int64_t count = std::min(left, kBlock - at % kBlock);
      include(found, scanned(offset + at * stride_[3], count));
      at += count;
    }
  }
  return found;
}

Extremes Summary::of(const int64_t* first, const int64_t* last) const {
  int64_t from[kAxes] = {}, to[kAxes] = {};
  int64_t count = 1, rows = 1;
  for (int axis = 0; axis < kAxes; ++axis) {
    const int given = axis - (kAxes - array_.rank());
    if (given < 0) continue;
    from[axis] = std::min(first[given], shape_[axis] - 1);
    to[axis] = std::min(last[given], shape_[axis] - 1);
    count = std::min(count * (to[axis] - from[axis] + 1), kFlagsAtMost + 1);
    if (axis < kAxes - 1) rows = count;
  }
  if (flags_next_to_each_other_) {
    return count <= kFlagsAtMost ? flags(from, to) : Extremes{0, 1, 3};
  }
  if (rows == 1 && to[3] - from[3] < kBlocksAtMost * kBlock) return run(from, to);
  if (count <= kReadAtMost) return elements(from, to);
  int64_t blocks = 1;
  for (int axis = 0; axis < kAxes; ++axis) {
    const int64_t size = block_size(axis);
    blocks = std::min(blocks * (to[axis] / size - from[axis] / size + 1), kBlocksAtMost + 1);
  }
  if (blocks > kBlocksAtMost) return all_;
  Extremes found;
  int64_t at[kAxes];
  for (at[0] = from[0]; at[0] <= to[0]; ++at[0]) {
    for (at[1] = from[1]; at[1] <= to[1]; ++at[1]) {
      for (at[2] = from[2] / kBlock * kBlock; at[2] <= to[2]; at[2] += kBlock) {
        for (at[3] = from[3] / kBlock * kBlock; at[3] <= to[3]; at[3] += kBlock) {
          include(found, extremes_[static_cast<std::size_t>(block_of(at))]);
        }
      }
    }
  }
  return found;
}

}  // namespace regard::program
