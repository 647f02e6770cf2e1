// How a program reads its captured arrays: indices are checked lane by lane, so that nothing is
// ever read outside an array. 16 neighbours in memory are one load.
#if defined(REGARD_INTERPRETER_GATHER_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef REGARD_INTERPRETER_GATHER_INL_H_
#undef REGARD_INTERPRETER_GATHER_INL_H_
#else
#define REGARD_INTERPRETER_GATHER_INL_H_
#endif

#include <cstring>
#include <type_traits>

#include "interpreter/loops-inl.h"

HWY_BEFORE_NAMESPACE();
namespace regard::HWY_NAMESPACE {

// What a gather finds: 16 numbers at offsets, in a row, or one; and what stands for the rest.
struct GatherReal {
  using Slot = float;
  static constexpr bool kPoisons = false;
  static HWY_INLINE HWY_ATTR F32x16 at(const void* data, const I32x16& offset) {
    return gather(static_cast<const float*>(data), offset);
  }
  static HWY_INLINE HWY_ATTR F32x16 row(const void* data, int32_t offset) {
    return load(static_cast<const float*>(data) + offset);
  }
  static HWY_INLINE float one(const void* data, int64_t offset) {
    return static_cast<const float*>(data)[offset];
  }
  static HWY_INLINE HWY_ATTR F32x16 outside() { return broadcast(kNotANumber); }
};
struct GatherInteger {
  using Slot = int32_t;
  static constexpr bool kPoisons = true;
  static HWY_INLINE HWY_ATTR F32x16 at(const void* data, const I32x16& offset) {
    return as_f32(gather(static_cast<const int32_t*>(data), offset));
  }
  static HWY_INLINE HWY_ATTR F32x16 row(const void* data, int32_t offset) {
    return as_f32(load(static_cast<const int32_t*>(data) + offset));
  }
  static HWY_INLINE int32_t one(const void* data, int64_t offset) {
    return static_cast<const int32_t*>(data)[offset];
  }
  static HWY_INLINE HWY_ATTR F32x16 outside() { return zero(); }
};
struct GatherTruth {
  using Slot = int32_t;
  static constexpr bool kPoisons = true;
  static HWY_INLINE HWY_ATTR F32x16 at(const void* data, const I32x16& offset) {
    alignas(64) int32_t where[16], found[16];
    store(offset, where);
    for (int i = 0; i < 16; ++i) found[i] = one(data, where[i]);
    return as_f32(load(found));
  }
  static HWY_INLINE HWY_ATTR F32x16 row(const void* data, int32_t offset) {
    alignas(64) int32_t found[16];
    const uint8_t* const from = static_cast<const uint8_t*>(data) + offset;
    for (int i = 0; i < 16; ++i) found[i] = from[i] != 0 ? -1 : 0;
    return as_f32(load(found));
  }
  static HWY_INLINE int32_t one(const void* data, int64_t offset) {
    return static_cast<const uint8_t*>(data)[offset] != 0 ? -1 : 0;
  }
  static HWY_INLINE HWY_ATTR F32x16 outside() { return zero(); }
};

// Notes the lanes of one vector that read outside an array.
inline void note_poison(TileRun& run, TileShape shape, int row, int vector, uint32_t lanes) {
  run.poisoned = true;
  const int rows = run.place->rows;
  for (int r = 0; r < rows; ++r) {
    uint16_t* const of_row = run.poison + r * kTilePanels;
    const bool whole = shape == TileShape::one ||
                       (shape == TileShape::row && r / 16 == vector && (lanes >> r % 16 & 1) != 0);
    if (whole) {
      std::memset(of_row, 0xff, kTilePanels * sizeof(uint16_t));
    } else if (shape == TileShape::key || (shape == TileShape::full && r == run.first_row + row)) {
      of_row[vector] = static_cast<uint16_t>(of_row[vector] | lanes);
    }
  }
}

// Where 16 lanes point: the sum of index · stride, and which lanes are in range of every axis.
struct Pointing {
  I32x16 offset;
  Mask16 inside;

  HWY_INLINE HWY_ATTR void add_axis(const I32x16& index, const I32x16& last, const I32x16& stride) {
    inside =
        both(inside, both(opposite(less(index, broadcast_bits(0))), opposite(less(last, index))));
    offset = add(offset, mul(index, stride));
  }
};

// An array as a step reads it.
struct Axes {
  int count;
  const float* index[4];
  I32x16 last[4];  // the largest index in range
  I32x16 stride[4];
  bool empty = false;   // no element at all
  bool narrow = false;  // every offset in range has 31 bits

  HWY_INLINE HWY_ATTR Axes(const TileRun& run, const TileStep& step) : count(step.operands) {
    const TileArray& array = run.arrays[step.array];
    int64_t reach = 0;  // the furthest offset either way, or anything beyond 31 bits
    for (int k = 0; k < count; ++k) {
      const int64_t most = array.shape[k] - 1 < INT32_MAX ? array.shape[k] - 1 : INT32_MAX;
      const int64_t apart = array.strides[k] < 0 ? -array.strides[k] : array.strides[k];
      empty = empty || most < 0;
      const bool far = reach > INT32_MAX || (most > 0 && apart > INT32_MAX / most);
      reach = far ? int64_t{INT32_MAX} + 1 : reach + most * apart;
      index[k] = run.from(step.operand[k]);
      last[k] = broadcast_bits(static_cast<int32_t>(most));
      stride[k] = broadcast_bits(static_cast<int32_t>(array.strides[k]));
    }
    narrow = reach <= INT32_MAX;
  }
  HWY_INLINE HWY_ATTR I32x16 index_of(const TileStep& step, int k, int row, int vector) const {
    const float* const from = index[k] + row * step.operand[k].row_step;
    return bits_of(step.operand[k].vector ? load(from + 16 * vector) : broadcast(*from));
  }
};

// Lanes in range of an array too large for 32-bit offsets, one by one.
template <class Kind>
HWY_ATTR F32x16 gather_far(const TileRun& run, const TileStep& step, const Axes& axes, int row,
                           int vector, uint32_t inside) {
  const TileArray& array = run.arrays[step.array];
  alignas(64) int32_t index[4][16];
  alignas(64) typename Kind::Slot found[16] = {};
  for (int k = 0; k < axes.count; ++k) store(axes.index_of(step, k, row, vector), index[k]);
  for (int i = 0; i < 16; ++i) {
    if ((inside >> i & 1) == 0) continue;
    int64_t offset = 0;
    for (int k = 0; k < axes.count; ++k) offset += index[k][i] * array.strides[k];
    found[i] = Kind::one(array.data, offset);
  }
  F32x16 x;
  if constexpr (std::is_same_v<typename Kind::Slot, float>) {
    x = load(found);
  } else {
    x = as_f32(load(found));
  }
  return x;
}

template <class Kind>
HWY_ATTR void gather_step(TileRun& run, const TileStep& step) {
  const Extent extent = run.of(step);
  const void* const data = run.arrays[step.array].data;
  const Axes axes(run, step);
  alignas(64) static constexpr int32_t kCount[16] = {0, 1, 2,  3,  4,  5,  6,  7,
                                                     8, 9, 10, 11, 12, 13, 14, 15};
  const I32x16 count = load(kCount);
  float* to = run.to(step.to);
  for (int r = 0; r < extent.rows; ++r, to += step.to.row_step) {
    // Indices that a row's vectors share come first.
    Pointing row{broadcast_bits(0), first_lanes(axes.empty ? 0 : 16)};
    for (int k = 0; k < axes.count; ++k) {
      if (!step.operand[k].vector) {
        row.add_axis(axes.index_of(step, k, r, 0), axes.last[k], axes.stride[k]);
      }
    }
    for (int v = 0; v < extent.vectors; ++v) {
      Pointing at = row;
      for (int k = 0; k < axes.count; ++k) {
        if (step.operand[k].vector) {
          at.add_axis(axes.index_of(step, k, r, v), axes.last[k], axes.stride[k]);
        }
      }
      const uint32_t inside = bits_of(at.inside);
      F32x16 found = Kind::outside();
      if (axes.narrow && inside == 0xffff) {
        const int32_t first = first_lane(at.offset);
        const I32x16 neighbours = add(broadcast_bits(first), count);
        found = bits_of(equal(at.offset, neighbours)) == 0xffff ? Kind::row(data, first)
                                                                : Kind::at(data, at.offset);
      } else if (inside != 0) {
        // Lanes out of range read the first element meanwhile.
        const F32x16 some = axes.narrow
                                ? Kind::at(data, select(at.inside, at.offset, broadcast_bits(0)))
                                : gather_far<Kind>(run, step, axes, r, v, inside);
        found = select(at.inside, some, found);
      }
      store(found, to + 16 * v);
      if (Kind::kPoisons && inside != 0xffff) {
        note_poison(run, step.shape, r, v, ~inside & 0xffff);
      }
    }
  }
}

}  // namespace regard::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
