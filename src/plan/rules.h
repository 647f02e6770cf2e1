// What the forward and the backward pass must agree on besides the recipe.
#pragma once

#include <cstdint>

#include "regard/attention.h"

namespace regard {

inline int64_t round_up(int64_t x, int64_t step) { return (x + step - 1) / step * step; }

// i of the segment's first row.
inline int64_t first_position(const Segment& segment) {
  return segment.position.value_or(segment.keys - segment.rows);
}

// What random numbers of the index-th segment are keyed on: its low 32 bits.
inline int32_t sequence_of(const Segment& segment, std::size_t index) {
  const int64_t sequence = segment.sequence.value_or(static_cast<int64_t>(index));
  return static_cast<int32_t>(static_cast<uint32_t>(static_cast<uint64_t>(sequence)));
}

}  // namespace regard
