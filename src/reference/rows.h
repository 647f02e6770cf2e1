// Rows: every query row of every head of a batch, one after the other.
#pragma once

#include <algorithm>
#include <span>
#include <vector>

#include "base/check.h"
#include "reference/formula.h"
#include "reference/reference.h"

namespace regard::reference {

inline int64_t longest(std::span<const Segment> segments) {
  int64_t keys = 0;
  for (const Segment& segment : segments) keys = std::max(keys, segment.keys);
  return keys;
}

// visit(place), by segment, row and head.
template <class Visit>
void for_each_place(std::span<const Segment> segments, int64_t heads, int64_t kv_heads,
                    const Visit& visit) {
  for (std::size_t n = 0; n < segments.size(); ++n) {
    const Segment& segment = segments[n];
    require(segment.block_table.empty(), "reference: keys lie in arrays, not in pages");
    for (int64_t row = 0; row < segment.rows; ++row) {
      for (int64_t head = 0; head < heads; ++head) {
        Place place{&segment, head, head / (heads / kv_heads), row};
        place.point.batch = static_cast<int64_t>(n);
        place.point.sequence = segment.sequence.value_or(place.point.batch);
        place.point.head = head;
        place.point.i = segment.position.value_or(segment.keys - segment.rows) + row;
        place.point.row = row;
        visit(place);
      }
    }
  }
}

// visit(place, row, out), out [dim_v].
template <class Visit>
void for_each_row(const InputView<4>& q, const InputView<4>& k, const InputView<4>& v,
                  std::span<const Segment> segments, const AttentionOptions& options,
                  const Visit& visit) {
  const Numbers q_numbers(q), k_numbers(k), v_numbers(v);
  Formula formula(q_numbers, k_numbers, options);
  Row row;
  std::vector<double> out(static_cast<std::size_t>(v.shape[3]));
  for_each_place(segments, q.shape[2], k.shape[2], [&](const Place& place) {
    formula.compute(place, row);
    formula.aggregate(place, row, v_numbers, out);
    visit(place, row, out);
  });
}

}  // namespace regard::reference
