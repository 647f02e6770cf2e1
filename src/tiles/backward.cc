// The products of the backward pass, compiled once per target. See backward.h for the algebra.
#include "tiles/backward.h"

#include <cstring>

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

constexpr int kMostGroups = (kGradientRows + kMaxTileRows - 1) / kMaxTileRows;
constexpr int64_t kStagedColumn = kGradientRows * 16;  // between 16 staged columns and the next
// Columns that go through a tile of the tallest groups together.
constexpr int kStep = kTileBudget / kMaxTileRows;
static_assert(kGradientRows == kTileKeys);

// Rows of staged numbers: one address and 16 of the chain for all of them.
struct Staged {
  const float* HWY_RESTRICT at;
  HWY_INLINE HWY_ATTR float get(int r, int64_t k) const { return at[r * 16 + k]; }
};
// Rows of a tile of pairs.
struct PairRows {
  const float* HWY_RESTRICT at;
  HWY_INLINE HWY_ATTR float get(int r, int64_t k) const { return at[r * kPairStep + k]; }
};

// A run [first, end) of panels, keys or rows; empty: first = end = 0.
struct Span {
  int first = 0, end = 0;
};

// The panels of which a group of rows uses some key.
Span panels_of_rows(const Pairs& pairs, int row, int height) {
  uint64_t half[2] = {0, 0};
  for (int r = row; r < row + height; ++r) {
    uint64_t bits[2];
    std::memcpy(bits, pairs.bits + r * kTilePanels, sizeof(bits));
    half[0] |= bits[0];
    half[1] |= bits[1];
  }
  uint16_t bits[kTilePanels];
  std::memcpy(bits, half, sizeof(bits));
  uint32_t used = 0;
  for (int p = 0; p < kTilePanels; ++p) used |= (bits[p] != 0 ? 1u : 0u) << p;
  if (used == 0) return {};
  return {__builtin_ctz(used), 32 - __builtin_clz(used)};
}

// The rows that use one of the keys [key, key + height).
Span rows_of_keys(const Pairs& pairs, int key, int height) {
  const auto uses = [&](int r) {
    for (int p = key / kPanelKeys; p * kPanelKeys < key + height; ++p) {
      const int low = key - p * kPanelKeys, high = low + height;
      uint32_t wanted = high >= 16 ? 0xFFFFu : (1u << high) - 1;
      if (low > 0) wanted &= ~((1u << low) - 1);
      if ((pairs.bits[r * kTilePanels + p] & wanted) != 0) return true;
    }
    return false;
  };
  Span span{0, pairs.rows};
  while (span.first < span.end && !uses(span.first)) ++span.first;
  while (span.first < span.end && !uses(span.end - 1)) --span.end;
  return span.first < span.end ? span : Span{};
}

bool uses(const Pairs& pairs, int row, int key) {
  return (pairs.bits[row * kTilePanels + key / kPanelKeys] >> key % kPanelKeys & 1) != 0;
}

// A product of staged rows and panels.
struct PairWork {
  const float* a;
  int64_t dim;
  const float* panels;
  float* out;

  template <int kRows, int kColumns>
  HWY_ATTR void run(int first) const {
    Stored<float, kColumns> keys;
    keys.step = kPanelKeys;
    for (int j = 0; j < kColumns; ++j) keys.base[j] = panels + (first + j) * dim * kPanelKeys;
    Accumulators<kRows, kColumns> s;
    clear(s);
    const float* from = a;
    int64_t d = 0;
    for (; d + 16 <= dim; d += 16, from += kStagedColumn) {
      multiply_add(Staged{from}, keys, 16, s);
      for (int j = 0; j < kColumns; ++j) keys.base[j] += 16 * kPanelKeys;
    }
    if (d < dim) multiply_add(Staged{from}, keys, dim - d, s);
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
      for (int j = 0; j < kColumns; ++j) {
        store(s.at[r][j], out + r * kPairStep + (first + j) * kPanelKeys);
      }
    }
  }
};

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

// Where the rows or keys gathered over hold a NaN or infinity: used pairs only, one by one.
HWY_ATTR void gather_used_rows(const Pairs& pairs, const float* weights, const float* x,
                               int64_t columns, float* out) {
  for (int key = 0; key < pairs.keys; ++key) {
    for (int64_t column = 0; column < columns; column += 16) {
      F32x16 sum = zero();
      for (int r = 0; r < pairs.rows; ++r) {
        if (!uses(pairs, r, key)) continue;
        sum = fma(broadcast(weights[r * kPairStep + key]),
                  load(x + column / 16 * kStagedColumn + r * 16), sum);
      }
      float* const to = out + key * columns + column;
      store(add(load(to), sum), to);
    }
  }
}

HWY_ATTR void gather_used_keys(const Pairs& pairs, const float* weights, const float* x,
                               int64_t columns, float* out) {
  for (int r = 0; r < pairs.rows; ++r) {
    for (int64_t column = 0; column < columns; column += 16) {
      F32x16 sum = zero();
      for (int key = 0; key < pairs.keys; ++key) {
        if (!uses(pairs, r, key)) continue;
        sum = fma(broadcast(weights[r * kPairStep + key]),
                  load(x + column / 16 * kStagedColumn + key * 16), sum);
      }
      float* const to = out + r * columns + column;
      store(add(load(to), sum), to);
    }
  }
}

}  // namespace

HWY_ATTR void multiply_pairs(const Pairs& pairs, const float* a, int64_t dim, const float* panels,
                             float* out) {
  Span spans[kMostGroups];
  int most = 0;
  for (int row = 0, g = 0; row < pairs.rows; row += kMaxTileRows, ++g) {
    const int height = pairs.rows - row < kMaxTileRows ? pairs.rows - row : kMaxTileRows;
    spans[g] = panels_of_rows(pairs, row, height);
    most = spans[g].end > most ? spans[g].end : most;
  }
  // Panels outside, groups inside: a pair of panels stays in the first cache.
  for (int panel = 0; panel < most; panel += kStep) {
    for (int row = 0, g = 0; row < pairs.rows; row += kMaxTileRows, ++g) {
      const int first = spans[g].first > panel ? spans[g].first : panel;
      const int end = spans[g].end < panel + kStep ? spans[g].end : panel + kStep;
      if (first >= end) continue;
      const int height = pairs.rows - row < kMaxTileRows ? pairs.rows - row : kMaxTileRows;
      with_rows<kMaxTileRows>(height, end - first,
                              PairWork{a + row * 16, dim, panels + first * dim * kPanelKeys,
                                       out + row * kPairStep + first * kPanelKeys});
    }
  }
}

HWY_ATTR void soften_pairs(const Pairs& pairs, const float* base, const float* delta,
                           const LinesAhead& ahead, float* s, float* dp) {
  const int panels = panels_of(pairs.keys);
  for (int r = 0; r < pairs.rows; ++r) {
    const uint16_t* const bits = pairs.bits + r * kTilePanels;
    float* const p = s + r * kPairStep;
    float* const ds = dp + r * kPairStep;
    const F32x16 most = broadcast(base[r]), mean = broadcast(delta[r]);
    for (int place = 0; place < ahead.count; ++place) {
      const std::byte* const at = ahead.first[place] + r * ahead.row_bytes[place];
      for (int line = 0; line < ahead.lines; ++line) __builtin_prefetch(at + 64 * line, 0, 2);
    }
    for (int i = 0; i < panels; ++i) {
      if (bits[i] == 0) {
        store(zero(), p + 16 * i);
        store(zero(), ds + 16 * i);
        continue;
      }
      F32x16 weight = exp_nonpositive(sub(load(p + 16 * i), most));
      F32x16 change = mul(weight, sub(load(ds + 16 * i), mean));
      if (bits[i] != 0xFFFF) {
        const Mask16 used = mask_of_bits(bits[i]);
        weight = select(used, weight, zero());
        change = select(used, change, zero());
      }
      store(weight, p + 16 * i);
      store(change, ds + 16 * i);
    }
  }
}

HWY_ATTR void gather_over_rows(const Pairs& pairs, const float* weights, const float* x,
                               bool finite, int64_t columns, float* out) {
  if (!finite) return gather_used_rows(pairs, weights, x, columns, out);
  Span spans[kMostGroups];
  for (int key = 0, g = 0; key < pairs.keys; key += kMaxTileRows, ++g) {
    const int height = pairs.keys - key < kMaxTileRows ? pairs.keys - key : kMaxTileRows;
    spans[g] = rows_of_keys(pairs, key, height);
  }
  const int wide = static_cast<int>(columns / 16);
  // Columns outside, groups inside: a pair of staged columns stays in the first cache.
  for (int column = 0; column < wide; column += kStep) {
    for (int key = 0, g = 0; key < pairs.keys; key += kMaxTileRows, ++g) {
      const auto [begin, end] = spans[g];
      if (begin == end) continue;
      const int height = pairs.keys - key < kMaxTileRows ? pairs.keys - key : kMaxTileRows;
      with_rows<kMaxTileRows>(height, wide - column < kStep ? wide - column : kStep,
                              GatherWork<Columns<kPairStep>>{{weights + begin * kPairStep + key},
                                                             begin,
                                                             end,
                                                             x,
                                                             out + key * columns,
                                                             columns,
                                                             column});
    }
  }
}

HWY_ATTR void gather_over_keys(const Pairs& pairs, const float* weights, const float* x,
                               bool finite, int64_t columns, float* out) {
  if (!finite) return gather_used_keys(pairs, weights, x, columns, out);
  Span spans[kMostGroups];
  for (int row = 0, g = 0; row < pairs.rows; row += kMaxTileRows, ++g) {
    const int height = pairs.rows - row < kMaxTileRows ? pairs.rows - row : kMaxTileRows;
    const Span panels = panels_of_rows(pairs, row, height);
    const int end = panels.end * kPanelKeys;
    spans[g] = {panels.first * kPanelKeys, end < pairs.keys ? end : pairs.keys};
  }
  const int wide = static_cast<int>(columns / 16);
  for (int row = 0, g = 0; row < pairs.rows; row += kMaxTileRows, ++g) {
    const auto [begin, end] = spans[g];
    if (begin == end) continue;
    const int height = pairs.rows - row < kMaxTileRows ? pairs.rows - row : kMaxTileRows;
    for (int column = 0; column < wide; column += kStep) {
      with_rows<kMaxTileRows>(height, wide - column < kStep ? wide - column : kStep,
                              GatherWork<PairRows>{{weights + row * kPairStep + begin},
                                                   begin,
                                                   end,
                                                   x,
                                                   out + row * columns,
                                                   columns,
                                                   column});
    }
  }
}

}  // namespace regard::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace regard {

void multiply_pairs(const Pairs& pairs, const float* a, int64_t dim, const float* panels,
                    float* out) noexcept {
  REGARD_DISPATCH(multiply_pairs)(pairs, a, dim, panels, out);
}

void soften_pairs(const Pairs& pairs, const float* base, const float* delta,
                  const LinesAhead& ahead, float* s, float* dp) noexcept {
  REGARD_DISPATCH(soften_pairs)(pairs, base, delta, ahead, s, dp);
}

void gather_over_rows(const Pairs& pairs, const float* weights, const float* x, bool finite,
                      int64_t columns, float* out) noexcept {
  REGARD_DISPATCH(gather_over_rows)(pairs, weights, x, finite, columns, out);
}

void gather_over_keys(const Pairs& pairs, const float* weights, const float* x, bool finite,
                      int64_t columns, float* out) noexcept {
  REGARD_DISPATCH(gather_over_keys)(pairs, weights, x, finite, columns, out);
}

}  // namespace regard
#endif
