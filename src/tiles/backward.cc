// backward_tile, compiled once per target. See backward.h for the algebra.
#include "tiles/backward.h"

#include "simd/highway.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tiles/backward.cc"
#include <hwy/foreach_target.h>

#include "simd/math-inl.h"
#include "simd/simd-inl.h"
#include "simd/tile-inl.h"
#include "tiles/groups-inl.h"

HWY_BEFORE_NAMESPACE();
namespace regard::HWY_NAMESPACE {
namespace {

constexpr int kGroups = (kGradientRows + kMaxTileRows - 1) / kMaxTileRows;
constexpr int64_t kStagedColumn = kGradientRows * 16;  // between 16 staged columns and the next
static_assert(kGradientRows == kTileKeys);

// out += A B for a group of rows of A: B staged rows, from number `begin` of the chain to `end`.
template <class A>
struct GatherWork {
  A a;
  int64_t begin, end;
  const float* staged;
  float* out;
  int64_t out_step;
  int column;

  template <int kRows, int kColumns>
  HWY_ATTR void run(int offset) const {
    const int first = column + offset;
    Stored<float, kColumns> b;
    b.step = 16;
    for (int j = 0; j < kColumns; ++j) {
      b.base[j] = staged + (first + j) * kStagedColumn + begin * 16;
    }
    Accumulators<kRows, kColumns> sum;
    clear(sum);
    multiply_add(a, b, end - begin, sum);
    float* to = out + first * 16;
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r, to += out_step) {
#pragma GCC unroll 8
      for (int j = 0; j < kColumns; ++j) store(add(load(to + 16 * j), sum.at[r][j]), to + 16 * j);
    }
  }
};

// Panels that lie end to end, as the score product takes them.
KeyTile tile_of(const float* panels, int64_t depth, int keys) {
  KeyTile tile;
  tile.keys = keys;
  for (int p = 0; p < panels_of(keys); ++p) tile.keys_of_panel[p] = panels + p * depth * kPanelKeys;
  return tile;
}

// s -> p and dp -> ds in place, for as many panels as the row's group uses; 0 where masked.
HWY_ATTR void differentiate(float* p, float* ds, int visible, int panels, float lse, float delta) {
  const F32x16 most = broadcast(lse), mean = broadcast(delta);
  const int whole = visible / kPanelKeys;
  int i = 0;
  for (; i < whole; ++i) {
    const F32x16 weight = exp_nonpositive(sub(load(p + 16 * i), most));
    store(weight, p + 16 * i);
    store(mul(weight, sub(load(ds + 16 * i), mean)), ds + 16 * i);
  }
  if (const int rest = visible % kPanelKeys; rest != 0) {
    const Mask16 seen = first_lanes(rest);
    const F32x16 weight = exp_nonpositive(sub(load(p + 16 * i), most));
    store(select(seen, weight, zero()), p + 16 * i);
    store(select(seen, mul(weight, sub(load(ds + 16 * i), mean)), zero()), ds + 16 * i);
    ++i;
  }
  for (; i < panels; ++i) {
    store(zero(), p + 16 * i);
    store(zero(), ds + 16 * i);
  }
}

// The first row that sees a key; rows below it see none of it.
int first_seeing(const int32_t* visible, int rows, int key) {
  int row = 0;
  while (row < rows && visible[row] <= key) ++row;
  return row;
}

// out[key] += Σ_rows weights[row][key] staged[row]: dv and dk. One key at a time, over the rows
// that see it and no others.
HWY_ATTR void gather_seen_rows(const float* weights, int rows, const int32_t* visible, int keys,
                               const float* staged, int64_t columns, float* out) {
  for (int key = 0; key < keys; ++key) {
    for (int64_t column = 0; column < columns; column += 16) {
      F32x16 sum = zero();
      for (int r = 0; r < rows; ++r) {
        if (visible[r] <= key) continue;
        sum = fma(broadcast(weights[r * kTileKeys + key]),
                  load(staged + column / 16 * kStagedColumn + r * 16), sum);
      }
      float* const to = out + key * columns + column;
      store(add(load(to), sum), to);
    }
  }
}

// The same for finite rows: those that do not see a key have weight 0 and may be multiplied.
HWY_ATTR void gather_rows(const float* weights, int rows, const int32_t* visible, int keys,
                          bool finite, const float* staged, int64_t columns, float* out) {
  if (!finite) return gather_seen_rows(weights, rows, visible, keys, staged, columns, out);
  constexpr int kStep = kTileBudget / kMaxTileRows;
  const int wide = static_cast<int>(columns / 16);
  for (int key = 0; key < keys; key += kMaxTileRows) {
    const int height = keys - key < kMaxTileRows ? keys - key : kMaxTileRows;
    const int begin = first_seeing(visible, rows, key);
    for (int column = 0; column < wide; column += kStep) {
      with_rows<kMaxTileRows>(height, wide - column < kStep ? wide - column : kStep,
                              GatherWork<Columns<kTileKeys>>{{weights + begin * kTileKeys + key},
                                                             begin,
                                                             rows,
                                                             staged,
                                                             out + key * columns,
                                                             columns,
                                                             column});
    }
  }
}

// dq[row] += Σ_keys ds[row][key] k[key] scale.
HWY_ATTR void gather_keys(const float* ds, const Group* groups, int count, const int32_t* visible,
                          bool finite, const float* staged, int64_t columns, float* dq) {
  constexpr int kStep = kTileBudget / kMaxTileRows;
  const int wide = static_cast<int>(columns / 16);
  for (int column = 0; column < wide; column += kStep) {
    const int width = wide - column < kStep ? wide - column : kStep;
    for (int g = 0; g < count; ++g) {
      const Group& group = groups[g];
      const bool together = finite || group.alike();
      for (int r = group.row; r < group.row + group.height; r += together ? group.height : 1) {
        const int keys = together ? group.end : visible[r];
        if (keys == 0) continue;
        with_rows<kMaxTileRows>(together ? group.height : 1, width,
                                GatherWork<Rows>{{ds + r * kTileKeys, kTileKeys},
                                                 0,
                                                 keys,
                                                 staged,
                                                 dq + r * columns,
                                                 columns,
                                                 column});
      }
    }
  }
}

}  // namespace

HWY_ATTR void backward_tile(const GradientRows& rows, const GradientKeys& keys, int64_t dim,
                            int64_t dim_v, const int32_t* visible, float* scratch) {
  float* const p = scratch;
  float* const ds = scratch + kGradientRows * kTileKeys;
  const int64_t columns = (dim + 15) / 16 * 16, columns_v = (dim_v + 15) / 16 * 16;
  Group groups[kGroups];
  KeySpan seen[kGradientRows];
  for (int r = 0; r < rows.rows; ++r) seen[r] = {0, visible[r]};
  const int count = group_rows(rows.rows, seen, groups);
  int most = 0;
  for (int g = 0; g < count; ++g) most = groups[g].end > most ? groups[g].end : most;
  if (most == 0) return;
  score_rows<float>(rows.q, dim, rows.rows, groups, count, tile_of(keys.k_panels, dim, most), {},
                    p);
  score_rows<float>(rows.dout, dim_v, rows.rows, groups, count, tile_of(keys.v_panels, dim_v, most),
                    {}, ds);
  for (int r = 0; r < rows.rows; ++r) {
    differentiate(p + r * kTileKeys, ds + r * kTileKeys, visible[r], panels_of(most), rows.lse[r],
                  rows.delta[r]);
  }
  gather_rows(p, rows.rows, visible, most, rows.finite, rows.dout_rows, columns_v, keys.dv);
  gather_rows(ds, rows.rows, visible, most, rows.finite, rows.q_rows, columns, keys.dk);
  gather_keys(ds, groups, count, visible, keys.finite, keys.k_rows, columns, rows.dq);
}

HWY_ATTR bool stage_rows(const float* const* rows, int64_t step, int count, int64_t dim,
                         float factor, float* out) {
  const F32x16 by = broadcast(factor);
  F32x16 seen = zero();
  for (int r = 0; r < count; ++r) {
    for (int64_t d = 0; d < dim; d += 16) {
      float* const to = out + d / 16 * kStagedColumn + r * 16;
      F32x16 x;
      if (step == 1 && d + 16 <= dim) {
        x = load(rows[r] + d);
      } else {
        alignas(64) float lanes[16] = {};
        for (int64_t i = d; i < dim && i < d + 16; ++i) lanes[i - d] = rows[r][i * step];
        x = load(lanes);
      }
      x = mul(x, by);
      seen = fma(x, zero(), seen);  // 0 · x is NaN exactly where x is not finite
      store(x, to);
    }
  }
  return sum_lanes(seen) == 0.0f;
}

HWY_ATTR float row_product(const float* a, int64_t a_step, const float* b, int64_t b_step,
                           int64_t dim) {
  F32x16 sum = zero();
  for (int64_t d = 0; d < dim; d += 16) {
    if (a_step == 1 && b_step == 1 && d + 16 <= dim) {
      sum = fma(load(a + d), load(b + d), sum);
      continue;
    }
    alignas(64) float x[16] = {}, y[16] = {};
    for (int64_t i = d; i < dim && i < d + 16; ++i) {
      x[i - d] = a[i * a_step];
      y[i - d] = b[i * b_step];
    }
    sum = fma(load(x), load(y), sum);
  }
  return sum_lanes(sum);
}

}  // namespace regard::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace regard {

bool stage_rows(const float* const* rows, int64_t step, int count, int64_t dim, float factor,
                float* out) noexcept {
  return REGARD_DISPATCH(stage_rows)(rows, step, count, dim, factor, out);
}

float row_product(const float* a, int64_t a_step, const float* b, int64_t b_step,
                  int64_t dim) noexcept {
  return REGARD_DISPATCH(row_product)(a, a_step, b, b_step, dim);
}

void backward_tile(const GradientRows& rows, const GradientKeys& keys, int64_t dim, int64_t dim_v,
                   const int32_t* visible, float* scratch) noexcept {
  REGARD_DISPATCH(backward_tile)(rows, keys, dim, dim_v, visible, scratch);
}

}  // namespace regard
#endif
