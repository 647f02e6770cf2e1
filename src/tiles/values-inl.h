// The value product of a fold: o = o · shrink + p v, lanes across columns, one chain over keys.
#if defined(REGARD_TILES_VALUES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef REGARD_TILES_VALUES_INL_H_
#undef REGARD_TILES_VALUES_INL_H_
#else
#define REGARD_TILES_VALUES_INL_H_
#endif

#include "simd/tile-inl.h"
#include "tiles/fold.h"
#include "tiles/groups-inl.h"

HWY_BEFORE_NAMESPACE();
namespace regard::HWY_NAMESPACE {
namespace {  // one file includes it, whose compiler may inline all of it

// Consecutive keys whose values lie one value_step apart.
template <class T>
struct Run {
  const T* values;
  const T* ahead;  // the same keys of the next tile
  int count;
};

// o = o · shrink + p v for a group of rows and a range of columns; fresh: o = p v.
template <class T>
struct ValueWork {
  const float* p;
  const Run<T>* runs;
  int first_key, end_key;
  int64_t value_step;
  int64_t column_step;
  bool fresh;
  const float* shrink;
  float* o;
  int64_t o_step;
  int column;

  template <int kRows, int kColumns>
  HWY_ATTR void run(int offset) const {
    constexpr int kAhead = kRows < kStageFrom ? kColumns : 0;
    const int first = column + offset;
    Accumulators<kRows, kColumns> sum;
    float* const at = o + first * 16;
    if (fresh) {
      clear(sum);
    } else {
      const float* from = at;
#pragma GCC unroll 16
      for (int r = 0; r < kRows; ++r, from += o_step) {
        const F32x16 factor = broadcast(shrink[r]);
#pragma GCC unroll 8
        for (int j = 0; j < kColumns; ++j) sum.at[r][j] = mul(load(from + 16 * j), factor);
      }
    }
    const Run<T>* run = runs;
    int skipped = first_key;  // of the run's keys
    while (skipped >= run->count && first_key < end_key) skipped -= run++->count;
    for (int key = first_key; key < end_key; key += run->count - skipped, ++run, skipped = 0) {
      Stored<T, kColumns, kAhead> values;
      values.step = value_step;
      values.ahead_step = value_step * static_cast<int64_t>(sizeof(T));
      for (int j = 0; j < kColumns; ++j) {
        values.base[j] = run->values + skipped * value_step + (first + j) * column_step;
        if (kAhead > 0) {
          values.ahead[j] = reinterpret_cast<const std::byte*>(run->ahead + skipped * value_step +
                                                               (first + j) * column_step);
        }
      }
      const int left = run->count - skipped;
      multiply_add(Rows{p + key, kTileKeys}, values, end_key - key < left ? end_key - key : left,
                   sum);
    }
    float* to = at;
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r, to += o_step) {
#pragma GCC unroll 8
      for (int j = 0; j < kColumns; ++j) store(sum.at[r][j], to + 16 * j);
    }
  }
};

// The keys of a panel that a row may use, a bit each.
static HWY_INLINE HWY_MAYBE_UNUSED uint32_t seen_bits(const KeySpan& seen, int panel) {
  const int first = seen.first - panel * kPanelKeys, end = seen.end - panel * kPanelKeys;
  const uint32_t below_end = end >= kPanelKeys ? 0xFFFFu : end <= 0 ? 0 : (1u << end) - 1;
  const uint32_t below_first = first >= kPanelKeys ? 0xFFFFu : first <= 0 ? 0 : (1u << first) - 1;
  return below_end & ~below_first;
}

// p times the scale of the key's value; p of a key that the row does not see stays 0, whatever lies
// at its scale.
static HWY_MAYBE_UNUSED HWY_ATTR void scale_weights(const KeyTile& tile, int rows,
                                                    const KeySpan* seen, const uint16_t* allowed,
                                                    float* p) {
  for (int r = 0; r < rows; ++r) {
    for (int panel = seen[r].first / kPanelKeys; panel < panels_of(seen[r].end); ++panel) {
      uint32_t bits = seen_bits(seen[r], panel);
      if (allowed != nullptr) bits &= allowed[r * kTilePanels + panel];
      float* const at = p + r * kTileKeys + panel * kPanelKeys;
      store(mul_where(mask_of_bits(bits), load(at), load(tile.value_scales_of_panel[panel])), at);
    }
  }
}

// The tile's values as runs of contiguous rows, as far as the rows to look ahead at are contiguous
// too.
template <class T>
HWY_MAYBE_UNUSED void find_runs(const KeyTile& tile, const KeyTile& next, Run<T>* runs) {
  const void* places[kTilePanels];
  const int panels = panels_of(tile.keys);
  look_ahead(tile.values_of_panel, next.values_of_panel, panels, panels_of(next.keys), places);
  int count = 0;
  for (int first = 0; first < tile.keys; first += kPanelKeys) {
    const T* values = static_cast<const T*>(tile.values_of_panel[first / kPanelKeys]);
    const T* ahead = static_cast<const T*>(places[first / kPanelKeys]);
    const int size = tile.keys - first < kPanelKeys ? tile.keys - first : kPanelKeys;
    Run<T>* const last = runs + count - 1;
    if (count > 0 && last->values + last->count * tile.value_step == values &&
        last->ahead + last->count * tile.value_step == ahead) {
      last->count += size;
    } else {
      runs[count++] = {values, ahead, size};
    }
  }
}

// o = o · shrink + p v of one row over the keys that it sees, one by one: where values may be NaN
// or infinite and a program masks some of them.
template <class T>
HWY_ATTR void add_seen_values(const float* p, const KeySpan& seen, const uint16_t* allowed,
                              const KeyTile& tile, bool fresh, float shrink, int64_t columns,
                              float* o) {
  for (int64_t column = 0; column < columns; column += 16) {
    F32x16 sum = fresh ? zero() : mul(load(o + column), broadcast(shrink));
    for (int key = seen.first; key < seen.end; ++key) {
      const int panel = key / kPanelKeys, lane = key % kPanelKeys;
      if ((allowed[panel] >> lane & 1) == 0) continue;
      const T* const values = static_cast<const T*>(tile.values_of_panel[panel]) +
                              lane * tile.value_step + column / 16 * tile.column_step;
      sum = fma(broadcast(p[key]), load(values), sum);
    }
    store(sum, o + column);
  }
}

// A bit for each panel that holds keys which some rows of the group see and others do not.
static HWY_MAYBE_UNUSED uint32_t panels_not_shared(const Group& group) {
  const uint32_t used = (1u << group.end_panel()) - (1u << group.first_panel());
  const int first = panels_of(group.all_first), end = group.all_end / kPanelKeys;
  return first < end ? used & ~((1u << end) - (1u << first)) : used;
}

// allowed: null, or what a program left of the keys, [rows][8].
template <class T>
HWY_ATTR void add_values(const float* p, int rows, const KeySpan* seen, const Group* groups,
                         int count, const KeyTile& tile, const Ahead& ahead,
                         const uint16_t* allowed, bool fresh, const float* shrink,
                         const FoldState& state) {
  if (allowed != nullptr && tile.special != 0) {
    for (int r = 0; r < rows; ++r) {
      add_seen_values<T>(p + r * kTileKeys, seen[r], allowed + r * kTilePanels, tile, fresh,
                         shrink[r], state.columns, state.o + r * state.columns);
    }
    return;
  }
  constexpr int kTallest =
      sizeof(T) == sizeof(float) || kMaxTileRows < kStageFrom ? kMaxTileRows : kStageFrom - 1;
  const int columns = static_cast<int>(state.columns / 16);
  const bool few = rows < kStageFrom;
  Run<T> runs[kTilePanels];
  find_runs(tile, few && ahead.tile != nullptr ? *ahead.tile : tile, runs);
  // Columns outside, row groups inside: with many rows a pair of columns stays in the first cache.
  const int step = rows <= kMaxTileRows ? columns : kTileBudget / kMaxTileRows;
  for (int column = 0; column < columns; column += step) {
    const int width = columns - column < step ? columns - column : step;
    for (int g = 0; g < count; ++g) {
      const Group& group = groups[g];
      // Rows that see fewer keys multiply the others by p = 0, which a NaN or infinity would spoil:
      // then each row walks its own keys only.
      const bool together = group.alike() || (tile.special & panels_not_shared(group)) == 0;
      for (int r = group.row; r < group.row + group.height; r += together ? group.height : 1) {
        with_rows<kTallest>(
            together ? group.height : 1, width,
            ValueWork<T>{p + r * kTileKeys, runs, together ? group.first : seen[r].first,
                         together ? group.end : seen[r].end, tile.value_step, tile.column_step,
                         fresh, shrink + r, state.o + r * state.columns, state.columns, column});
      }
    }
  }
}

}  // namespace
}  // namespace regard::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
