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
    return as_f32(ones_where_not_zero(static_cast<const uint8_t*>(data) + offset));
  }
  static HWY_INLINE int32_t one(const void* data, int64_t offset) {
    return static_cast<const uint8_t*>(data)[offset] != 0 ? -1 : 0;
  }
  static HWY_INLINE HWY_ATTR F32x16 outside() { return zero(); }
};

// Notes the lanes of one vector that read outside an array.
inline void note_poison(TileRun& run, const TileStep& step, int row, int vector, uint32_t lanes) {
  run.poisoned = true;
  uint16_t* const poison = run.poison[step.masks];
  const int rows = run.place->rows;
  const auto spoil = [&](int r) {
    uint16_t& panel = poison[r * kTilePanels + vector];
    panel = static_cast<uint16_t>(panel | lanes);
  };
  const auto spoil_row = [&](int r) {
    std::memset(poison + r * kTilePanels, 0xff, kTilePanels * sizeof(uint16_t));
  };
  switch (step.shape) {
    case TileShape::full:
      return spoil(run.first_row + row);
    case TileShape::key:
      for (int r = 0; r < rows; ++r) spoil(r);
      return;
    case TileShape::row:
      for (int r = 16 * vector; r < rows && r < 16 * vector + 16; ++r) {
        if ((lanes >> r % 16 & 1) != 0) spoil_row(r);
      }
      return;
    case TileShape::one:
      for (int r = 0; r < rows; ++r) spoil_row(r);
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

// Where the indices that a row's vectors share point.
struct RowPlace {
  int32_t base;
  bool inside;
};

// An array as a step reads it.
struct Axes {
  int count;
  const float* index[4];
  I32x16 last[4];  // the largest index in range
  I32x16 stride[4];
  const TileArray& array;
  bool empty = false;      // no element at all
  bool narrow = false;     // every offset in range has 31 bits
  bool separable = false;  // no index varies by both row and key

  HWY_INLINE HWY_ATTR Axes(const TileRun& run, const TileStep& step)
      : count(step.operands), array(run.arrays[step.array]), separable(true) {
    int64_t reach = 0;  // the furthest offset either way, or anything beyond 31 bits
    for (int k = 0; k < count; ++k) {
      const int64_t most = array.shape[k] - 1 < INT32_MAX ? array.shape[k] - 1 : INT32_MAX;
      const int64_t apart = array.strides[k] < 0 ? -array.strides[k] : array.strides[k];
      empty = empty || most < 0;
      const bool far = reach > INT32_MAX || (most > 0 && apart > INT32_MAX / most);
      reach = far ? int64_t{INT32_MAX} + 1 : reach + most * apart;
      index[k] = run.from(step.operand[k]);
      separable = separable && !(step.operand[k].vector && step.operand[k].row_step != 0);
      last[k] = broadcast_bits(static_cast<int32_t>(most));
      stride[k] = broadcast_bits(static_cast<int32_t>(array.strides[k]));
    }
    narrow = reach <= INT32_MAX;
  }
  HWY_INLINE HWY_ATTR I32x16 index_of(const TileStep& step, int k, int row, int vector) const {
    const float* const from = index[k] + row * step.operand[k].row_step;
    return bits_of(step.operand[k].vector ? load(from + 16 * vector) : broadcast(*from));
  }
  // Of a narrow array.
  HWY_INLINE RowPlace row_of(const TileStep& step, int row) const {
    RowPlace place{0, true};
    for (int k = 0; k < count; ++k) {
      if (step.operand[k].vector) continue;
      int32_t at;
      std::memcpy(&at, index[k] + row * step.operand[k].row_step, sizeof at);
      if (at < 0 || at >= array.shape[k]) return {0, false};
      place.base += static_cast<int32_t>(at * array.strides[k]);
    }
    return place;
  }
};

// Lanes in range of an array too large for 32-bit offsets, one by one.
template <class Kind>
HWY_ATTR F32x16 gather_far(const TileStep& step, const Axes& axes, int row, int vector,
                           uint32_t inside) {
  const TileArray& array = axes.array;
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

// How sixteen places lie to each other: most often they need no gather.
enum class Spread : uint8_t { ascending, descending, same, scattered };
struct Pattern {
  Spread spread;
  int32_t first;
};
HWY_INLINE HWY_ATTR Pattern pattern_of(const I32x16& offset) {
  alignas(64) static constexpr int32_t kCount[16] = {0, 1, 2,  3,  4,  5,  6,  7,
                                                     8, 9, 10, 11, 12, 13, 14, 15};
  const int32_t first = first_lane(offset);
  const I32x16 apart = sub(offset, broadcast_bits(first));
  const auto is = [&](const I32x16& other)
                      HWY_ATTR { return bits_of(equal(apart, other)) == 0xffff; };
  const I32x16 count = load(kCount);
  const Spread spread = is(count)               ? Spread::ascending
                        : is(broadcast_bits(0)) ? Spread::same
                        : is(neg(count))        ? Spread::descending
                                                : Spread::scattered;
  return {spread, first};
}

// Sixteen elements at offset + base, all inside the array.
template <class Kind>
HWY_INLINE HWY_ATTR F32x16 read_sixteen(const void* data, const Pattern& pattern,
                                        const I32x16& offset, int32_t base) {
  switch (pattern.spread) {
    case Spread::ascending:
      return Kind::row(data, pattern.first + base);
    case Spread::descending:
      return reverse(Kind::row(data, pattern.first + base - 15));
    case Spread::same: {
      const typename Kind::Slot found = Kind::one(data, int64_t{pattern.first} + base);
      if constexpr (std::is_same_v<typename Kind::Slot, float>) {
        return broadcast(found);
      } else {
        return as_f32(broadcast_bits(found));
      }
    }
    default:
      return Kind::at(data, add(offset, broadcast_bits(base)));
  }
}

// Where every index varies by row or by key and none by both: the keys' part is found once, and a
// row adds its own.
template <class Kind>
HWY_ATTR void gather_rows(TileRun& run, const TileStep& step, const Axes& axes) {
  const Extent extent = run.of(step);
  const void* const data = run.arrays[step.array].data;
  alignas(64) int32_t offset[kTileKeys];
  Pattern pattern[kTilePanels];
  Mask16 lanes[kTilePanels];
  uint32_t inside[kTilePanels];
  for (int v = 0; v < extent.vectors; ++v) {
    Pointing at{broadcast_bits(0), first_lanes(16)};
    for (int k = 0; k < axes.count; ++k) {
      if (step.operand[k].vector) {
        at.add_axis(axes.index_of(step, k, 0, v), axes.last[k], axes.stride[k]);
      }
    }
    store(at.offset, offset + 16 * v);
    pattern[v] = pattern_of(at.offset);
    lanes[v] = at.inside;
    inside[v] = bits_of(at.inside);
  }
  float* to = run.to(step.to);
  for (int r = 0; r < extent.rows; ++r, to += step.to.row_step) {
    const RowPlace row = axes.row_of(step, r);
    for (int v = 0; v < extent.vectors; ++v) {
      const uint32_t found = row.inside ? inside[v] : 0;
      if (found == 0xffff) {
        store(read_sixteen<Kind>(data, pattern[v], load(offset + 16 * v), row.base), to + 16 * v);
        continue;
      }
      F32x16 x = Kind::outside();
      if (found != 0) {
        // Lanes out of range read the row's first element meanwhile.
        const I32x16 safe = select(lanes[v], load(offset + 16 * v), broadcast_bits(0));
        x = select(lanes[v], Kind::at(data, add(safe, broadcast_bits(row.base))), x);
      }
      store(x, to + 16 * v);
      if (Kind::kPoisons) note_poison(run, step, r, v, ~found & 0xffff);
    }
  }
}

template <class Kind>
HWY_ATTR void gather_step(TileRun& run, const TileStep& step) {
  const Extent extent = run.of(step);
  const void* const data = run.arrays[step.array].data;
  const Axes axes(run, step);
  if (axes.narrow && !axes.empty && axes.separable) return gather_rows<Kind>(run, step, axes);
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
        found = read_sixteen<Kind>(data, pattern_of(at.offset), at.offset, 0);
      } else if (inside != 0) {
        // Lanes out of range read the first element meanwhile.
        const F32x16 some = axes.narrow
                                ? Kind::at(data, select(at.inside, at.offset, broadcast_bits(0)))
                                : gather_far<Kind>(step, axes, r, v, inside);
        found = select(at.inside, some, found);
      }
      store(found, to + 16 * v);
      if (Kind::kPoisons && inside != 0xffff) {
        note_poison(run, step, r, v, ~inside & 0xffff);
      }
    }
  }
}

}  // namespace regard::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
