// KeySource: where a tile of keys and values comes from, so that one operator serves pages and
// plain arrays.
#pragma once

#include <cstdint>

#include "regard/attention.h"
#include "tiles/fold.h"

namespace regard {

// Room for one tile that has to be packed or widened.
struct TileScratch {
  float* panels;  // [8][dim][16]
  float* values;  // [128][dim_v padded]
};

class KeySource {
 public:
  virtual ~KeySource() = default;
  // Keys [first_key, first_key + keys) of a segment, first_key a multiple of 128, keys <= 128.
  virtual KeyTile tile(const Segment& segment, int64_t kv_head, int64_t first_key, int keys,
                       const TileScratch& scratch) const noexcept = 0;
  // Are tiles read where they lie, so that looking one up moves nothing?
  virtual bool in_place() const noexcept = 0;
};

}  // namespace regard
