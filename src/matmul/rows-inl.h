// Many rows of a product over one block of inputs: the register tile goes down all rows beside a
// pair of weight panels that lie in the first cache. Linear layers on packed weights (matmul.cc)
// and products of plain matrices (product.cc) add through it, so that they give the same bits.
#if defined(REGARD_MATMUL_ROWS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef REGARD_MATMUL_ROWS_INL_H_
#undef REGARD_MATMUL_ROWS_INL_H_
#else
#define REGARD_MATMUL_ROWS_INL_H_
#endif

#include <algorithm>

#include "matmul/matmul.h"
#include "matmul/pack.h"
#include "simd/tile-inl.h"

HWY_BEFORE_NAMESPACE();
namespace regard::HWY_NAMESPACE {

constexpr int kPair = kParts == 1 ? 2 : 1;  // panels of a tile

// Where a tile's sums of one block of inputs go.
struct Finish {
  float* y;  // of the tile's first row and panel
  int64_t y_step;
  int64_t columns;  // features from there to the matrix's end
  bool is_first;    // block: y is not read, the total begins as 0 + sum and so is never -0
};

// The general form, on sums in memory.
static HWY_NOINLINE HWY_MAYBE_UNUSED void finish_partial(const float* sums, int rows, int panels,
                                                         const Finish& to) {
  for (int r = 0; r < rows; ++r) {
    for (int j = 0; j < panels; ++j, sums += kPanel) {
      float* const y = to.y + r * to.y_step + kPanel * j;
      const int count = static_cast<int>(std::min<int64_t>(kPanel, to.columns - kPanel * j));
      store_first(add(to.is_first ? zero() : load_first(y, count), load(sums)), y, count);
    }
  }
}

// y = y + acc. Nothing here may make GCC keep the accumulators in memory while they are summed:
// no call with them alive, no branch for each of them (measured: 120 instead of 170 GFLOP/s).
template <int kRows, int kColumns>
REGARD_INLINE void finish(const Accumulators<kRows, kColumns>& acc, const Finish& to) {
  if (to.columns < kPanel * kColumns) {
    alignas(64) float sums[kRows * kColumns * kPanel];
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
      for (int j = 0; j < kColumns; ++j) store(acc.at[r][j], sums + (r * kColumns + j) * kPanel);
    }
    return finish_partial(sums, kRows, kColumns, to);
  }
  float* y = to.y;
  if (to.is_first) {
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r, y += to.y_step) {
#pragma GCC unroll 8
      for (int j = 0; j < kColumns; ++j) store(add(zero(), acc.at[r][j]), y + kPanel * j);
    }
  } else {
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r, y += to.y_step) {
#pragma GCC unroll 8
      for (int j = 0; j < kColumns; ++j) {
        store(add(load(y + kPanel * j), acc.at[r][j]), y + kPanel * j);
      }
    }
  }
}

// After the last block: bias [count] to each row of y.
static HWY_NOINLINE HWY_MAYBE_UNUSED void add_bias(const float* bias, int64_t count, float* y,
                                                   int64_t y_step, int64_t rows) {
  for (int64_t r = 0; r < rows; ++r, y += y_step) {
    for (int64_t i = 0; i < count; ++i) y[i] = y[i] + bias[i];
  }
}

// Rows are cut into tiles of nearly equal height: 13 rows are 7 + 6, because a tile of one row is
// no faster. Tile t begins at row first_row(t).
struct TileCut {
  int64_t rows;
  int64_t tiles = (rows + kMaxTileRows - 1) / kMaxTileRows;
  int64_t first_row(int64_t tile) const { return rows * tile / tiles; }
};

// The left factor as it lies: rows of f32, `step` numbers from row to row.
struct PlainRows {
  const float* x;
  int64_t step;
  int64_t rows;

  template <int kRows>
  HWY_INLINE HWY_ATTR TallRows<kRows> tile(int64_t, int64_t row) const {
    return TallRows<kRows>(x + row * step, step);
  }
};

// The left factor turned, tile by tile: [tiles][kInputBlock][kMaxTileRows].
struct TurnedRows {
  const float* x;
  int64_t rows;

  template <int kRows>
  HWY_INLINE HWY_ATTR Columns<kMaxTileRows> tile(int64_t tile, int64_t) const {
    return {x + tile * kInputBlock * kMaxTileRows};
  }
};

// The right factor as panels side by side, [kColumns][kInputBlock][16].
struct RightPanels {
  const float* weights;

  template <int kColumns>
  HWY_INLINE HWY_ATTR Stored<float, kColumns> stored() const {
    Stored<float, kColumns> b;
    for (int j = 0; j < kColumns; ++j) b.base[j] = weights + j * kInputBlock * kPanel;
    b.step = kPanel;
    return b;
  }
};

// The same as it lies: rows of f32, `step` numbers from row to row.
struct RightRows {
  const float* first;
  int64_t step;

  template <int kColumns>
  HWY_INLINE HWY_ATTR Stored<float, kColumns> stored() const {
    Stored<float, kColumns> b;
    for (int j = 0; j < kColumns; ++j) b.base[j] = first + j * kPanel;
    b.step = step;
    return b;
  }
};

// The first `count` inputs of both factors.
template <class LeftRows, class Right, int kRows, int kColumns>
HWY_NOINLINE void row_tile(const LeftRows& left, int64_t tile, int64_t row, const Right& right,
                           int64_t count, const Finish& to) {
  const Stored<float, kColumns> b = right.template stored<kColumns>();
  if (!to.is_first) {
    for (int r = 0; r < kRows; ++r) __builtin_prefetch(to.y + r * to.y_step, 1);
  }
  Accumulators<kRows, kColumns> acc;
  clear(acc);
  multiply_add(left.template tile<kRows>(tile, row), b, count, acc);
  finish(acc, to);
}

template <class LeftRows, class Right>
using RowTile = void (*)(const LeftRows& left, int64_t tile, int64_t row, const Right& right,
                         int64_t count, const Finish& to);

template <class LeftRows, class Right, int kColumns, int... kIndex>
RowTile<LeftRows, Right> pick_tile(int64_t rows, std::integer_sequence<int, kIndex...>) {
  static constexpr RowTile<LeftRows, Right> kTiles[] = {
      row_tile<LeftRows, Right, kIndex + 1, kColumns>...};
  return kTiles[rows - 1];
}

template <int kColumns, class LeftRows, class Right>
void run_tiles(const LeftRows& left, int64_t count, const Right& right, Finish to) {
  const TileCut cut{left.rows};
  int64_t row = 0;
  for (int64_t tile = 0; tile < cut.tiles; ++tile) {
    const int64_t next = cut.first_row(tile + 1);
    pick_tile<LeftRows, Right, kColumns>(
        next - row, std::make_integer_sequence<int, kMaxTileRows>())(left, tile, row, right, count,
                                                                     to);
    to.y += (next - row) * to.y_step;
    row = next;
  }
}

}  // namespace regard::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
