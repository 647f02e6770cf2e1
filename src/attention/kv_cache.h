// KvCache: the keys and values of many sequences in pages, as the attention kernels read them.
//
// A page holds page_keys consecutive keys of one sequence for every kv head. Keys lie transposed
// in panels of 16, [panel][dim][16]; values row-major, [key][dim_v rounded up to 16]. A sequence
// is its block table: page ids in order, the same in every layer.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/buffer.h"
#include "regard/dtype.h"
#include "regard/view.h"
#include "tiles/fold.h"

namespace regard {

struct KvCacheShape {
  int64_t layers = 1;
  int64_t pages = 0;
  int64_t page_keys = 64;  // 16, 32 or 64
  int64_t kv_heads = 1;
  int64_t dim = 64;
  int64_t dim_v = 64;
  // f32, f16, bf16 or i8, each on its own. i8: one f32 scale for each key and kv head, max|x| /
  // 127.
  DType k_dtype = DType::f16;
  DType v_dtype = DType::f16;
};

class KvCache {
 public:
  // Throws Error for a shape outside these rules, or when memory is short. Memory is taken from
  // the system page by page as keys arrive.
  explicit KvCache(const KvCacheShape& shape);

  const KvCacheShape& shape() const noexcept { return shape_; }
  int64_t bytes() const noexcept;  // what all pages hold when full

  // Writes keys [first_key, first_key + tokens) of one sequence, rounding once to the cache's
  // dtypes. k [tokens, kv_heads, dim], v [tokens, kv_heads, dim_v]. Keys arrive in order: a write
  // at the first key of a panel forgets what the panel held before.
  // Throws Error when the block table is too short or names a page that is not there.
  void append(int64_t layer, std::span<const int32_t> block_table, int64_t first_key,
              View<const float, 3> k, View<const float, 3> v);

  // Where the kernels read. key_panel: [dim][16]; value_row: [dim_v padded].
  const std::byte* key_panel(int64_t layer, int64_t page, int64_t head,
                             int64_t panel) const noexcept;
  const std::byte* value_row(int64_t layer, int64_t page, int64_t head, int64_t key) const noexcept;
  // The scales of a panel's keys or values, [16], where they are stored as i8.
  const float* key_scales(int64_t layer, int64_t page, int64_t head, int64_t panel) const noexcept;
  const float* value_scales(int64_t layer, int64_t page, int64_t head,
                            int64_t panel) const noexcept;
  // Does a value of this panel of 16 keys hold a NaN or an infinity?
  bool special(int64_t layer, int64_t page, int64_t head, int64_t panel) const noexcept;
  int64_t padded_dim_v() const noexcept { return padded_dim_v_; }

 private:
  // The index of a panel, counted through all layers, pages and heads.
  int64_t panel_index(int64_t layer, int64_t page, int64_t head, int64_t panel) const noexcept;
  void write(int64_t layer, int64_t page, int64_t head, int64_t in_page, View<const float, 2> k,
             View<const float, 2> v);

  KvCacheShape shape_;
  int64_t padded_dim_v_ = 0;
  Buffer keys_, values_;
  Buffer key_scales_, value_scales_;  // [layer][page][head][page_keys], of i8
  std::vector<uint8_t> special_;      // [layer][page][head][panel]
};

}  // namespace regard
