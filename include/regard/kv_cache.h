// KvCache: the keys and values of many sequences in pages, as attention reads them.
//
// A page holds page_keys consecutive keys of one sequence, with their values, for every kv head of
// every layer. A sequence is its block table: page ids in order, key j in page
// block_table[j / page_keys]. Who gets which page is the caller's business. Two sequences may name
// the same page (a shared prefix) while neither writes to it. What lies in a page behind a
// sequence's last key is never used.
//
// Attention reads what is stored: keys and values are rounded once, when they are appended. Results
// do not depend on page_keys, on which pages a sequence has, or on how its keys were cut into
// appends (docs/bits.md).
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "regard/attention.h"
#include "regard/dtype.h"
#include "regard/rope.h"
#include "regard/view.h"

namespace regard {

class KvPages;
class ThreadPool;

struct KvCacheShape {
  int64_t layers = 1;
  int64_t pages = 0;
  int64_t page_keys = 64;  // 16, 32 or 64
  int64_t kv_heads = 1;
  int64_t dim = 64;
  int64_t dim_v = 64;
  // f32, f16, bf16 or i8, each on its own. i8: each key (or value) of each kv head is whole numbers
  // -127 .. 127 times one f32 scale, max|x| / 127, rounded to nearest even; one that is not finite
  // makes every row that uses it NaN.
  DType k_dtype = DType::f16;
  DType v_dtype = DType::f16;
};

// Keys are turned on their way into the cache, with the bits of rope() in front of append().
struct KeyRotation {
  const RopeTable* table = nullptr;  // null: keys are stored as they are
  RopeLayout layout = RopeLayout::halves;
  std::span<const int32_t> positions = {};  // of each row of k; default: j of each key
};

// Threads: append may not run beside another call on the same cache; everything else may.
class KvCache {
 public:
  // Throws Error for a shape outside these rules, or when memory is short. Memory is taken from
  // the system page by page as keys arrive.
  explicit KvCache(const KvCacheShape& shape);
  ~KvCache();
  KvCache(KvCache&&) noexcept;
  KvCache& operator=(KvCache&&) noexcept;

  const KvCacheShape& shape() const noexcept;
  int64_t bytes() const noexcept;       // what all pages hold when full
  int64_t page_bytes() const noexcept;  // what one page holds, in all layers

  // Writes keys [first_key, first_key + tokens) of one sequence, rounding once to the cache's
  // dtypes. k [tokens, kv_heads, dim], v [tokens, kv_heads, dim_v]. Keys arrive in order: a write
  // at the first key of a panel (a multiple of 16) forgets what the panel held before.
  // Throws Error, before anything is written, when shapes disagree, when the block table is too
  // short or names a page that is not there, or when the table of a rotation lacks a position.
  void append(int64_t layer, std::span<const int32_t> block_table, int64_t first_key,
              View<const float, 3> k, View<const float, 3> v, const KeyRotation& rotation = {});

  // The next keys of many sequences: rows [first_row, first_row + rows) of k and v become the last
  // `rows` of the segment's `keys`. No two segments may write to one page. Nothing depends on
  // threads (0 = all cores) but time.
  void append(int64_t layer, std::span<const Segment> segments, View<const float, 3> k,
              View<const float, 3> v, const KeyRotation& rotation = {}, int threads = 1);
  // The same on a pool that the caller keeps; regard's own rooms have one.
  void append(int64_t layer, std::span<const Segment> segments, View<const float, 3> k,
              View<const float, 3> v, const KeyRotation& rotation, ThreadPool& pool);

  // The numbers that attention reads: keys [first_key, first_key + keys) of a sequence, k [keys,
  // kv_heads, dim], v [keys, kv_heads, dim_v]; either may be left out.
  // Throws Error when shapes disagree or the block table does not reach so far.
  void read(int64_t layer, std::span<const int32_t> block_table, int64_t first_key,
            View<float, 3> k, View<float, 3> v) const;

  // Where the kernels read: cache/kv_pages.h.
  const KvPages& pages() const noexcept { return *pages_; }

 private:
  std::unique_ptr<KvPages> pages_;
};

}  // namespace regard
