// What a row's weights and their gradient follow from: softmax's denominator or its like, and
// delta. Softmax takes them from what the forward pass gave; the others go through the keys again.
#include <algorithm>
#include <limits>

#include "gradient/backward_pass.h"
#include "tiles/threshold.h"

namespace regard {
namespace {

constexpr float kNone = -std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

// Copies the scores of a row's used pairs; to keeps what it holds elsewhere.
void copy_used(const Pairs& pairs, int row, const float* scores, float* to) {
  for (int p = 0; p < kTilePanels; ++p) {
    const uint16_t bits = pairs.bits[row * kTilePanels + p];
    if (bits == 0xFFFF) {
      std::copy_n(scores + p * kPanelKeys, kPanelKeys, to + p * kPanelKeys);
      continue;
    }
    for (int j = p * kPanelKeys; j < (p + 1) * kPanelKeys; ++j) {
      if ((bits >> j % kPanelKeys & 1) != 0) to[j] = scores[j];
    }
  }
}

}  // namespace

void BackwardPass::find_row_numbers(const Block& block, Scratch& s) const {
  const Segment& segment = *block.segment;
  const int rows = block.place.rows;
  const int64_t head = block.place.head, row = segment.first_row + block.place.row;
  float* const base = base_ + block.numbers;
  float* const delta = delta_ + block.numbers;
  const Normaliser& normaliser = recipe_.options.normaliser;
  const bool given = normaliser.kind == Normaliser::Kind::softmax && arrays_.lse.data != nullptr;
  for (int r = 0; given && r < rows; ++r) base[r] = arrays_.lse(segment.slab, row + r, head);
  if (rule_ == WeightRule::sigmoid && !programs_.weight()) {
    std::fill_n(base, rows, 0.0f);  // weights of an empty row are 0 anyway
  } else if (!given) {
    if (rule_ == WeightRule::sparsemax || rule_ == WeightRule::entmax15) {
      find_thresholds(block, s);
    } else {
      fold_rows(block, s);
    }
  }
  if (normaliser.sinks) {
    const Array& sinks = *normaliser.sinks;
    const int64_t at = sinks.shape(0) == 1 ? 0 : head * sinks.stride(0);
    add_sink(static_cast<const float*>(sinks.data())[at], rows, base, base,
             sink_share_ + block.numbers);
  }
  if (rule_ == WeightRule::sigmoid || rule_ == WeightRule::hardmax) {
    std::fill_n(delta, rows, 0.0f);
  } else if (delta_by_pass_) {
    find_delta(block, s);
  } else {
    row_products(rows_of(arrays_.dout, segment, head, row, rows),
                 rows_of(arrays_.out, segment, head, row, rows), dim_v_, delta);
  }
}

// softmax, relu, hardmax, straight-through; of sigmoid only which rows are empty.
void BackwardPass::fold_rows(const Block& block, Scratch& s) const {
  const int rows = block.place.rows;
  float* const base = base_ + block.numbers;
  int32_t* const pick = pick_ + block.numbers;
  float largest[kGradientRows];
  std::fill_n(largest, rows, kNone);
  std::fill_n(base, rows, kNone);
  std::fill_n(pick, rows, -1);
  std::fill_n(s.lanes, rows * 16, 0.0f);
  if (block_is_seen(block)) stage_block(block, s);
  for (int64_t key = block.first_key / kTileKeys * kTileKeys; key < block.end_key;
       key += kTileKeys) {
    const Tile tile = stage_tile(*block.segment, block.kv_head, key, 0, s);
    Pairs pairs;
    if (!score_pairs(block, tile, nullptr, pairs, s)) continue;
    if (rule_ == WeightRule::softmax || rule_ == WeightRule::straight_through) {
      fold_softmax(pairs, s.s, base, s.lanes);
    }
    if (rule_ == WeightRule::relu || rule_ == WeightRule::sigmoid) {
      fold_positive(pairs, s.s, largest, s.lanes);
    }
    if (rule_ == WeightRule::hardmax || rule_ == WeightRule::straight_through) {
      fold_largest(pairs, s.s, static_cast<int32_t>(key), largest, pick);
    }
  }
  float sums[kGradientRows];
  sum_row_lanes(s.lanes, rows, sums);
  switch (rule_) {
    case WeightRule::relu:
      for (int r = 0; r < rows; ++r) base[r] = sums[r] == 0 ? kNone : 1 / sums[r];
      break;
    case WeightRule::sigmoid:  // a row of NaN alone is not empty
      for (int r = 0; r < rows; ++r) base[r] = sums[r] == sums[r] ? largest[r] : 0;
      break;
    case WeightRule::hardmax:
      std::copy_n(largest, rows, base);
      break;
    default:
      finish_softmax(base, s.lanes, rows, base);
  }
}

void BackwardPass::find_thresholds(const Block& block, Scratch& s) const {
  float* const base = base_ + block.numbers;
  float* const shift = shift_ + block.numbers;
  const int64_t first_key = block.first_key / kTileKeys * kTileKeys;
  const int64_t step = round_up(most_keys_, kTileKeys) + kTileKeys;
  for (int first = 0; first < block.place.rows; first += static_cast<int>(threshold_rows_)) {
    const int rows = std::min(static_cast<int>(threshold_rows_), block.place.rows - first);
    const Block part =
        block_at(block.place.segment, block.place.head, block.place.row + first, rows);
    if (block_is_seen(part)) stage_block(part, s);
    int64_t kept = 0;
    for (int64_t key = first_key; key < part.end_key; key += kTileKeys, kept += kTileKeys) {
      for (int r = 0; r < rows; ++r) std::fill_n(s.row_scores + r * step + kept, kTileKeys, kNone);
      if (key + kTileKeys <= part.first_key) continue;
      const Tile tile = stage_tile(*part.segment, part.kv_head, key, 0, s);
      Pairs pairs;
      if (!score_pairs(part, tile, nullptr, pairs, s)) continue;
      for (int r = 0; r < rows; ++r) {
        copy_used(pairs, r, s.s + r * kPairStep, s.row_scores + r * step + kept);
      }
    }
    for (int r = 0; r < rows; ++r) {
      const float* const scores = s.row_scores + r * step;
      const Threshold found = rule_ == WeightRule::sparsemax ? sparsemax_threshold(scores, kept)
                                                             : entmax15_threshold(scores, kept);
      // The largest number passes over a NaN; of nothing but NaN and -inf it is -inf.
      const bool nan = std::any_of(scores, scores + kept, [](float x) { return x != x; });
      base[first + r] = nan ? kNan : found.largest;
      shift[first + r] = found.t;
    }
  }
}

void BackwardPass::find_delta(const Block& block, Scratch& s) const {
  const int rows = block.place.rows;
  const bool thresholds = rule_ == WeightRule::sparsemax || rule_ == WeightRule::entmax15;
  std::fill_n(s.lanes, rows * 16, 0.0f);
  std::fill_n(s.totals, rows * 16, 0.0f);
  if (block_is_seen(block)) stage_block(block, s);
  for (int64_t key = block.first_key / kTileKeys * kTileKeys; key < block.end_key;
       key += kTileKeys) {
    const Tile tile = stage_tile(*block.segment, block.kv_head, key, 0, s);
    Pairs pairs;
    if (!score_pairs(block, tile, base_ + block.numbers, pairs, s)) continue;
    weigh_tile(block, tile, pairs, s);
    const float* slope = nullptr;
    if (programs_.weight()) {
      programs_.weight()->run(block.place, key, pairs, s.s, nullptr, nullptr, s.weight_slope,
                              s.weight);
      if (programs_.weight()->has_slope()) slope = s.weight_slope;
    }
    fold_delta(pairs, rule_ == WeightRule::relu ? s.s : s.g, s.g, s.dp, slope, s.lanes, s.totals);
  }
  float totals[kGradientRows];
  float* const delta = delta_ + block.numbers;
  sum_row_lanes(s.lanes, rows, delta);
  sum_row_lanes(s.totals, rows, totals);
  for (int r = 0; r < rows; ++r) {
    if (thresholds) delta[r] = totals[r] == 0 ? 0.0f : delta[r] / totals[r];
  }
}

}  // namespace regard
