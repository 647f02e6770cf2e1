// Where tiles of keys and values come from: pages of a cache, or plain arrays.
#pragma once

#include <cstdint>

#include "plan/key_source.h"
#include "regard/kv_cache.h"

namespace regard {

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

// Arrays [slabs, keys, kv_heads, dim] of f32, f16 or bf16 with any strides, widened and packed tile
// by tile.
class StridedKeys final : public KeySource {
 public:
  StridedKeys(const InputView<4>& k, const InputView<4>& v) : k_(k), v_(v) {}
  KeyTile tile(const Segment& segment, int64_t kv_head, int64_t first_key, int keys,
               const TileScratch& scratch) const noexcept override;
  bool in_place() const noexcept override { return false; }

 private:
  InputView<4> k_, v_;
};

}  // namespace regard
