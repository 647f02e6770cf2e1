#include "regard/kv_cache.h"

#include <tuple>

#include "base/check.h"
#include "base/shared_pool.h"
#include "cache/kv_pages.h"

namespace regard {

KvCache::KvCache(const KvCacheShape& shape) : pages_(std::make_unique<KvPages>(shape)) {}
KvCache::~KvCache() = default;
KvCache::KvCache(KvCache&&) noexcept = default;
KvCache& KvCache::operator=(KvCache&&) noexcept = default;

const KvCacheShape& KvCache::shape() const noexcept { return pages_->shape(); }

int64_t KvCache::page_bytes() const noexcept {
  const KvCacheShape& s = shape();
  const int64_t k_scale = s.k_dtype == DType::i8 ? 4 : 0, v_scale = s.v_dtype == DType::i8 ? 4 : 0;
  return s.layers * s.page_keys * s.kv_heads *
         (row_bytes(s.k_dtype, s.dim) + k_scale + row_bytes(s.v_dtype, s.dim_v) + v_scale);
}

int64_t KvCache::bytes() const noexcept { return shape().pages * page_bytes(); }

void KvCache::append(int64_t layer, std::span<const int32_t> block_table, int64_t first_key,
                     View<const float, 3> k, View<const float, 3> v, const KeyRotation& rotation) {
  Segment whole;
  whole.rows = k.shape[0];
  whole.keys = first_key + k.shape[0];
  whole.block_table = block_table;
  pages_->append(layer, {&whole, 1}, k, v, rotation, nullptr);
}

void KvCache::append(int64_t layer, std::span<const Segment> segments, View<const float, 3> k,
                     View<const float, 3> v, const KeyRotation& rotation, int threads) {
  if (threads == 1) return pages_->append(layer, segments, k, v, rotation, nullptr);
  const SharedPool pool(threads);
  pages_->append(layer, segments, k, v, rotation, &*pool);
}

void KvCache::append(int64_t layer, std::span<const Segment> segments, View<const float, 3> k,
                     View<const float, 3> v, const KeyRotation& rotation, ThreadPool& pool) {
  pages_->append(layer, segments, k, v, rotation, &pool);
}

void KvCache::read(int64_t layer, std::span<const int32_t> block_table, int64_t first_key,
                   View<float, 3> k, View<float, 3> v) const {
  const KvCacheShape& s = shape();
  require(layer >= 0 && layer < s.layers, "kv cache: layer {} is not in 0 .. {}", layer,
          s.layers - 1);
  for (const auto& [name, view, width] : {std::tuple{"k", k, s.dim}, {"v", v, s.dim_v}}) {
    if (view.data == nullptr) continue;
    require(view.shape[1] == s.kv_heads && view.shape[2] == width,
            "kv cache: {} is {} x {} x {}, the cache has {} heads of {}", name, view.shape[0],
            view.shape[1], view.shape[2], s.kv_heads, width);
    const int64_t end = first_key + view.shape[0];
    require(first_key >= 0 && end <= std::ssize(block_table) * s.page_keys,
            "kv cache: a block table of {} pages does not reach keys {} .. {}", block_table.size(),
            first_key, end - 1);
    for (int64_t key = first_key; key < end; ++key) {
      const int32_t page = block_table[static_cast<std::size_t>(key / s.page_keys)];
      require(page >= 0 && page < s.pages, "kv cache: block table names page {} of {}", page,
              s.pages);
      for (int64_t head = 0; head < s.kv_heads; ++head) {
        for (int64_t d = 0; d < width; ++d) {
          view(key - first_key, head, d) =
              *name == 'k' ? pages_->key_number(layer, page, head, key % s.page_keys, d)
                           : pages_->value_number(layer, page, head, key % s.page_keys, d);
        }
      }
    }
  }
}

}  // namespace regard
