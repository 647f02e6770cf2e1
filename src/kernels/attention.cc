// Attention on tiles, compiled once per target. See attention.h for the algebra.
#include "kernels/attention.h"

#include <cstring>
#include <limits>

#include "kernels/highway.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/attention.cc"
#include <hwy/foreach_target.h>

#include "kernels/math-inl.h"
#include "kernels/simd-inl.h"
#include "kernels/tile-inl.h"

HWY_BEFORE_NAMESPACE();
namespace regard::HWY_NAMESPACE {
namespace {

constexpr float kNone = -std::numeric_limits<float>::infinity();

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
constexpr int kMostRows =
    sizeof(T) == 4 || kMaxTileRows < kStageFrom ? kMaxTileRows : kStageFrom - 1;

// s = q kᵀ for a group of rows and a range of panels.
template <class T>
struct ScoreWork {
  const float* q;
  int64_t dim;
  const void* const* panels;
  float* scores;

  template <int kRows, int kColumns>
  HWY_ATTR void run(int first) const {
    Stored<T, kColumns> keys;
    keys.step = kPanelKeys;
    for (int j = 0; j < kColumns; ++j) keys.base[j] = static_cast<const T*>(panels[first + j]);
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
      Stored<T, kColumns> values;
      values.step = value_step;
      for (int j = 0; j < kColumns; ++j)
        values.base[j] = runs[i].values + (first + j) * column_step;
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

template <class T>
HWY_ATTR void score_rows(const float* q, int64_t dim, int rows, const int32_t* visible,
                         const KeyTile& tile, float* scores) {
  // Panels outside, row groups inside: a pair of panels stays in the first cache.
  constexpr int kStep = columns_for(kMaxTileRows);
  if (rows <= kMostRows<T>) {
    const int panels = panels_of(largest(visible, rows));
    with_rows<kMostRows<T>>(rows, panels, ScoreWork<T>{q, dim, tile.keys_of_panel, scores});
    return;
  }
  const int panels = panels_of(largest(visible, rows));
  for (int panel = 0; panel < panels; panel += kStep) {
    for (int row = 0; row < rows; row += kMaxTileRows) {
      const int height = rows - row < kMaxTileRows ? rows - row : kMaxTileRows;
      const int needed = panels_of(largest(visible + row, height)) - panel;
      if (needed <= 0) continue;
      with_rows<kMostRows<T>>(height, needed < kStep ? needed : kStep,
                              ScoreWork<T>{q + row * dim, dim, tile.keys_of_panel + panel,
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

// The tile's values as runs of contiguous rows, keys [0, keys).
template <class T>
int find_runs(const KeyTile& tile, int keys, Run<T>* runs) {
  int count = 0;
  for (int first = 0; first < keys; first += kPanelKeys) {
    const T* values = static_cast<const T*>(tile.values_of_panel[first / kPanelKeys]);
    const int size = keys - first < kPanelKeys ? keys - first : kPanelKeys;
    if (count > 0 && runs[count - 1].values + runs[count - 1].count * tile.value_step == values) {
      runs[count - 1].count += size;
    } else {
      runs[count++] = {values, first, size};
    }
  }
  return count;
}

template <class T>
HWY_ATTR void add_values(const float* p, int rows, const int32_t* visible, const KeyTile& tile,
                         const float* shrink, const FoldState& state) {
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
        const int run_count = find_runs(tile, together ? most : visible[r], runs);
        with_rows<kMostRows<T>>(
            together ? height : 1, width,
            ValueWork<T>{p + r * kTileKeys, runs, run_count, tile.value_step, tile.column_step,
                         shrink + r, state.o + r * state.columns, state.columns, column});
      }
    }
  }
}

template <class Function>
HWY_ATTR void with_dtype(DType dtype, Function&& function) {
  if (dtype == DType::f32) {
    function(float{});
  } else if (dtype == DType::f16) {
    function(f16{});
  } else {
    function(bf16{});
  }
}

}  // namespace

HWY_ATTR void fold_tile(const float* q, int64_t dim, int rows, const int32_t* visible,
                        const KeyTile& tile, const FoldState& state, float* scores) {
  alignas(64) float shrink[kFoldRows], used[kFoldRows];
  with_dtype(tile.k_dtype, [&](auto t) HWY_ATTR {
    score_rows<decltype(t)>(q, dim, rows, visible, tile, scores);
  });
  soften(scores, rows, visible, state, shrink, used);
  with_dtype(tile.v_dtype, [&](auto t) HWY_ATTR {
    add_values<decltype(t)>(scores, rows, visible, tile, shrink, state);
  });
}

HWY_ATTR void merge_rows(const float* m, const float* l, bool lanes, const float* o,
                         int64_t columns, int rows, bool first, const RowState& into) {
  for (int row = 0; row < rows; row += 16) {
    const int count = rows - row < 16 ? rows - row : 16;
    alignas(64) float sums[16] = {}, keep[16], take[16];
    for (int r = 0; r < count; ++r) {
      sums[r] = lanes ? sum_lanes(load(l + 16 * (row + r))) : l[row + r];
    }
    if (first) {
      std::memcpy(into.m + row, m + row, static_cast<std::size_t>(count) * sizeof(float));
      std::memcpy(into.l + row, sums, static_cast<std::size_t>(count) * sizeof(float));
      std::memcpy(into.o + row * columns, o + row * columns,
                  static_cast<std::size_t>(count * columns) * sizeof(float));
      continue;
    }
    const F32x16 old_m = load_first(into.m + row, count), new_m = load_first(m + row, count);
    const F32x16 now = max(old_m, new_m);
    const F32x16 base = select(equal(now, broadcast(kNone)), zero(), now);
    const F32x16 a = exp_nonpositive(sub(old_m, base)), b = exp_nonpositive(sub(new_m, base));
    store(a, keep);
    store(b, take);
    const F32x16 total = fma(load(sums), b, mul(load_first(into.l + row, count), a));
    store_first(now, into.m + row, count);
    store_first(total, into.l + row, count);
    for (int r = 0; r < count; ++r) {
      const F32x16 old_part = broadcast(keep[r]), new_part = broadcast(take[r]);
      float* const sum = into.o + (row + r) * columns;
      const float* const more = o + (row + r) * columns;
      for (int64_t c = 0; c < columns; c += 16) {
        store(fma(load(more + c), new_part, mul(load(sum + c), old_part)), sum + c);
      }
    }
  }
}

HWY_ATTR void finish_rows(const RowState& state, int rows, int64_t dim_v, float* const* out_of_row,
                          int64_t out_step, float* const* lse_of_row) {
  for (int row = 0; row < rows; row += 16) {
    const int count = rows - row < 16 ? rows - row : 16;
    alignas(64) float inverse[16], lse[16];
    const F32x16 l = load_first(state.l + row, count), m = load_first(state.m + row, count);
    const Mask16 empty = equal(l, zero());
    store(zero_where(empty, div(broadcast(1.0f), l)), inverse);
    store(select(empty, broadcast(kNone), add(add(m, log(l)), zero())), lse);
    for (int r = 0; r < count; ++r) {
      const F32x16 factor = broadcast(inverse[r]);
      const float* const o = state.o + (row + r) * state.columns;
      float* const out = out_of_row[row + r];
      for (int64_t c = 0; c < dim_v; c += 16) {
        const F32x16 value = add(mul(load(o + c), factor), zero());
        const int width = dim_v - c < 16 ? static_cast<int>(dim_v - c) : 16;
        if (out_step == 1 && width == 16) {
          store(value, out + c);
        } else {
          alignas(64) float lanes[16];
          store(value, lanes);
          for (int i = 0; i < width; ++i) out[(c + i) * out_step] = lanes[i];
        }
      }
      if (lse_of_row != nullptr) *lse_of_row[row + r] = lse[r];
    }
  }
}

HWY_ATTR void score_row(const float* q, int64_t dim, const KeyTile& tile, float* out) {
  const int32_t visible[1] = {tile.keys};
  with_dtype(tile.k_dtype,
             [&](auto t) HWY_ATTR { score_rows<decltype(t)>(q, dim, 1, visible, tile, out); });
}

HWY_ATTR void weigh_row(const float* scores, int64_t n, float m, float l, float* weights) {
  const F32x16 most = broadcast(m == kNone ? 0.0f : m),
               inverse = broadcast(l == 0 ? 0.0f : 1.0f / l);
  for (int64_t j = 0; j < n; j += 16) {
    const int width = n - j < 16 ? static_cast<int>(n - j) : 16;
    const F32x16 p = mul(exp_nonpositive(sub(load_first(scores + j, width), most)), inverse);
    store_first(p, weights + j, width);
  }
}

HWY_ATTR void widen(const void* from, DType dtype, int64_t count, float* to) {
  with_dtype(dtype, [&](auto t) HWY_ATTR {
    const auto* numbers = static_cast<const decltype(t)*>(from);
    for (int64_t i = 0; i < count; i += 16) store(load(numbers + i), to + i);
  });
}

// 16 columns of each of keys rows, next to one another.
HWY_ATTR void gather_columns(const void* from, DType dtype, int64_t step, int keys, int64_t columns,
                             int64_t column_step, float* to) {
  with_dtype(dtype, [&](auto t) HWY_ATTR {
    const auto* numbers = static_cast<const decltype(t)*>(from);
    for (int key = 0; key < keys; ++key) {
      for (int64_t c = 0; c < columns; c += 16) {
        store(load(numbers + key * step + c), to + c / 16 * column_step + key * 16);
      }
    }
  });
}

HWY_ATTR void pack_keys(const float* rows, int64_t key_step, int64_t dim_step, int64_t dim,
                        int count, int first_lane, DType dtype, void* panel) {
  if (count == kPanelKeys && dim_step == 1) {
    alignas(64) float block[16 * 16];
    int64_t d = 0;
    for (; d + 16 <= dim; d += 16) {
      float* const to = dtype == DType::f32 ? static_cast<float*>(panel) + d * 16 : block;
      transpose16(rows + d, key_step, to, 16);
      for (int i = 0; i < 16 && dtype != DType::f32; ++i) {
        if (dtype == DType::f16) {
          store(load(block + 16 * i), static_cast<f16*>(panel) + (d + i) * 16);
        } else {
          store(load(block + 16 * i), static_cast<bf16*>(panel) + (d + i) * 16);
        }
      }
    }
    if (d == dim) return;
    rows += d;
    dim -= d;
    panel = static_cast<std::byte*>(panel) + row_bytes(dtype, d * 16);
  }
  for (int key = 0; key < count; ++key) {
    const float* const row = rows + key * key_step;
    const int lane = first_lane + key;
    for (int64_t d = 0; d < dim; ++d) {
      const float x = row[d * dim_step];
      if (dtype == DType::f32) {
        static_cast<float*>(panel)[d * 16 + lane] = x;
      } else if (dtype == DType::f16) {
        static_cast<f16*>(panel)[d * 16 + lane] = to_f16(x);
      } else {
        static_cast<bf16*>(panel)[d * 16 + lane] = to_bf16(x);
      }
    }
  }
}

HWY_ATTR bool pack_values(const float* row, int64_t step, int64_t dim_v, int64_t columns,
                          DType dtype, void* out) {
  F32x16 seen = zero();
  for (int64_t c = 0; c < columns; c += 16) {
    alignas(64) float lanes[16] = {};
    const int width = dim_v - c < 16 ? (dim_v > c ? static_cast<int>(dim_v - c) : 0) : 16;
    for (int i = 0; i < width; ++i) lanes[i] = row[(c + i) * step];
    const F32x16 x = load(lanes);
    if (dtype == DType::f32) {
      store(x, static_cast<float*>(out) + c);
      seen = fma(x, zero(), seen);  // 0 · x is NaN exactly where x is not finite
    } else if (dtype == DType::f16) {
      f16* const to = static_cast<f16*>(out) + c;
      store(x, to);
      seen = fma(load(to), zero(), seen);
    } else {
      bf16* const to = static_cast<bf16*>(out) + c;
      store(x, to);
      seen = fma(load(to), zero(), seen);
    }
  }
  return sum_lanes(seen) == 0.0f;
}

HWY_ATTR void scale_query(const float* row, int64_t step, int64_t dim, float scale, float* out) {
  if (step == 1) {
    int64_t d = 0;
    for (; d + 16 <= dim; d += 16) store(mul(load(row + d), broadcast(scale)), out + d);
    for (; d < dim; ++d) out[d] = row[d] * scale;
  } else {
    for (int64_t d = 0; d < dim; ++d) out[d] = row[d * step] * scale;
  }
}

}  // namespace regard::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace regard {

void clear_state(const FoldState& state, int rows) noexcept {
  const std::size_t padded = static_cast<std::size_t>((rows + 15) / 16 * 16);
  for (std::size_t r = 0; r < padded; ++r) state.m[r] = -std::numeric_limits<float>::infinity();
  std::memset(state.l, 0, static_cast<std::size_t>(rows) * 16 * sizeof(float));
  std::memset(state.o, 0, static_cast<std::size_t>(rows * state.columns) * sizeof(float));
}

void fold_tile(const float* q, int64_t dim, int rows, const int32_t* visible, const KeyTile& tile,
               const FoldState& state, float* scores) noexcept {
  REGARD_DISPATCH(fold_tile)(q, dim, rows, visible, tile, state, scores);
}

void merge_chunk(const FoldState& chunk, int rows, bool first, const RowState& into) noexcept {
  REGARD_DISPATCH(merge_rows)(chunk.m, chunk.l, true, chunk.o, chunk.columns, rows, first, into);
}

void merge_state(const RowState& chunk, int rows, bool first, const RowState& into) noexcept {
  REGARD_DISPATCH(merge_rows)(chunk.m, chunk.l, false, chunk.o, chunk.columns, rows, first, into);
}

void finish_rows(const RowState& state, int rows, int64_t dim_v, float* const* out_of_row,
                 int64_t out_step, float* const* lse_of_row) noexcept {
  REGARD_DISPATCH(finish_rows)(state, rows, dim_v, out_of_row, out_step, lse_of_row);
}

void score_row(const float* q, int64_t dim, const KeyTile& tile, float* out) noexcept {
  REGARD_DISPATCH(score_row)(q, dim, tile, out);
}

void weigh_row(const float* scores, int64_t n, float m, float l, float* weights) noexcept {
  REGARD_DISPATCH(weigh_row)(scores, n, m, l, weights);
}

KeyTile stage_tile(const KeyTile& tile, int64_t dim, int64_t columns, float* panels,
                   float* values) noexcept {
  KeyTile staged = tile;
  staged.value_step = 16;
  staged.column_step = kTileKeys * 16;
  const auto gather = REGARD_DISPATCH(gather_columns);
  for (int p = 0; p * kPanelKeys < tile.keys; ++p) {
    if (tile.k_dtype != DType::f32) {
      float* const to = panels + p * dim * kPanelKeys;
      REGARD_DISPATCH(widen)(tile.keys_of_panel[p], tile.k_dtype, dim * kPanelKeys, to);
      staged.keys_of_panel[p] = to;
    }
    float* const to = values + p * kPanelKeys * 16;
    const int left = tile.keys - p * kPanelKeys;
    gather(tile.values_of_panel[p], tile.v_dtype, tile.value_step,
           left < kPanelKeys ? left : kPanelKeys, columns, staged.column_step, to);
    staged.values_of_panel[p] = to;
  }
  staged.k_dtype = staged.v_dtype = DType::f32;
  return staged;
}

void pack_keys(const float* rows, int64_t key_step, int64_t dim_step, int64_t dim, int count,
               int first_lane, DType dtype, void* panel) noexcept {
  REGARD_DISPATCH(pack_keys)(rows, key_step, dim_step, dim, count, first_lane, dtype, panel);
}

bool pack_values(const float* row, int64_t step, int64_t dim_v, int64_t columns, DType dtype,
                 void* out) noexcept {
  return REGARD_DISPATCH(pack_values)(row, step, dim_v, columns, dtype, out);
}

void scale_query(const float* row, int64_t step, int64_t dim, float scale, float* out) noexcept {
  REGARD_DISPATCH(scale_query)(row, step, dim, scale, out);
}

}  // namespace regard
#endif
