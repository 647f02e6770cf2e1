// fold_tile, compiled once per target: scores, the online softmax, and the values. See fold.h
// for the algebra.
#include "tiles/fold.h"

#include "interpreter/program.h"
#include "simd/highway.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tiles/fold.cc"
#include <hwy/foreach_target.h>

#include "simd/math-inl.h"
#include "simd/simd-inl.h"
#include "simd/tile-inl.h"
#include "tiles/groups-inl.h"

HWY_BEFORE_NAMESPACE();
namespace regard::HWY_NAMESPACE {
namespace {

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
  int keys;
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
    for (int key = 0; key < keys; key += run->count, ++run) {
      Stored<T, kColumns, kAhead> values;
      values.step = value_step;
      values.ahead_step = value_step * static_cast<int64_t>(sizeof(T));
      for (int j = 0; j < kColumns; ++j) {
        values.base[j] = run->values + (first + j) * column_step;
        if (kAhead > 0) {
          values.ahead[j] =
              reinterpret_cast<const std::byte*>(run->ahead + (first + j) * column_step);
        }
      }
      multiply_add(Rows{p + key, kTileKeys}, values,
                   keys - key < run->count ? keys - key : run->count, sum);
    }
    float* to = at;
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r, to += o_step) {
#pragma GCC unroll 8
      for (int j = 0; j < kColumns; ++j) store(sum.at[r][j], to + 16 * j);
    }
  }
};

// Runs the program on the scores; a key that it masks gets -inf, whatever its score was.
HWY_ATTR void score_by_program(const Scoring& scoring, int rows, const int32_t* visible,
                               float* scores) {
  ::regard::run_tile_program(*scoring.program, scoring.place, scores, scoring.allowed,
                             scoring.scratch);
  if (scoring.program->mask < 0) return;
  for (int r = 0; r < rows; ++r) {
    const uint16_t* const allowed = scoring.allowed + r * kTilePanels;
    float* const s = scores + r * kTileKeys;
    for (int p = 0; p < panels_of(visible[r]); ++p) {
      if (allowed[p] == 0xFFFF) continue;
      float* const at = s + p * kPanelKeys;
      store(select(mask_of_bits(allowed[p]), load(at), broadcast(kNone)), at);
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
HWY_ATTR void soften(float* scores, int rows, const int32_t* visible, const Group* groups,
                     int count, const Ahead& ahead, bool fresh, const FoldState& state,
                     float* shrink, float* used) {
  for (int row = 0; row < rows; row += 16) {
    const int height = rows - row < 16 ? rows - row : 16;
    alignas(64) float tile_max[16];
    if (kParts == 1 && height > 4) {
      alignas(64) float lanes[16 * 16], columns[16 * 16];
      for (int r = 0; r < 16; ++r) {
        store(r < height ? row_maximum(scores + (row + r) * kTileKeys, visible[row + r])
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
        tile_max[r] = r < height
                          ? max_lanes(row_maximum(scores + (row + r) * kTileKeys, visible[row + r]))
                          : kNone;
      }
    }
    const F32x16 before = fresh ? broadcast(kNone) : load(state.m + row);
    const F32x16 now = max(before, load(tile_max));
    // With no key so far every difference would be NaN; 0 keeps exp(-inf - 0) = 0.
    const F32x16 base = select(equal(now, broadcast(kNone)), zero(), now);
    store(now, state.m + row);
    store(base, used + row);
    store(exp_nonpositive(sub(before, base)), shrink + row);
  }
  for (int g = 0; g < count; ++g) {
    const int panels = panels_of(groups[g].most);
    for (int r = groups[g].row; r < groups[g].row + groups[g].height; ++r) {
      float* const l = state.l + 16 * r;
      if (fresh) store(zero(), l);
      exponentiate_row(scores + r * kTileKeys, visible[r], panels, used[r], shrink[r], l);
      if (ahead.rows == nullptr) continue;
      const std::byte* const row = static_cast<const std::byte*>(ahead.rows[r]);
      for (int64_t at = 0; at < ahead.row_bytes; at += 64) __builtin_prefetch(row + at, 0, 2);
    }
  }
}

// The scores of scaled keys, finished; the next tile's scales are asked for meanwhile.
HWY_ATTR void scale_scores(const KeyTile& tile, const Ahead& ahead, const Group* groups, int count,
                           float* scores) {
  for (int g = 0; g < count; ++g) {
    for (int p = 0; p < panels_of(groups[g].most); ++p) {
      const F32x16 scale = load(tile.key_scales_of_panel[p]);
      for (int r = groups[g].row; r < groups[g].row + groups[g].height; ++r) {
        float* const s = scores + r * kTileKeys + p * kPanelKeys;
        store(mul(load(s), scale), s);
      }
    }
  }
  if (ahead.tile == nullptr) return;
  for (int p = 0; p < panels_of(ahead.tile->keys); ++p) {
    if (ahead.tile->scaled_keys) __builtin_prefetch(ahead.tile->key_scales_of_panel[p], 0, 2);
    if (ahead.tile->scaled_values) __builtin_prefetch(ahead.tile->value_scales_of_panel[p], 0, 2);
  }
}

// p times the scale of the key's value; p of a key that the row does not see stays 0, whatever lies
// at its scale.
HWY_ATTR void scale_weights(const KeyTile& tile, int rows, const int32_t* visible,
                            const uint16_t* allowed, float* p) {
  for (int r = 0; r < rows; ++r) {
    for (int panel = 0; panel < panels_of(visible[r]); ++panel) {
      const int left = visible[r] - panel * kPanelKeys;
      uint32_t seen = left < kPanelKeys ? (1u << left) - 1 : 0xFFFFu;
      if (allowed != nullptr) seen &= allowed[r * kTilePanels + panel];
      float* const at = p + r * kTileKeys + panel * kPanelKeys;
      store(mul_where(mask_of_bits(seen), load(at), load(tile.value_scales_of_panel[panel])), at);
    }
  }
}

// The tile's values as runs of contiguous rows, as far as the rows to look ahead at are contiguous
// too.
template <class T>
void find_runs(const KeyTile& tile, const KeyTile& next, Run<T>* runs) {
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
HWY_ATTR void add_seen_values(const float* p, int visible, const uint16_t* allowed,
                              const KeyTile& tile, bool fresh, float shrink, int64_t columns,
                              float* o) {
  for (int64_t column = 0; column < columns; column += 16) {
    F32x16 sum = fresh ? zero() : mul(load(o + column), broadcast(shrink));
    for (int key = 0; key < visible; ++key) {
      const int panel = key / kPanelKeys, lane = key % kPanelKeys;
      if ((allowed[panel] >> lane & 1) == 0) continue;
      const T* const values = static_cast<const T*>(tile.values_of_panel[panel]) +
                              lane * tile.value_step + column / 16 * tile.column_step;
      sum = fma(broadcast(p[key]), load(values), sum);
    }
    store(sum, o + column);
  }
}

template <class T>
HWY_ATTR void add_values(const float* p, int rows, const int32_t* visible, const Group* groups,
                         int count, const KeyTile& tile, const Ahead& ahead,
                         const uint16_t* allowed, bool fresh, const float* shrink,
                         const FoldState& state) {
  if (allowed != nullptr && tile.special != 0) {
    for (int r = 0; r < rows; ++r) {
      add_seen_values<T>(p + r * kTileKeys, visible[r], allowed + r * kTilePanels, tile, fresh,
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
      const unsigned beyond = (1u << panels_of(group.most)) - (1u << (group.least / kPanelKeys));
      const bool together = group.most == group.least || (tile.special & beyond) == 0;
      for (int r = group.row; r < group.row + group.height; r += together ? group.height : 1) {
        with_rows<kTallest>(
            together ? group.height : 1, width,
            ValueWork<T>{p + r * kTileKeys, runs, together ? group.most : visible[r],
                         tile.value_step, tile.column_step, fresh, shrink + r,
                         state.o + r * state.columns, state.columns, column});
      }
    }
  }
}

}  // namespace

HWY_ATTR void fold_tile(const float* q, int64_t dim, int rows, const int32_t* visible,
                        const KeyTile& tile, const Ahead& ahead, const Scoring* scoring, bool fresh,
                        const FoldState& state, float* scores) {
  alignas(64) float shrink[kFoldRows], used[kFoldRows];
  Group groups[(kFoldRows + kMaxTileRows - 1) / kMaxTileRows];
  const int count = group_rows(rows, visible, groups);
  with_dtype(tile.k_dtype, [&](auto t) HWY_ATTR {
    score_rows<decltype(t)>(q, dim, rows, groups, count, tile, ahead, scores);
  });
  if (tile.scaled_keys) scale_scores(tile, ahead, groups, count, scores);
  if (scoring != nullptr) score_by_program(*scoring, rows, visible, scores);
  soften(scores, rows, visible, groups, count, ahead, fresh, state, shrink, used);
  if (tile.scaled_values) {
    scale_weights(tile, rows, visible, scoring != nullptr ? scoring->allowed : nullptr, scores);
  }
  with_dtype(tile.v_dtype, [&](auto t) HWY_ATTR {
    add_values<decltype(t)>(scores, rows, visible, groups, count, tile, ahead,
                            scoring != nullptr ? scoring->allowed : nullptr, fresh, shrink, state);
  });
}

HWY_ATTR void score_row(const float* q, int64_t dim, const KeyTile& tile, float* out) {
  const Group whole{0, 1, tile.keys, tile.keys};
  with_dtype(tile.k_dtype, [&](auto t) HWY_ATTR {
    score_rows<decltype(t)>(q, dim, 1, &whole, 1, tile, {}, out);
  });
  if (tile.scaled_keys) scale_scores(tile, {}, &whole, 1, out);
}

}  // namespace regard::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace regard {

void fold_tile(const float* q, int64_t dim, int rows, const int32_t* visible, const KeyTile& tile,
               const Ahead& ahead, const Scoring* scoring, bool fresh, const FoldState& state,
               float* scores) noexcept {
  REGARD_DISPATCH(fold_tile)(q, dim, rows, visible, tile, ahead, scoring, fresh, state, scores);
}

void score_row(const float* q, int64_t dim, const KeyTile& tile, float* out) noexcept {
  REGARD_DISPATCH(score_row)(q, dim, tile, out);
}

}  // namespace regard
#endif
