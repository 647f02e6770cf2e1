// A segment together with its block table, which C++'s Segment only looks at.
#pragma once

#include <cstdint>
#include <vector>

#include "regard/attention.h"

namespace regard::python {

struct OwnedSegment {
  Segment segment;
  std::vector<int32_t> block_table;
};

// Segments that look at the tables of `owned`, which must live as long.
inline std::vector<Segment> look_at(const std::vector<OwnedSegment>& owned) {
  std::vector<Segment> segments;
  for (const OwnedSegment& one : owned) {
    segments.push_back(one.segment);
    segments.back().block_table = one.block_table;
  }
  return segments;
}

}  // namespace regard::python
