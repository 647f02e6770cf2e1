// Each product is cut into shares of rows x columns, one task each. A share takes 256 of k at a
// time: the left factor is read as it lies, or turned into tiles where its rows are columns of
// memory; 32 columns of the right factor are copied to scratch, and the tile goes down all rows.
// Copying costs one load and store for as many multiply-adds as the share has rows (left: 32-column
// pairs), so nothing is packed beforehand.
#include "matmul/product.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <type_traits>

#include "base/arena.h"
#include "base/check.h"
#include "matmul/pack.h"
#include "simd/highway.h"

#ifndef REGARD_MATMUL_PRODUCT_SHARE_
#define REGARD_MATMUL_PRODUCT_SHARE_
namespace regard {

inline constexpr int64_t kShareRows = 504;   // 256 of each: half a megabyte turned, in second cache
inline constexpr int64_t kSharePanels = 24;  // their part of c stays in the second cache

// Rows x columns of one product, from the addresses on.
struct ProductShare {
  Product of;
  float* turned;  // scratch [kShareRows / tile rows][kInputBlock][tile rows], where it is needed
};

}  // namespace regard
#endif

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "matmul/product.cc"
#include <hwy/foreach_target.h>

#include "matmul/plain-inl.h"
#include "matmul/rows-inl.h"

HWY_BEFORE_NAMESPACE();
namespace regard::HWY_NAMESPACE {

// ---- the left factor where rows are columns of memory ----

// Rows of `a` from k on, at most 256 of k, to out [tiles][kInputBlock][kMaxTileRows].
static void turn_any(const View<const float, 2>& a, int64_t k, int64_t count, float* out) {
  const TileCut cut{a.shape[0]};
  for (int64_t tile = 0; tile < cut.tiles; ++tile, out += kInputBlock * kMaxTileRows) {
    for (int64_t row = cut.first_row(tile); row < cut.first_row(tile + 1); ++row) {
      float* const to = out + row - cut.first_row(tile);
      for (int64_t i = 0; i < count; ++i) to[i * kMaxTileRows] = a(row, k + i);
    }
  }
}

// The same where rows lie one after the other: whole lines of memory, which are the numbers of
// about four tiles. Behind a tile's rows there may be some of the next.
static HWY_NOINLINE void turn_rows(const View<const float, 2>& a, int64_t k, int64_t count,
                                   float* out) {
  if (a.strides[0] != 1 && a.shape[0] > 1) return turn_any(a, k, count, out);
  constexpr int64_t kTogether = 4;
  const TileCut cut{a.shape[0]};
  for (int64_t first = 0; first < cut.tiles; first += kTogether) {
    const int64_t tiles = std::min(kTogether, cut.tiles - first);
    float* const to = out + first * kInputBlock * kMaxTileRows;
    int64_t rows[kTogether] = {};
    for (int64_t t = 0; t < tiles; ++t) rows[t] = cut.first_row(first + t);
    const bool whole = tiles == kTogether && rows[kTogether - 1] + kMaxTileRows <= a.shape[0];
    for (int64_t i = 0; i < count; ++i) {
      const float* const from = a.data + (k + i) * a.strides[1];
      if (whole) {
        for (int64_t t = 0; t < kTogether; ++t) {
          std::memcpy(to + (t * kInputBlock + i) * kMaxTileRows, from + rows[t],
                      kMaxTileRows * sizeof(float));
        }
      } else {
        for (int64_t t = 0; t < tiles; ++t) {
          const int64_t height = std::min<int64_t>(kMaxTileRows, a.shape[0] - rows[t]);
          std::memcpy(to + (t * kInputBlock + i) * kMaxTileRows, from + rows[t],
                      static_cast<std::size_t>(height) * sizeof(float));
        }
      }
    }
  }
}

// sums (+)= over k of the turned rows: a chain within the block, as c's.
static HWY_NOINLINE void add_row_sums(const float* turned, int64_t rows, int64_t count,
                                      bool is_first, float* sums) {
  const TileCut cut{rows};
  for (int64_t tile = 0; tile < cut.tiles; ++tile, turned += kInputBlock * kMaxTileRows) {
    alignas(64) float chain[16];  // of which a tile's rows count
    F32x16 sum = zero();
    for (int64_t i = 0; i < count; ++i) sum = add(sum, load(turned + i * kMaxTileRows));
    store(sum, chain);
    for (int64_t row = cut.first_row(tile); row < cut.first_row(tile + 1); ++row) {
      sums[row] = (is_first ? 0.0f : sums[row]) + chain[row - cut.first_row(tile)];
    }
  }
}

// ---- a share ----

constexpr int64_t kFewTiles = 4;

template <class T, class LeftRows>
void multiply_block(const Product& p, const LeftRows& left, int64_t k, int64_t count) {
  alignas(64) float weights[kPair * kInputBlock * kPanel];
  const int64_t columns = p.b.shape[1];
  // So few rows read the right factor where it lies sooner than it is copied.
  const bool few =
      std::is_same_v<T, float> && p.b.strides[1] == 1 && left.rows <= kFewTiles * kMaxTileRows;
  for (int64_t column = 0; column < columns; column += kPair * kPanel) {
    const Finish to{p.c.data + column, p.c.strides[0], columns - column, k == 0 && !p.add_to_c};
    const bool pair = kPair == 2 && columns - column > kPanel;
    if (few && columns - column >= kPair * kPanel) {
      const float* const first = static_cast<const float*>(p.b.data) + k * p.b.strides[0] + column;
      run_tiles<kPair>(left, count, RightRows{first, p.b.strides[0]}, to);
    } else {
      for (int64_t j = 0; j < (pair ? 2 : 1); ++j) {
        expand<T>(p.b, k, count, column + j * kPanel, weights + j * kInputBlock * kPanel);
      }
      if (pair) {
        run_tiles<kPair>(left, count, RightPanels{weights}, to);
      } else {
        run_tiles<1>(left, count, RightPanels{weights}, to);
      }
    }
    if (p.bias != nullptr && k + count == p.a.shape[1]) {
      add_bias(p.bias + column, std::min<int64_t>(kPair * kPanel, columns - column), to.y,
               p.c.strides[0], p.a.shape[0]);
    }
  }
}

template <class T>
void multiply_as(const ProductShare& share) {
  const Product& p = share.of;
  const int64_t rows = p.a.shape[0], inner = p.a.shape[1];
  for (int64_t k = 0; k < inner; k += kInputBlock) {
    const int64_t count = std::min(kInputBlock, inner - k);
    if (share.turned == nullptr) {
      multiply_block<T>(p, PlainRows{p.a.data + k, p.a.strides[0], rows}, k, count);
      continue;
    }
    turn_rows(p.a, k, count, share.turned);
    if (p.row_sums != nullptr) {
      add_row_sums(share.turned, rows, count, k == 0 && !p.add_to_row_sums, p.row_sums);
    }
    multiply_block<T>(p, TurnedRows{share.turned, rows}, k, count);
  }
}

void multiply_share(const ProductShare& share) {
  switch (share.of.b.dtype) {
    case DType::f16:
      return multiply_as<f16>(share);
    case DType::bf16:
      return multiply_as<bf16>(share);
    default:
      return multiply_as<float>(share);
  }
}

}  // namespace regard::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace regard {
namespace {

constexpr int64_t kRowUnit = 12;   // whole tiles on every target
constexpr int64_t kPanelUnit = 2;  // whole pairs
constexpr int64_t kMaxTogether = 8;

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

bool is_turned(const Product& p) {
  return p.row_sums != nullptr || (p.a.strides[1] != 1 && p.a.shape[1] > 1);
}

// How a product is cut.
struct Cut {
  int64_t rows;    // of a share
  int64_t panels;  // of a share
  int64_t row_shares;
  int64_t column_shares;
  int64_t tasks() const { return row_shares * column_shares; }
};

// About the cycles of a share on AVX-512; what counts is their proportion.
double cost(const Product& p, int64_t rows, int64_t panels) {
  const double inner = static_cast<double>(p.a.shape[1]);
  const double height = static_cast<double>(ceil_div(rows, kRowUnit) * kRowUnit);
  const double width = static_cast<double>(panels);
  const double expand = p.b.strides[1] == 1 ? 2 : 5;
  return inner * (0.5 * height * width + expand * width + (is_turned(p) ? 0.25 * height : 0)) +
         2000;
}

// The cut whose threads are done first; among equals the one of more shares, so that a thread that
// is held up is helped. Costs decide nothing but time.
Cut plan(const Product& p, int64_t threads) {
  const int64_t row_units = ceil_div(p.a.shape[0], kRowUnit);
  const int64_t column_units =
      std::max<int64_t>(1, ceil_div(ceil_div(p.b.shape[1], kPanel), kPanelUnit));
  const int64_t least_rows = ceil_div(row_units * kRowUnit, kShareRows);
  const int64_t least_columns = ceil_div(column_units * kPanelUnit, kSharePanels);
  Cut best{};
  double least = 0;
  for (int64_t r = least_rows; r <= std::min(row_units, least_rows + 2 * threads); ++r) {
    for (int64_t c = least_columns; c <= std::min(column_units, least_columns + 4 * threads); ++c) {
      Cut cut{ceil_div(row_units, r) * kRowUnit, ceil_div(column_units, c) * kPanelUnit, 0, 0};
      cut.row_shares = ceil_div(p.a.shape[0], cut.rows);
      cut.column_shares =
          std::max<int64_t>(1, ceil_div(ceil_div(p.b.shape[1], kPanel), cut.panels));
      const double time =
          static_cast<double>(ceil_div(cut.tasks(), threads)) * cost(p, cut.rows, cut.panels);
      if (best.rows == 0 || time < least || (time == least && cut.tasks() > best.tasks())) {
        best = cut;
        least = time;
      }
    }
  }
  return best;
}

// Rows and columns of share number `index`.
Product part(const Product& p, const Cut& cut, int64_t index) {
  const int64_t row = index / cut.column_shares * cut.rows;
  const int64_t column = index % cut.column_shares * cut.panels * kPanel;
  Product share = p;
  share.a = p.a.rows(row, std::min(cut.rows, p.a.shape[0] - row));
  const int64_t width = info(p.b.dtype).block_bytes;
  share.b.data = static_cast<const std::byte*>(p.b.data) + column * p.b.strides[1] * width;
  share.b.shape[1] = std::min(cut.panels * kPanel, p.b.shape[1] - column);
  share.c.data = p.c.data + row * p.c.strides[0] + column;
  if (p.bias != nullptr) share.bias = p.bias + column;
  share.row_sums = p.row_sums != nullptr && column == 0 ? p.row_sums + row : nullptr;
  return share;
}

// Nothing is summed: c is the bias or 0, or what it was.
void finish_empty(const Product& p) {
  for (int64_t r = 0; r < p.a.shape[0]; ++r) {
    if (p.row_sums != nullptr && !p.add_to_row_sums) p.row_sums[r] = 0;
    for (int64_t j = 0; j < p.b.shape[1] && !p.add_to_c; ++j) {
      p.c(r, j) = p.bias != nullptr ? p.bias[j] : 0.0f;
    }
  }
}

void check(const Product& p) {
  require(p.b.dtype == DType::f32 || p.b.dtype == DType::f16 || p.b.dtype == DType::bf16,
          "multiply: the right factor is {}, not f32, f16 or bf16", info(p.b.dtype).name);
  require(p.a.shape[1] == p.b.shape[0], "multiply: [{}, {}] times [{}, {}]", p.a.shape[0],
          p.a.shape[1], p.b.shape[0], p.b.shape[1]);
  require(p.c.shape[0] == p.a.shape[0] && p.c.shape[1] == p.b.shape[1],
          "multiply: c is [{}, {}], not [{}, {}]", p.c.shape[0], p.c.shape[1], p.a.shape[0],
          p.b.shape[1]);
  require(p.c.strides[1] == 1 || p.c.shape[1] <= 1,
          "multiply: c has stride {}, not 1, in its last axis", p.c.strides[1]);
  require(p.bias == nullptr || !p.add_to_c, "multiply: a bias goes with c = a b only");
}

}  // namespace

void multiply(View<const double, 2> a, View<const double, 2> b, View<double, 2> c, bool add_to_c) {
  require(a.shape[1] == b.shape[0] && c.shape[0] == a.shape[0] && c.shape[1] == b.shape[1],
          "multiply: [{}, {}] times [{}, {}] to [{}, {}]", a.shape[0], a.shape[1], b.shape[0],
          b.shape[1], c.shape[0], c.shape[1]);
  for (int64_t r = 0; r < c.shape[0]; ++r) {
    for (int64_t j = 0; j < c.shape[1]; ++j) {
      double sum = 0;
      for (int64_t k = 0; k < a.shape[1]; ++k) sum += a(r, k) * b(k, j);
      c(r, j) = (add_to_c ? c(r, j) : 0.0) + sum;
    }
  }
}

void multiply(std::span<const Product> products, ThreadPool& pool) {
  if (std::ssize(products) > kMaxTogether) {
    multiply(products.first(kMaxTogether), pool);
    return multiply(products.subspan(kMaxTogether), pool);
  }
  std::array<Cut, kMaxTogether> cuts{};
  int64_t tasks = 0;
  bool turned = false;
  for (std::size_t i = 0; i < products.size(); ++i) {
    const Product& p = products[i];
    check(p);
    if (p.a.shape[1] == 0) {
      finish_empty(p);
    } else if (p.a.shape[0] > 0 && (p.b.shape[1] > 0 || p.row_sums != nullptr)) {
      cuts[i] = plan(p, pool.threads());
      tasks += cuts[i].tasks();
      turned = turned || is_turned(p);
    }
  }
  if (tasks == 0) return;
  // The last row's copy may be read to the end of a vector.
  constexpr int64_t kScratch = (kShareRows + kRowUnit) * kInputBlock;
  Block scratch;
  if (turned) {
    scratch =
        Arena::global().take(static_cast<std::size_t>(kScratch * pool.threads()) * sizeof(float));
  }
  const auto kernel = REGARD_DISPATCH(multiply_share);
  pool.parallel_for(tasks, [&](int64_t task, int slot) {
    std::size_t i = 0;
    while (task >= cuts[i].tasks()) task -= cuts[i++].tasks();
    const bool turn = is_turned(products[i]);
    kernel({part(products[i], cuts[i], task),
            turn ? reinterpret_cast<float*>(scratch.data()) + slot * kScratch : nullptr});
  });
}

}  // namespace regard
#endif  // HWY_ONCE
