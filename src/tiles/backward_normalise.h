// Normalisers in the backward pass: scores of pairs become weights p and their slopes g, and the
// gradient of the weights becomes the gradient of the scores, ds = g (dp - delta).
//
//                     p                        g                delta
//   softmax           exp(s - base)            p                Σ p dp
//   sigmoid           σ(s)                     p (1 - p)        0
//   relu              max(s, 0) base           [s > 0] base     Σ p dp
//   sparsemax         [s - base - shift]₊      [p > 0]          Σ g dp / Σ g
//   entmax-1.5        [(s - base)/2 - shift]₊² √p               Σ g dp / Σ g
//   hardmax           [key = pick]             0                0
//   straight-through  [key = pick]             exp(s - base)    Σ g dp
//
// base is the logarithm of softmax's denominator, relu's 1 / Σ max(s, 0), or the largest score; it
// is NaN where a row's weights are.
#pragma once

#include <cstdint>

#include "tiles/backward.h"

namespace regard {

enum class WeightRule : uint8_t {
  softmax,
  sigmoid,
  relu,
  sparsemax,
  entmax15,
  hardmax,
  straight_through
};

// What a row's weights follow from, once all its keys were seen.
struct RowNumbers {
  const float* base;
  const float* shift;   // sparsemax, entmax-1.5
  const int32_t* pick;  // hardmax, straight-through
  const float* delta;
};

// s -> p in place, and g; both 0 where masked. first_key: of the tile.
void weigh_pairs(WeightRule rule, const Pairs& pairs, const RowNumbers& numbers, int32_t first_key,
                 float* s, float* g) noexcept;
// dp -> g (dp · slope - delta) in place, 0 where masked. slope: of the weight program, or null.
void differentiate_pairs(const Pairs& pairs, const float* g, const float* slope, const float* delta,
                         float* dp) noexcept;
// x -> x · by, or x · factor if by is null, in place; 0 where masked.
void multiply_used(const Pairs& pairs, const float* by, float factor, float* x) noexcept;

// ---- sums over a row's keys, tile after tile ----
//
// Each in 16 lanes (key mod 16): a tile's sum is added to the sum of those before.

// Running softmax: m the largest score so far, l the lanes of Σ exp(s - m). Empty: -inf, 0.
void fold_softmax(const Pairs& pairs, const float* s, float* m, float* l) noexcept;
// l: the lanes of Σ max(s, 0); m the largest score so far.
void fold_positive(const Pairs& pairs, const float* s, float* m, float* l) noexcept;
// The largest score so far and its key, the lowest among equals. A NaN stays the largest.
void fold_largest(const Pairs& pairs, const float* s, int32_t first_key, float* m,
                  int32_t* pick) noexcept;
// share: the lanes of Σ x dp · slope; total: those of Σ g.
void fold_delta(const Pairs& pairs, const float* x, const float* g, const float* dp,
                const float* slope, float* share, float* total) noexcept;

// [rows][16] -> [rows], in the fixed tree.
void sum_row_lanes(const float* lanes, int rows, float* sums) noexcept;
// m + ln l, -inf where l = 0.
void finish_softmax(const float* m, const float* l, int rows, float* lse) noexcept;
// total = ln(exp(lse) + exp(sink)), -inf where lse is; share[r] = exp(sink - total), 0 there.
void add_sink(float sink, int rows, const float* lse, float* total, float* share) noexcept;

}  // namespace regard
