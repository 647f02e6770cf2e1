// What surrounds fold_tile: states merged and finished, keys and values packed, widened and staged.
#include <cstring>
#include <limits>

#include "simd/highway.h"
#include "tiles/fold.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tiles/rows.cc"
#include <hwy/foreach_target.h>

#include "simd/math-inl.h"
#include "simd/simd-inl.h"
#include "simd/tile-inl.h"

HWY_BEFORE_NAMESPACE();
namespace regard::HWY_NAMESPACE {

HWY_ATTR void merge_rows(Weighing weighing, const float* m, const float* l, bool lanes,
                         const float* o, int64_t columns, int rows, bool first,
                         const RowState& into) {
  for (int row = 0; row < rows; row += 16) {
    const int count = rows - row < 16 ? rows - row : 16;
    alignas(64) float sums[16] = {}, keep[16], take[16];
    for (int r = 0; r < count; ++r) {
      sums[r] = lanes ? sum_lanes(load(l + 16 * (row + r))) : l[row + r];
    }
    if (first) {
      std::memcpy(into.m + row, m + row, static_cast<std::size_t>(count) * sizeof(float));
      std::memcpy(into.l + row, sums, static_cast<std::size_t>(count) * sizeof(float));
      if (into.o != o) {
        std::memcpy(into.o + row * columns, o + row * columns,
                    static_cast<std::size_t>(count * columns) * sizeof(float));
      }
      continue;
    }
    const F32x16 old_m = load_first(into.m + row, count), new_m = load_first(m + row, count);
    const F32x16 now = max(old_m, new_m);
    const F32x16 base = select(equal(now, broadcast(kNone)), zero(), now);
    F32x16 a = exp_nonpositive(sub(old_m, base)), b = exp_nonpositive(sub(new_m, base));
    if (weighing == Weighing::hardmax) {  // the larger takes all, the earlier of equals
      const Mask16 rises = less(old_m, new_m);
      a = select(rises, zero(), broadcast(1.0f));
      b = select(rises, broadcast(1.0f), zero());
    }
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

// count numbers to an array of T, rounded once.
template <class T>
HWY_INLINE HWY_ATTR void store_strided(const F32x16& x, T* to, int64_t step, int count) {
  if (step == 1 && count == 16) return store(x, to);
  alignas(64) T lanes[16];
  store(x, lanes);
  for (int i = 0; i < count; ++i) to[i * step] = lanes[i];
}

HWY_ATTR void finish_rows(Weighing weighing, const RowState& state, int rows,
                          const FinishedRows& to) {
  for (int row = 0; row < rows; row += 16) {
    const int count = rows - row < 16 ? rows - row : 16;
    alignas(64) float factors[16], lse[16];
    F32x16 l = load_first(state.l + row, count), m = load_first(state.m + row, count);
    const Mask16 empty = equal(l, zero());
    const F32x16 one = broadcast(1.0f);
    F32x16 factor = div(one, l);
    if (to.lse_of_row != nullptr) {
      store(select(empty, broadcast(kNone), add(add(m, log(l)), zero())), lse);
    }
    if (weighing == Weighing::softmax && to.sinks != nullptr) {
      const F32x16 sink = load_first(to.sinks + row, count);
      const F32x16 now = select(less(m, sink), sink, m);
      // A difference of equals is 0, of infinities too.
      const F32x16 shrink =
          select(equal(m, now), one, exp_nonpositive(select(equal(m, now), zero(), sub(m, now))));
      const F32x16 taken = select(equal(sink, now), one, exp_nonpositive(sub(sink, now)));
      l = add(mul(l, shrink), taken);
      m = now;
      factor = div(shrink, l);
    } else if (weighing == Weighing::sigmoid || weighing == Weighing::hardmax) {
      factor = select(equal(l, l), one, l);  // NaN where l is
    }
    store(factor, factors);
    if (to.m != nullptr) store_first(m, to.m + row, count);
    if (to.l != nullptr) store_first(select(empty, zero(), l), to.l + row, count);
    for (int r = 0; r < count; ++r) {
      if (to.lse_of_row != nullptr) *to.lse_of_row[row + r] = lse[r];
      const bool none = state.l[row + r] == 0.0f;
      const F32x16 by = broadcast(factors[r]);
      const float* const o = state.o + (row + r) * state.columns;
      with_dtype(to.dtype, [&](auto t) HWY_ATTR {
        using T = decltype(t);
        if constexpr (sizeof(T) > 1) {  // never i8
          T* const out = static_cast<T*>(to.out_of_row[row + r]);
          for (int64_t c = 0; c < to.dim_v; c += 16) {
            const F32x16 value = none ? zero() : add(mul(load(o + c), by), zero());
            const int width = to.dim_v - c < 16 ? static_cast<int>(to.dim_v - c) : 16;
            store_strided(value, out + c * to.out_step, to.out_step, width);
          }
        }
      });
    }
  }
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

// Sixteen numbers of a caller's array, the first count of them read.
template <class T>
HWY_INLINE HWY_ATTR F32x16 load_strided(const T* from, int64_t step, int count) {
  if (step == 1 && count == 16) return load(from);
  alignas(64) T lanes[16] = {};
  for (int i = 0; i < count; ++i) lanes[i] = from[i * step];
  return load(lanes);
}

HWY_ATTR void widen_keys(const void* rows, DType dtype, int64_t key_step, int64_t dim_step,
                         int64_t dim, int count, float* panel) {
  with_dtype(dtype, [&](auto t) HWY_ATTR {
    const auto* const first = static_cast<const decltype(t)*>(rows);
    alignas(64) float block[16 * 16];
    for (int64_t d = 0; d < dim; d += 16) {
      const int width = dim - d < 16 ? static_cast<int>(dim - d) : 16;
      if (count == kPanelKeys && width == 16) {
        for (int key = 0; key < kPanelKeys; ++key) {
          store(load_strided(first + key * key_step + d * dim_step, dim_step, 16),
                block + 16 * key);
        }
        transpose16(block, 16, panel + d * kPanelKeys, kPanelKeys);
        continue;
      }
      for (int key = 0; key < count; ++key) {
        alignas(64) float lanes[16];
        store(load_strided(first + key * key_step + d * dim_step, dim_step, width), lanes);
        for (int i = 0; i < width; ++i) panel[(d + i) * kPanelKeys + key] = lanes[i];
      }
    }
  });
}

HWY_ATTR bool widen_values(const void* rows, DType dtype, int64_t key_step, int64_t dim_step,
                           int64_t dim_v, int64_t columns, int count, float* out) {
  F32x16 seen = zero();
  with_dtype(dtype, [&](auto t) HWY_ATTR {
    const auto* row = static_cast<const decltype(t)*>(rows);
    for (int key = 0; key < count; ++key, row += key_step, out += columns) {
      for (int64_t c = 0; c < columns; c += 16) {
        const int width = dim_v - c < 16 ? static_cast<int>(dim_v > c ? dim_v - c : 0) : 16;
        const F32x16 x = load_strided(row + c * dim_step, dim_step, width);
        store(x, out + c);
        seen = fma(x, zero(), seen);  // 0 · x is NaN exactly where x is not finite
      }
    }
  });
  return sum_lanes(seen) == 0.0f;
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

HWY_ATTR void pack_rows(const void* const* rows, DType dtype, int64_t step, int count, int64_t dim,
                        float scale, float* out) {
  const F32x16 factor = broadcast(scale);
  with_dtype(dtype, [&](auto t) HWY_ATTR {
    using T = decltype(t);
    alignas(64) float block[16 * 16] = {}, turned[16 * 16];
    for (int row = 0; row < count; row += kMaxTileRows, out += kMaxTileRows * dim) {
      const int height = count - row < kMaxTileRows ? count - row : kMaxTileRows;
      for (int64_t d = 0; d < dim; d += 16) {
        const int width = dim - d < 16 ? static_cast<int>(dim - d) : 16;
        for (int r = 0; r < height; ++r) {
          const T* const from = static_cast<const T*>(rows[row + r]) + d * step;
          store(mul(load_strided(from, step, width), factor), block + 16 * r);
        }
        if (height <= 2) {
          for (int r = 0; r < height; ++r) {
            for (int i = 0; i < width; ++i) out[(d + i) * kMaxTileRows + r] = block[16 * r + i];
          }
          continue;
        }
        transpose16(block, 16, turned, 16);
        for (int i = 0; i < width; ++i) {
          store_first(load(turned + 16 * i), out + (d + i) * kMaxTileRows, height);
        }
      }
    }
  });
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

void prefetch_tile(const KeyTile& tile, int64_t dim, int64_t columns) noexcept {
  constexpr int64_t kLine = 64;
  const auto fetch = [](const void* from, int64_t bytes) {
    for (int64_t at = 0; at < bytes; at += kLine) {
      __builtin_prefetch(static_cast<const std::byte*>(from) + at, 0, 2);
    }
  };
  for (int p = 0; p * kPanelKeys < tile.keys; ++p) {
    fetch(tile.keys_of_panel[p], row_bytes(tile.k_dtype, dim * kPanelKeys));
    fetch(tile.values_of_panel[p], row_bytes(tile.v_dtype, columns * kPanelKeys));
  }
}

void merge_chunk(Weighing weighing, const FoldState& chunk, int rows, bool first,
                 const RowState& into) noexcept {
  REGARD_DISPATCH(merge_rows)
  (weighing, chunk.m, chunk.l, true, chunk.o, chunk.columns, rows, first, into);
}

void merge_state(Weighing weighing, const RowState& chunk, int rows, bool first,
                 const RowState& into) noexcept {
  REGARD_DISPATCH(merge_rows)
  (weighing, chunk.m, chunk.l, false, chunk.o, chunk.columns, rows, first, into);
}

void finish_rows(Weighing weighing, const RowState& state, int rows,
                 const FinishedRows& to) noexcept {
  REGARD_DISPATCH(finish_rows)(weighing, state, rows, to);
}

void weigh_row(const float* scores, int64_t n, float m, float l, float* weights) noexcept {
  REGARD_DISPATCH(weigh_row)(scores, n, m, l, weights);
}

KeyTile stage_tile(const KeyTile& tile, int64_t dim, int64_t columns, float* panels,
                   float* values) noexcept {
  constexpr int64_t kFewColumns = 64;
  const bool wide = tile.k_dtype == DType::f32 && tile.v_dtype == DType::f32;
  if (wide && columns <= kFewColumns) return tile;
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

void widen_keys(const void* rows, DType dtype, int64_t key_step, int64_t dim_step, int64_t dim,
                int count, float* panel) noexcept {
  REGARD_DISPATCH(widen_keys)(rows, dtype, key_step, dim_step, dim, count, panel);
}

bool widen_values(const void* rows, DType dtype, int64_t key_step, int64_t dim_step, int64_t dim_v,
                  int64_t columns, int count, float* out) noexcept {
  return REGARD_DISPATCH(widen_values)(rows, dtype, key_step, dim_step, dim_v, columns, count, out);
}

void pack_rows(const void* const* rows, DType dtype, int64_t step, int count, int64_t dim,
               float scale, float* out) noexcept {
  REGARD_DISPATCH(pack_rows)(rows, dtype, step, count, dim, scale, out);
}

void pack_queries(const float* const* rows, int64_t step, int count, int64_t dim, float scale,
                  float* out) noexcept {
  pack_rows(reinterpret_cast<const void* const*>(rows), DType::f32, step, count, dim, scale, out);
}

}  // namespace regard
#endif
