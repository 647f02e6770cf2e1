// fold_tile, compiled once per target: scores, the online softmax, and the values. See attention.h
// for the algebra.
#include "kernels/attention.h"
#include "simd/highway.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/attention_fold.cc"
#include <hwy/foreach_target.h>

#include "simd/math-inl.h"
#include "simd/simd-inl.h"
#include "simd/tile-inl.h"

HWY_BEFORE_NAMESPACE();
namespace regard::HWY_NAMESPACE {
namespace {

// Calls work<rows, columns>() with the tile shape that fits: the widest allowed at that height,
// then half of it where that is common, then one column at a time.
template <int kRows, class Work>
HWY_ATTR void with_columns(int columns, const Work& work) {
  constexpr int kWidest = columns_for(kRows);
  int done = 0;
  for (; done + kWidest <= columns; done += kWidest) work.template run<kRows, kWidest>(done);
  if constexpr (kWidest > 4) {
    for (; done + 4 <= columns; done += 4) work.template run<kRows, 4>(done);
  }
  if constexpr (kWidest > 1) {
    for (; done < columns; ++done) work.template run<kRows, 1>(done);
  }
}

template <int kRows, class Work>
HWY_ATTR void with_rows(int rows, int columns, const Work& work) {
  if (rows == kRows) {
    with_columns<kRows>(columns, work);
  } else if constexpr (kRows > 1) {
    with_rows<kRows - 1>(rows, columns, work);
  }
}

// The tallest group of rows against numbers of type T: 16-bit ones meet few rows only.
template <class T>
constexpr int kMostRows = sizeof(T) == 4 || kMaxTileRows < kStageFrom ? kMaxTileRows
                                                                      : kStageFrom - 1;

// s = q kᵀ for a group of rows and a range of panels.
template <class T>
struct ScoreWork {
  const float* q;
  int64_t dim;
  const void* const* panels;
  const void* const* ahead;  // the same panels of the next tile
  float* scores;

  template <int kRows, int kColumns>
  HWY_ATTR void run(int first) const {
    constexpr bool kAhead = kRows < kStageFrom;
    Stored<T, kColumns, kAhead> keys;
    keys.step = kPanelKeys;
    for (int j = 0; j < kColumns; ++j) {
      keys.base[j] = static_cast<const T*>(panels[first + j]);
      if constexpr (kAhead) keys.ahead[j] = static_cast<const T*>(ahead[first + j]);
    }
    Accumulators<kRows, kColumns> s;
    clear(s);
    multiply_add(q, dim, keys, 0, dim, s);
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
      for (int j = 0; j < kColumns; ++j) {
        store(s.at[r][j], scores + r * kTileKeys + (first + j) * kPanelKeys);
      }
    }
  }
};

// Consecutive keys whose values lie one value_step apart.
template <class T>
struct Run {
  const T* values;
  const T* ahead;  // the same keys of the next tile
  int first;
  int count;
};

// o = o · shrink + p v for a group of rows and a range of columns.
template <class T>
struct ValueWork {
  const float* p;
  const Run<T>* runs;
  int run_count;
  int64_t value_step;
  int64_t column_step;
  const float* shrink;
  float* o;
  int64_t o_step;
  int column;

  template <int kRows, int kColumns>
  HWY_ATTR void run(int offset) const {
    const int first = column + offset;
    Accumulators<kRows, kColumns> sum;
    float* const at = o + first * 16;
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
      const F32x16 factor = broadcast(shrink[r]);
#pragma GCC unroll 8
      for (int j = 0; j < kColumns; ++j) {
        sum.at[r][j] = mul(load(at + r * o_step + 16 * j), factor);
      }
    }
    for (int i = 0; i < run_count; ++i) {
      constexpr bool kAhead = kRows < kStageFrom;
      Stored<T, kColumns, kAhead> values;
      values.step = value_step;
      for (int j = 0; j < kColumns; ++j) {
        values.base[j] = runs[i].values + (first + j) * column_step;
        if constexpr (kAhead) values.ahead[j] = runs[i].ahead + (first + j) * column_step;
      }
      multiply_add(p + runs[i].first, kTileKeys, values, 0, runs[i].count, sum);
    }
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
      for (int j = 0; j < kColumns; ++j) store(sum.at[r][j], at + r * o_step + 16 * j);
    }
  }
};

int largest(const int32_t* visible, int rows) {
  int most = 0;
  for (int r = 0; r < rows; ++r) most = visible[r] > most ? visible[r] : most;
  return most;
}
int smallest(const int32_t* visible, int rows) {
  int least = kTileKeys;
  for (int r = 0; r < rows; ++r) least = visible[r] < least ? visible[r] : least;
  return least;
}
constexpr int panels_of(int keys) { return (keys + kPanelKeys - 1) / kPanelKeys; }

// The next tile's panel at each place, or this tile's where the next one has none.
void look_ahead(const void* const* here, const void* const* next, int count, int next_count,
                const void** ahead) {
  for (int p = 0; p < count; ++p) ahead[p] = p < next_count ? next[p] : here[p];
}

template <class T>
HWY_ATTR void score_rows(const float* q, int64_t dim, int rows, const int32_t* visible,
                         const KeyTile& tile, const KeyTile& next, float* scores) {
  const void* ahead[kTilePanels];
  look_ahead(tile.keys_of_panel, next.keys_of_panel, panels_of(tile.keys), panels_of(next.keys),
             ahead);
  // Panels outside, row groups inside: a pair of panels stays in the first cache.
  constexpr int kStep = columns_for(kMaxTileRows);
  if (rows <= kMostRows<T>) {
    const int panels = panels_of(largest(visible, rows));
    with_rows<kMostRows<T>>(rows, panels, ScoreWork<T>{q, dim, tile.keys_of_panel, ahead, scores});
    return;
  }
  const int panels = panels_of(largest(visible, rows));
  for (int panel = 0; panel < panels; panel += kStep) {
    for (int row = 0; row < rows; row += kMaxTileRows) {
      const int height = rows - row < kMaxTileRows ? rows - row : kMaxTileRows;
      const int needed = panels_of(largest(visible + row, height)) - panel;
      if (needed <= 0) continue;
      with_rows<kMostRows<T>>(
          height, needed < kStep ? needed : kStep,
          ScoreWork<T>{q + row * dim, dim, tile.keys_of_panel + panel, ahead + panel,
                       scores + row * kTileKeys + panel * kPanelKeys});
    }
  }
}

// The largest visible score of a row, in 16 lanes.
HWY_INLINE HWY_ATTR F32x16 row_maximum(const float* scores, int visible) {
  if (visible == kTileKeys) {
    F32x16 a = load(scores), b = load(scores + 16);
#pragma GCC unroll 3
    for (int i = 2; i < kTilePanels; i += 2) {
      a = max(load(scores + 16 * i), a);
      b = max(load(scores + 16 * i + 16), b);
    }
    // A NaN must lose to any number on either side of max.
    return max(max(a, broadcast(kNone)), max(b, broadcast(kNone)));
  }
  F32x16 most = broadcast(kNone);
  const int whole = visible / kPanelKeys;
  for (int i = 0; i < whole; ++i) most = max(load(scores + 16 * i), most);
  if (const int rest = visible % kPanelKeys; rest != 0) {
    most = max(select(first_lanes(rest), load(scores + 16 * whole), broadcast(kNone)), most);
  }
  return most;
}

// s -> p = exp(s - m) in place, and the lanes of l grow. Panels the row does not see, up to the
// group's last, become 0.
HWY_INLINE HWY_ATTR void exponentiate_row(float* scores, int visible, int panels, float m,
                                          float shrink, float* l) {
  const F32x16 most = broadcast(m);
  F32x16 sum = mul(load(l), broadcast(shrink));
  if (visible == kTileKeys) {
#pragma GCC unroll 8
    for (int i = 0; i < kTilePanels; ++i) {
      const F32x16 p = exp_nonpositive(sub(load(scores + 16 * i), most));
      store(p, scores + 16 * i);
      sum = add(sum, p);
    }
  } else {
    const int whole = visible / kPanelKeys;
    int i = 0;
    for (; i < whole; ++i) {
      const F32x16 p = exp_nonpositive(sub(load(scores + 16 * i), most));
      store(p, scores + 16 * i);
      sum = add(sum, p);
    }
    if (const int rest = visible % kPanelKeys; rest != 0) {
      const F32x16 s = select(first_lanes(rest), load(scores + 16 * i), broadcast(kNone));
      const F32x16 p = exp_nonpositive(sub(s, most));
      store(p, scores + 16 * i);
      sum = add(sum, p);
      ++i;
    }
    for (; i < panels; ++i) store(zero(), scores + 16 * i);
  }
  store(sum, l);
}

// Raises m to the tile's maximum, 16 rows at a time; s becomes p; shrink = exp(m before - m now).
HWY_ATTR void soften(float* scores, int rows, const int32_t* visible, const FoldState& state,
                     float* shrink, float* used) {
  for (int row = 0; row < rows; row += 16) {
    const int count = rows - row < 16 ? rows - row : 16;
    alignas(64) float tile_max[16];
    if (kParts == 1 && count > 4) {
      alignas(64) float lanes[16 * 16], columns[16 * 16];
      for (int r = 0; r < 16; ++r) {
        store(r < count ? row_maximum(scores + (row + r) * kTileKeys, visible[row + r])
                        : broadcast(kNone),
              lanes + 16 * r);
      }
      transpose16(lanes, 16, columns, 16);
      F32x16 most[4] = {load(columns), load(columns + 16), load(columns + 32), load(columns + 48)};
#pragma GCC unroll 12
      for (int i = 4; i < 16; ++i) most[i % 4] = max(load(columns + 16 * i), most[i % 4]);
      store(max(max(most[0], most[1]), max(most[2], most[3])), tile_max);
    } else {
      for (int r = 0; r < 16; ++r) {
        tile_max[r] = r < count
                          ? max_lanes(row_maximum(scores + (row + r) * kTileKeys, visible[row + r]))
                          : kNone;
      }
    }
    const F32x16 before = load(state.m + row);
    const F32x16 now = max(before, load(tile_max));
    // With no key so far every difference would be NaN; 0 keeps exp(-inf - 0) = 0.
    const F32x16 base = select(equal(now, broadcast(kNone)), zero(), now);
    store(now, state.m + row);
    store(base, used + row);
    store(exp_nonpositive(sub(before, base)), shrink + row);
  }
  for (int group = 0; group < rows; group += kMaxTileRows) {
    const int height = rows - group < kMaxTileRows ? rows - group : kMaxTileRows;
    const int panels = panels_of(largest(visible + group, height));
    for (int r = group; r < group + height; ++r) {
      exponentiate_row(scores + r * kTileKeys, visible[r], panels, used[r], shrink[r],
                       state.l + 16 * r);
    }
  }
}

// The tile's values as runs of contiguous rows, keys [0, keys), as far as the rows to look ahead
// at are contiguous too.
template <class T>
int find_runs(const KeyTile& tile, const KeyTile& next, int keys, Run<T>* runs) {
  const void* places[kTilePanels];
  const int panels = panels_of(keys);
  look_ahead(tile.values_of_panel, next.values_of_panel, panels, panels_of(next.keys), places);
  int count = 0;
  for (int first = 0; first < keys; first += kPanelKeys) {
    const T* values = static_cast<const T*>(tile.values_of_panel[first / kPanelKeys]);
    const T* ahead = static_cast<const T*>(places[first / kPanelKeys]);
    const int size = keys - first < kPanelKeys ? keys - first : kPanelKeys;
    Run<T>* const last = runs + count - 1;
    if (count > 0 && last->values + last->count * tile.value_step == values &&
        last->ahead + last->count * tile.value_step == ahead) {
      last->count += size;
    } else {
      runs[count++] = {values, ahead, first, size};
    }
  }
  return count;
}

template <class T>
HWY_ATTR void add_values(const float* p, int rows, const int32_t* visible, const KeyTile& tile,
                         const KeyTile& next, const float* shrink, const FoldState& state) {
  const int columns = static_cast<int>(state.columns / 16);
  // Columns outside, row groups inside: with many rows a pair of columns stays in the first cache.
  const int step = rows <= kMaxTileRows ? columns : kTileBudget / kMaxTileRows;
  for (int column = 0; column < columns; column += step) {
    const int width = columns - column < step ? columns - column : step;
    for (int row = 0; row < rows; row += kMaxTileRows) {
      const int height = rows - row < kMaxTileRows ? rows - row : kMaxTileRows;
      const int most = largest(visible + row, height);
      const int least = smallest(visible + row, height);
      // Rows that see fewer keys multiply the others by p = 0, which a NaN or infinity would spoil:
      // then each row walks its own keys only.
      const unsigned beyond = (1u << panels_of(most)) - (1u << (least / kPanelKeys));
      const bool together = most == least || (tile.special & beyond) == 0;
      for (int r = row; r < row + height; r += together ? height : 1) {
        Run<T> runs[kTilePanels];
        const int run_count = find_runs(tile, next, together ? most : visible[r], runs);
        with_rows<kMostRows<T>>(
            together ? height : 1, width,
            ValueWork<T>{p + r * kTileKeys, runs, run_count, tile.value_step, tile.column_step,
                         shrink + r, state.o + r * state.columns, state.columns, column});
      }
    }
  }
}

}  // namespace

HWY_ATTR void fold_tile(const float* q, int64_t dim, int rows, const int32_t* visible,
                        const KeyTile& tile, const KeyTile& next, const FoldState& state,
                        float* scores) {
  alignas(64) float shrink[kFoldRows], used[kFoldRows];
  with_dtype(tile.k_dtype, [&](auto t) HWY_ATTR {
    score_rows<decltype(t)>(q, dim, rows, visible, tile, next, scores);
  });
  soften(scores, rows, visible, state, shrink, used);
  with_dtype(tile.v_dtype, [&](auto t) HWY_ATTR {
    add_values<decltype(t)>(scores, rows, visible, tile, next, shrink, state);
  });
}

HWY_ATTR void score_row(const float* q, int64_t dim, const KeyTile& tile, float* out) {
  const int32_t visible[1] = {tile.keys};
  with_dtype(tile.k_dtype, [&](auto t) HWY_ATTR {
    score_rows<decltype(t)>(q, dim, 1, visible, tile, tile, out);
  });
}

}  // namespace regard::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace regard {

void fold_tile(const float* q, int64_t dim, int rows, const int32_t* visible, const KeyTile& tile,
               const KeyTile& next, const FoldState& state, float* scores) noexcept {
  REGARD_DISPATCH(fold_tile)(q, dim, rows, visible, tile, next, state, scores);
}

void score_row(const float* q, int64_t dim, const KeyTile& tile, float* out) noexcept {
  REGARD_DISPATCH(score_row)(q, dim, tile, out);
}

}  // namespace regard
#endif
