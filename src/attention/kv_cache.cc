#include "attention/kv_cache.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "tiles/int8.h"

namespace regard {
namespace {

bool is_cache_dtype(DType dtype) {
  return dtype == DType::f32 || dtype == DType::f16 || dtype == DType::bf16 || dtype == DType::i8;
}

}  // namespace

KvCache::KvCache(const KvCacheShape& shape) : shape_(shape) {
  require(shape.page_keys == 16 || shape.page_keys == 32 || shape.page_keys == 64,
          "kv cache: page_keys ({}) is not 16, 32 or 64", shape.page_keys);
  require(shape.layers > 0 && shape.layers <= 4096, "kv cache: layers ({}) is not in 1 .. 4096",
          shape.layers);
  require(shape.kv_heads > 0 && shape.kv_heads <= 65536,
          "kv cache: kv_heads ({}) is not in 1 .. 65536", shape.kv_heads);
  require(shape.dim > 0 && shape.dim <= 1024 && shape.dim_v > 0 && shape.dim_v <= 1024,
          "kv cache: dim ({}) and dim_v ({}) must be in 1 .. 1024", shape.dim, shape.dim_v);
  require(shape.pages >= 0 && shape.pages <= INT32_MAX,
          "kv cache: pages ({}) is not in 0 .. 2^31-1", shape.pages);
  require(is_cache_dtype(shape.k_dtype) && is_cache_dtype(shape.v_dtype),
          "kv cache: keys ({}) and values ({}) must be f32, f16, bf16 or i8",
          info(shape.k_dtype).name, info(shape.v_dtype).name);
  padded_dim_v_ = (shape.dim_v + 15) / 16 * 16;
  // The largest product, 2^12 · 2^31 · 2^6 · 2^16 · 2^12, needs more than 64 bits.
  const auto keys =
      static_cast<__int128>(shape.layers) * shape.pages * shape.page_keys * shape.kv_heads;
  const __int128 limit = INT64_MAX / 4096;
  if (keys > limit / 4) {
    fail(ErrorKind::out_of_memory, "kv cache: no memory for {} pages of {} keys in {} layers",
         shape.pages, shape.page_keys, shape.layers);
  }
  const auto count = static_cast<int64_t>(keys);
  keys_ = Buffer(static_cast<std::size_t>(count * row_bytes(shape.k_dtype, shape.dim)),
                 "kv cache keys");
  values_ = Buffer(static_cast<std::size_t>(count * row_bytes(shape.v_dtype, padded_dim_v_)),
                   "kv cache values");
  const std::size_t scale_bytes = static_cast<std::size_t>(count) * sizeof(float);
  if (shape.k_dtype == DType::i8) key_scales_ = Buffer(scale_bytes, "kv cache key scales");
  if (shape.v_dtype == DType::i8) value_scales_ = Buffer(scale_bytes, "kv cache value scales");
  special_.assign(static_cast<std::size_t>(count / kPanelKeys), 0);
}

int64_t KvCache::bytes() const noexcept {
  const int64_t keys = shape_.layers * shape_.pages * shape_.page_keys * shape_.kv_heads;
  return keys * (row_bytes(shape_.k_dtype, shape_.dim) + row_bytes(shape_.v_dtype, shape_.dim_v)) +
         static_cast<int64_t>(key_scales_.size() + value_scales_.size());
}

int64_t KvCache::panel_index(int64_t layer, int64_t page, int64_t head,
                             int64_t panel) const noexcept {
  return ((layer * shape_.pages + page) * shape_.kv_heads + head) *
             (shape_.page_keys / kPanelKeys) +
         panel;
}

const std::byte* KvCache::key_panel(int64_t layer, int64_t page, int64_t head,
                                    int64_t panel) const noexcept {
  return keys_.data() +
         panel_index(layer, page, head, panel) * row_bytes(shape_.k_dtype, shape_.dim * kPanelKeys);
}

const std::byte* KvCache::value_row(int64_t layer, int64_t page, int64_t head,
                                    int64_t key) const noexcept {
  const int64_t row = panel_index(layer, page, head, 0) * kPanelKeys + key;
  return values_.data() + row * row_bytes(shape_.v_dtype, padded_dim_v_);
}

const float* KvCache::key_scales(int64_t layer, int64_t page, int64_t head,
                                 int64_t panel) const noexcept {
  return key_scales_.as<float>() + panel_index(layer, page, head, panel) * kPanelKeys;
}

const float* KvCache::value_scales(int64_t layer, int64_t page, int64_t head,
                                   int64_t panel) const noexcept {
  return value_scales_.as<float>() + panel_index(layer, page, head, panel) * kPanelKeys;
}

bool KvCache::special(int64_t layer, int64_t page, int64_t head, int64_t panel) const noexcept {
  return special_[static_cast<std::size_t>(panel_index(layer, page, head, panel))] != 0;
}

// Keys of one page, panel and head: k [count, dim], v [count, dim_v], count <= 16 - in_page mod 16.
void KvCache::write(int64_t layer, int64_t page, int64_t head, int64_t in_page,
                    View<const float, 2> k, View<const float, 2> v) {
  const int64_t panel = in_page / kPanelKeys;
  const int lane = static_cast<int>(in_page % kPanelKeys), count = static_cast<int>(k.shape[0]);
  const int64_t value_bytes = row_bytes(shape_.v_dtype, padded_dim_v_);
  const auto keys = const_cast<std::byte*>(key_panel(layer, page, head, panel));
  const auto values = const_cast<std::byte*>(value_row(layer, page, head, in_page));
  const auto k_scales = const_cast<float*>(key_scales(layer, page, head, panel));
  const auto v_scales = const_cast<float*>(value_scales(layer, page, head, panel));
  uint8_t& special = special_[static_cast<std::size_t>(panel_index(layer, page, head, panel))];
  if (lane == 0) {
    special = 0;
    // Rows of a former owner must not be seen as values of this sequence's panel.
    std::memset(values, 0, static_cast<std::size_t>(kPanelKeys * value_bytes));
  }
  if (shape_.k_dtype == DType::i8) {
    quantise_keys(k.data, k.strides[0], k.strides[1], shape_.dim, count, lane,
                  reinterpret_cast<int8_t*>(keys), k_scales);
  } else {
    pack_keys(k.data, k.strides[0], k.strides[1], shape_.dim, count, lane, shape_.k_dtype, keys);
  }
  for (int i = 0; i < count; ++i) {
    const float* const row = v[i].data;
    std::byte* const to = values + i * value_bytes;
    const bool finite =
        shape_.v_dtype == DType::i8
            ? quantise_value(row, v.strides[1], shape_.dim_v, padded_dim_v_,
                             reinterpret_cast<int8_t*>(to), v_scales + lane + i)
            : pack_values(row, v.strides[1], shape_.dim_v, padded_dim_v_, shape_.v_dtype, to);
    if (!finite) special = 1;
  }
}

void KvCache::append(int64_t layer, std::span<const int32_t> block_table, int64_t first_key,
                     View<const float, 3> k, View<const float, 3> v) {
  const int64_t tokens = k.shape[0];
  require(layer >= 0 && layer < shape_.layers, "kv cache: layer {} is not in 0 .. {}", layer,
          shape_.layers - 1);
  require(k.shape[1] == shape_.kv_heads && k.shape[2] == shape_.dim,
          "kv cache: k has {} heads of {}, the cache {} of {}", k.shape[1], k.shape[2],
          shape_.kv_heads, shape_.dim);
  require(v.shape[0] == tokens && v.shape[1] == shape_.kv_heads && v.shape[2] == shape_.dim_v,
          "kv cache: v is {} x {} x {}, must be {} x {} x {}", v.shape[0], v.shape[1], v.shape[2],
          tokens, shape_.kv_heads, shape_.dim_v);
  const int64_t room = static_cast<int64_t>(block_table.size()) * shape_.page_keys;
  require(first_key >= 0 && first_key + tokens <= room,
          "kv cache: keys {} .. {} do not fit {} pages of {}", first_key, first_key + tokens - 1,
          block_table.size(), shape_.page_keys);
  const int64_t end = first_key + tokens;
  for (int64_t at = first_key / shape_.page_keys; at * shape_.page_keys < end; ++at) {
    require(block_table[at] >= 0 && block_table[at] < shape_.pages,
            "kv cache: block table names page {} of {}", block_table[at], shape_.pages);
  }

  for (int64_t key = first_key; key < end;) {
    const int64_t page = block_table[key / shape_.page_keys];
    const int64_t in_page = key % shape_.page_keys;
    const int64_t count = std::min(end - key, kPanelKeys - in_page % kPanelKeys);
    const View<const float, 3> from_k = k.rows(key - first_key, count);
    const View<const float, 3> from_v = v.rows(key - first_key, count);
    for (int64_t head = 0; head < shape_.kv_heads; ++head) {
      write(layer, page, head, in_page,
            {&from_k(0, head, 0), {count, shape_.dim}, {k.strides[0], k.strides[2]}},
            {&from_v(0, head, 0), {count, shape_.dim_v}, {v.strides[0], v.strides[2]}});
    }
    key += count;
  }
}

}  // namespace regard
