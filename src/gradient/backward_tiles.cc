// One tile of the backward pass: keys and rows made ready, scores, weights.
#include <algorithm>
#include <cstring>
#include <limits>

#include "gradient/backward_pass.h"

namespace regard {
namespace {

constexpr float kNone = -std::numeric_limits<float>::infinity();

// The bits of keys [first, end) of a tile.
void set_run(int64_t first, int64_t end, uint16_t* bits) {
  for (int p = 0; p < kTilePanels; ++p) {
    const int64_t low = std::clamp<int64_t>(first - p * kPanelKeys, 0, kPanelKeys);
    const int64_t high = std::clamp<int64_t>(end - p * kPanelKeys, 0, kPanelKeys);
    bits[p] = high > low ? static_cast<uint16_t>((1u << high) - (1u << low)) : uint16_t{0};
  }
}

bool any_bit(const uint16_t* bits, int rows) {
  for (int i = 0; i < rows * kTilePanels; ++i) {
    if (bits[i] != 0) return true;
  }
  return false;
}

bool any_empty(const float* base, int rows) {
  bool empty = false;
  for (int r = 0; base != nullptr && r < rows; ++r) empty |= base[r] == kNone;
  return empty;
}

}  // namespace

// May every row of the block use every key of the tile? Bounds rise from row to row.
bool BackwardPass::see_all(const BlockPlace& place, const Tile& tile) const {
  const int64_t end = tile.first_key + tile.keys, last = place.rows - 1;
  const auto sees = [&](int64_t r) {
    const program::KeyRun run = programs_.band().keys_of(place.position + r, place.row + r, end);
    return run.end == end && run.first <= tile.first_key;
  };
  return sees(0) && sees(last);
}

// Tile `place` of a chunk.
BackwardPass::Tile BackwardPass::stage_tile(const Segment& segment, int64_t kv_head,
                                            int64_t first_key, int place, const Scratch& s) const {
  Tile tile;
  tile.first_key = first_key;
  tile.keys = static_cast<int>(std::min<int64_t>(kTileKeys, segment.keys - first_key));
  float* const k_panels = s.k_panels + place * kTileKeys * similarity_.dim();
  float* const v_panels = s.v_panels + place * kTileKeys * dim_v_;
  float* const k_rows = s.k_rows + place * kTileKeys * columns();
  const int64_t row = segment.first_key + first_key;
  tile.finite = similarity_.stage_keys(rows_of(arrays_.k, segment, kv_head, row, tile.keys),
                                       k_panels, k_rows, s.wide);
  stage_key_panels(rows_of(arrays_.v, segment, kv_head, row, tile.keys), dim_v_, v_panels);
  tile.k_panels = k_panels;
  tile.v_panels = v_panels;
  tile.k_rows = k_rows;
  return tile;
}

void BackwardPass::stage_block(const Block& block, Scratch& s) const {
  const Segment& segment = *block.segment;
  const int64_t row = segment.first_row + block.place.row;
  const int64_t head = block.place.head;
  s.q_finite = similarity_.stage_queries(rows_of(arrays_.q, segment, head, row, block.place.rows),
                                         head, s.q_rows, s.wide, s.mapped);
  s.dout_finite = stage_rows(rows_of(arrays_.dout, segment, head, row, block.place.rows), dim_v_,
                             1.0f, s.dout_rows);
}

bool BackwardPass::score_pairs(const Block& block, const Tile& tile, const float* base,
                               Pairs& pairs, Scratch& s) const {
  const BlockPlace& place = block.place;
  const int64_t end = tile.first_key + tile.keys;
  const Sight sight = programs_.look(place, tile.first_key, end, s.bounds);
  if (sight == Sight::none) return false;
  const bool whole = tile.keys == kTileKeys && see_all(place, tile) && !any_empty(base, place.rows);
  if (whole) std::memset(s.bits, 0xFF, static_cast<std::size_t>(place.rows) * 2 * kTilePanels);
  for (int r = 0; !whole && r < place.rows; ++r) {
    uint16_t* const bits = s.bits + r * kTilePanels;
    const program::KeyRun run = programs_.band().keys_of(place.position + r, place.row + r, end);
    const bool empty = base != nullptr && base[r] == kNone;
    set_run(run.first - tile.first_key, empty ? 0 : run.end - tile.first_key, bits);
  }
  pairs = {place.rows, tile.keys, s.bits};
  if (!whole && !any_bit(s.bits, place.rows)) return false;
  if (similarity_.is_additive()) {
    KeyTile keys;
    keys.keys = tile.keys;
    const int panels = (tile.keys + kPanelKeys - 1) / kPanelKeys;
    for (int p = 0; p < panels; ++p) {
      keys.keys_of_panel[p] = tile.k_panels + p * similarity_.dim() * kPanelKeys;
    }
    const float* v[kGradientRows];
    std::fill_n(v, place.rows, similarity_.v_of(place.head));
    score_additive(s.q_rows, similarity_.dim(), place.rows, v, recipe_.scale, keys, 0, panels,
                   s.dense);
    for (int r = 0; r < place.rows; ++r) {
      std::memcpy(s.s + r * kPairStep, s.dense + r * kTileKeys, kTileKeys * sizeof(float));
    }
  } else {
    multiply_pairs(pairs, s.q_rows, similarity_.dim(), tile.k_panels, s.s);
  }
  const bool changes = !recipe_.score.empty();
  if (!programs_.score() || (!changes && sight == Sight::all)) return true;
  programs_.score()->run(place, tile.first_key, pairs, s.s, s.s, s.bits, s.score_slope, s.score);
  return !programs_.masks() || any_bit(s.bits, place.rows);
}

void BackwardPass::weigh_tile(const Block& block, const Tile& tile, const Pairs& pairs,
                              Scratch& s) const {
  multiply_pairs(pairs, s.dout_rows, dim_v_, tile.v_panels, s.dp);
  weigh_pairs(rule_, pairs, numbers_of(block), static_cast<int32_t>(tile.first_key), s.s, s.g);
}

}  // namespace regard
