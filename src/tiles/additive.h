// The additive similarity s = scale Σ_d v_d tanh(q_d + k_d) (Bahdanau et al. 2015) on tiles, in
// place of the score product, and its gradients. q and k are projected already.
//
// Order of operations: a score is one chain of fused multiply-adds over d, times scale at its end.
// Within a tile dk is one chain over the rows, dq 16 virtual lanes (key mod 16) over the panels and
// the fixed tree, dv 16 virtual lanes over rows, within a row over panels, and the tree; each
// begins at zero and is added to what is there.
#pragma once

#include <cstdint>

#include "tiles/fold.h"

namespace regard {

// scores [rows][128]: those of keys in panels [first_panel, end_panel) of the tile. q: packed by
// pack_queries with factor 1; v_of_row[r] [dim]: row r's v (heads may have their own).
void score_additive(const float* q, int64_t dim, int rows, const float* const* v_of_row,
                    float scale, const KeyTile& tile, int first_panel, int end_panel,
                    float* scores) noexcept;

// Up to 128 rows of one head against up to 128 keys.
struct AdditiveGradients {
  float* dq;  // [rows][dim rounded up to 16], added to
  float* dk;  // [keys][dim rounded up to 16], added to
  float* dv;  // [dim], added to; null: not wanted
};

// ds [rows][128]: dloss/ds, exactly 0 where masked and from `keys` to the end of its panel: such a
// pair adds nothing, whatever its row and key hold. q as above; k_panels [8][dim][16] f32; scratch:
// 128 * dim numbers.
void additive_backward(const float* q, int64_t dim, int rows, const float* v, float scale,
                       const float* k_panels, int keys, const float* ds, float* scratch,
                       const AdditiveGradients& gradients) noexcept;

}  // namespace regard
