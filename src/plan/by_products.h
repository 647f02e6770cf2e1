// By-products: what a caller wants to see besides out. Scores are computed once more, tile by tile,
// and become weights with the statistics that the first phase left for each row.
//
// Entropy, the largest weights and whole matrices belong to rows, and go through the keys in order;
// sums over rows belong to keys, and go through the rows in order. So nothing depends on the cut.
#pragma once

#include "plan/block.h"

namespace regard {

bool wants_rows(const AttentionExtras& extras);

// Writes what belongs to some rows of a segment, count <= 48.
void show_rows(const Job& job, int segment, int64_t kv_head, int64_t first_row, int count) noexcept;
// Writes key_sums of the tile's keys, in all rows of the segment.
void sum_keys(const Job& job, int segment, int64_t kv_head, int64_t first_key) noexcept;

}  // namespace regard
