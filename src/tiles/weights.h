// Normalised weights from all scores of a row: for normalisers and weight programs that must see
// them first, and for what is shown of the weights.
//
//   softmax    exp(s - m) / l         relu        max(s, 0) / l
//   sigmoid    σ(s)                   hardmax     1 for the key whose number + 1 is in l's bits
//   sparsemax  [s - m - l]₊           entmax-1.5  [(s - m) / 2 - l]₊²       (l: the threshold)
//
// l = 0: a row without keys, whose weights are zeros; NaN: a score was NaN, and all weights are,
// but of sigmoid only that key's. A score of -inf has weight 0 in any row.
#pragma once

#include <cstdint>

#include "tiles/fold.h"

namespace regard {

// Scores of a row, 128 of each tile, -inf where masked. Tiles that are left out hold no key.
struct KeptScores {
  const float* scores;        // [tiles][128]
  const int32_t* first_keys;  // [tiles], ascending
  int tiles;
};
struct WeightStatistics {
  float m, l;
};
// Sums are 16 lanes (key mod 16) that restart every 512 keys and are added in order, then the fixed
// tree; thresholds are those of threshold.h.
WeightStatistics weight_statistics(Weighing weighing, const KeptScores& row) noexcept;
// With a key of that score that gives nothing: softmax.
WeightStatistics with_sink(const WeightStatistics& row, float sink) noexcept;
// m + log l, -inf where l = 0: softmax.
float log_sum_exp(const WeightStatistics& row) noexcept;

// scores [rows][128] become weights. first_key: of the tile.
void weigh_scores(Weighing weighing, int rows, const float* m, const float* l, int32_t first_key,
                  float* scores) noexcept;

// entropy[r] += -Σ p ln p over the row's 128, in 16 lanes and the fixed tree.
void add_entropy(const float* weights, int rows, float* entropy) noexcept;

// sums[128] += weights of rows first, first + step, ... below rows, in this order.
void add_key_sums(const float* weights, int rows, int first, int step, float* sums) noexcept;

}  // namespace regard
