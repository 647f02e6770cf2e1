// KeySource: where a tile of keys and values comes from, so that one operator serves pages and
// plain arrays.
#pragma once

#include <cstdint>
#include <span>

#include "attention/attention.h"
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

// Pages of a cache, read where they lie.
class PagedKeys final : public KeySource {
 public:
  PagedKeys(const KvCache& cache, int64_t layer) : pages_(cache.pages()), layer_(layer) {}
  KeyTile tile(const Segment& segment, int64_t kv_head, int64_t first_key, int keys,
               const TileScratch& scratch) const noexcept override;
  bool in_place() const noexcept override { return true; }

 private:
  const KvPages& pages_;
  int64_t layer_;
};

// Plain arrays of any strides, packed tile by tile.
class StridedKeys final : public KeySource {
 public:
  StridedKeys(View<const float, 3> k, View<const float, 3> v) : k_(k), v_(v) {}
  KeyTile tile(const Segment& segment, int64_t kv_head, int64_t first_key, int keys,
               const TileScratch& scratch) const noexcept override;
  bool in_place() const noexcept override { return false; }

 private:
  View<const float, 3> k_, v_;
};

}  // namespace regard
