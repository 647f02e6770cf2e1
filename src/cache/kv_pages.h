// KvPages: how a cache lies in memory, and where the kernels read and write it.
//
// Keys lie transposed in panels of 16, [layer][page][head][panel][dim][16]; values row-major,
// [layer][page][head][key][dim_v rounded up to 16]; scales of i8 beside them, [layer][page][head]
// [key].
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/buffer.h"
#include "regard/kv_cache.h"
#include "regard/view.h"
#include "tiles/fold.h"

namespace regard {

class KvPages {
 public:
  // Throws Error for a shape outside KvCacheShape's rules, or when memory is short.
  explicit KvPages(const KvCacheShape& shape);

  const KvCacheShape& shape() const noexcept { return shape_; }
  int64_t padded_dim_v() const noexcept { return padded_dim_v_; }

  // key_panel: [dim][16]; value_row: [dim_v padded].
  const std::byte* key_panel(int64_t layer, int64_t page, int64_t head,
                             int64_t panel) const noexcept;
  const std::byte* value_row(int64_t layer, int64_t page, int64_t head, int64_t key) const noexcept;
  // The scales of a panel's keys or values, [16], where they are stored as i8.
  const float* key_scales(int64_t layer, int64_t page, int64_t head, int64_t panel) const noexcept;
  const float* value_scales(int64_t layer, int64_t page, int64_t head,
                            int64_t panel) const noexcept;
  // May a value of this panel of 16 keys (or its scale) be NaN or infinite?
  bool special(int64_t layer, int64_t page, int64_t head, int64_t panel) const noexcept;

  // Number d of one key or value, as stored (times its scale).
  float key_number(int64_t layer, int64_t page, int64_t head, int64_t key,
                   int64_t d) const noexcept;
  float value_number(int64_t layer, int64_t page, int64_t head, int64_t key,
                     int64_t d) const noexcept;

  // KvCache::append, on a pool if one is given and the work is worth it. Allocates nothing once it
  // has seen the most keys.
  void append(int64_t layer, std::span<const Segment> segments, View<const float, 3> k,
              View<const float, 3> v, const KeyRotation& rotation, ThreadPool* pool);

 private:
  static constexpr int64_t kMostDim = 1024;

  // Keys [key, key + count) of a sequence, of one panel: rows [row, row + count) of k and v.
  struct Job {
    int64_t row, key;
    int32_t page, in_page, count;
  };
  // The index of a panel, counted through all layers, pages and heads.
  int64_t panel_index(int64_t layer, int64_t page, int64_t head, int64_t panel) const noexcept;
  void add_jobs(const Segment& segment, int64_t rows_of_k);
  void check_rotation(const KeyRotation& rotation, int64_t rows_of_k) const;
  void write(int64_t layer, const Job& job, View<const float, 3> k, View<const float, 3> v,
             const KeyRotation& rotation) noexcept;
  void write_keys(int64_t layer, const Job& job, int64_t head, const float* rows, int64_t key_step,
                  int64_t dim_step) noexcept;
  void write_values(int64_t layer, const Job& job, int64_t head, const float* rows,
                    int64_t key_step, int64_t dim_step) noexcept;

  KvCacheShape shape_;
  int64_t padded_dim_v_ = 0;
  Buffer keys_, values_;
  Buffer key_scales_, value_scales_;
  std::vector<uint8_t> special_;  // [layer][page][head][panel]
  // Of the append at hand, kept for the memory.
  std::vector<Job> jobs_;
  std::vector<int32_t> written_;  // pages
};

}  // namespace regard
