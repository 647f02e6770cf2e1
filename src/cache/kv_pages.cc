// How a cache lies in memory; keys and values written.
#include "cache/kv_pages.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "base/threads.h"
#include "cache/int8.h"
#include "cache/rotate.h"
#include "regard/half.h"

namespace regard {
namespace {

// Fewer numbers than this are written before another thread would have begun.
constexpr int64_t kWorthThreads = int64_t{1} << 15;

bool is_cache_dtype(DType dtype) {
  return dtype == DType::f32 || dtype == DType::f16 || dtype == DType::bf16 || dtype == DType::i8;
}

// Number i of those that begin at `from`.
float widened(const std::byte* from, DType dtype, int64_t i) noexcept {
  switch (dtype) {
    case DType::f16:
      return to_f32(reinterpret_cast<const f16*>(from)[i]);
    case DType::bf16:
      return to_f32(reinterpret_cast<const bf16*>(from)[i]);
    case DType::i8:
      return static_cast<float>(reinterpret_cast<const int8_t*>(from)[i]);
    default:
      return reinterpret_cast<const float*>(from)[i];
  }
}

}  // namespace

KvPages::KvPages(const KvCacheShape& shape) : shape_(shape) {
  require(shape.page_keys == 16 || shape.page_keys == 32 || shape.page_keys == 64,
          "kv cache: page_keys ({}) is not 16, 32 or 64", shape.page_keys);
  require(shape.layers > 0 && shape.layers <= 4096, "kv cache: layers ({}) is not in 1 .. 4096",
          shape.layers);
  require(shape.kv_heads > 0 && shape.kv_heads <= 65536,
          "kv cache: kv_heads ({}) is not in 1 .. 65536", shape.kv_heads);
  require(shape.dim > 0 && shape.dim <= kMostDim && shape.dim_v > 0 && shape.dim_v <= kMostDim,
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

int64_t KvPages::panel_index(int64_t layer, int64_t page, int64_t head,
                             int64_t panel) const noexcept {
  return ((layer * shape_.pages + page) * shape_.kv_heads + head) *
             (shape_.page_keys / kPanelKeys) +
         panel;
}

const std::byte* KvPages::key_panel(int64_t layer, int64_t page, int64_t head,
                                    int64_t panel) const noexcept {
  return keys_.data() +
         panel_index(layer, page, head, panel) * row_bytes(shape_.k_dtype, shape_.dim * kPanelKeys);
}

const std::byte* KvPages::value_row(int64_t layer, int64_t page, int64_t head,
                                    int64_t key) const noexcept {
  const int64_t row = panel_index(layer, page, head, 0) * kPanelKeys + key;
  return values_.data() + row * row_bytes(shape_.v_dtype, padded_dim_v_);
}

const float* KvPages::key_scales(int64_t layer, int64_t page, int64_t head,
                                 int64_t panel) const noexcept {
  return key_scales_.as<float>() + panel_index(layer, page, head, panel) * kPanelKeys;
}

const float* KvPages::value_scales(int64_t layer, int64_t page, int64_t head,
                                   int64_t panel) const noexcept {
  return value_scales_.as<float>() + panel_index(layer, page, head, panel) * kPanelKeys;
}

bool KvPages::special(int64_t layer, int64_t page, int64_t head, int64_t panel) const noexcept {
  return special_[static_cast<std::size_t>(panel_index(layer, page, head, panel))] != 0;
}

float KvPages::key_number(int64_t layer, int64_t page, int64_t head, int64_t key,
                          int64_t d) const noexcept {
  const int64_t panel = key / kPanelKeys, lane = key % kPanelKeys;
  const float stored =
      widened(key_panel(layer, page, head, panel), shape_.k_dtype, d * kPanelKeys + lane);
  return shape_.k_dtype == DType::i8 ? stored * key_scales(layer, page, head, panel)[lane] : stored;
}

float KvPages::value_number(int64_t layer, int64_t page, int64_t head, int64_t key,
                            int64_t d) const noexcept {
  const float stored = widened(value_row(layer, page, head, key), shape_.v_dtype, d);
  if (shape_.v_dtype != DType::i8) return stored;
  return stored * value_scales(layer, page, head, key / kPanelKeys)[key % kPanelKeys];
}

void KvPages::write_keys(int64_t layer, const Job& job, int64_t head, const float* rows,
                         int64_t key_step, int64_t dim_step) noexcept {
  const int64_t panel = job.in_page / kPanelKeys;
  const int lane = static_cast<int>(job.in_page % kPanelKeys);
  const auto keys = const_cast<std::byte*>(key_panel(layer, job.page, head, panel));
  if (shape_.k_dtype == DType::i8) {
    quantise_keys(rows, key_step, dim_step, shape_.dim, job.count, lane,
                  reinterpret_cast<int8_t*>(keys),
                  const_cast<float*>(key_scales(layer, job.page, head, panel)));
  } else {
    pack_keys(rows, key_step, dim_step, shape_.dim, job.count, lane, shape_.k_dtype, keys);
  }
}

void KvPages::write_values(int64_t layer, const Job& job, int64_t head, const float* rows,
                           int64_t key_step, int64_t dim_step) noexcept {
  const int64_t panel = job.in_page / kPanelKeys, lane = job.in_page % kPanelKeys;
  const int64_t value_bytes = row_bytes(shape_.v_dtype, padded_dim_v_);
  const auto values = const_cast<std::byte*>(value_row(layer, job.page, head, job.in_page));
  float* const scales = shape_.v_dtype == DType::i8
                            ? const_cast<float*>(value_scales(layer, job.page, head, panel)) + lane
                            : nullptr;
  uint8_t& special = special_[static_cast<std::size_t>(panel_index(layer, job.page, head, panel))];
  if (lane == 0) {
    special = 0;
    // Rows of a former owner must not be seen as values of this sequence's panel.
    std::memset(values, 0, static_cast<std::size_t>(kPanelKeys * value_bytes));
  }
  for (int i = 0; i < job.count; ++i) {
    const float* const row = rows + i * key_step;
    std::byte* const to = values + i * value_bytes;
    const bool finite =
        shape_.v_dtype == DType::i8
            ? quantise_value(row, dim_step, shape_.dim_v, padded_dim_v_,
                             reinterpret_cast<int8_t*>(to), scales + i)
            : pack_values(row, dim_step, shape_.dim_v, padded_dim_v_, shape_.v_dtype, to);
    if (!finite) special = 1;
  }
}

void KvPages::write(int64_t layer, const Job& job, View<const float, 3> k, View<const float, 3> v,
                    const KeyRotation& rotation) noexcept {
  alignas(64) float turned[kPanelKeys * kMostDim];  // one head's keys, on their way
  const float* cosines[kPanelKeys];
  const float* sines[kPanelKeys];
  for (int i = 0; i < job.count && rotation.table != nullptr; ++i) {
    const int64_t at = rotation.positions.empty()
                           ? job.key + i
                           : rotation.positions[static_cast<std::size_t>(job.row + i)];
    cosines[i] = rotation.table->cosines(at);
    sines[i] = rotation.table->sines(at);
  }
  for (int64_t head = 0; head < shape_.kv_heads; ++head) {
    const float* const keys = &k(job.row, head, 0);
    if (rotation.table == nullptr) {
      write_keys(layer, job, head, keys, k.strides[0], k.strides[2]);
    } else {
      rotate_keys(keys, k.strides[0], k.strides[2], shape_.dim, job.count, cosines, sines,
                  rotation.table->dim(), rotation.layout == RopeLayout::pairs, turned);
      write_keys(layer, job, head, turned, shape_.dim, 1);
    }
    write_values(layer, job, head, &v(job.row, head, 0), v.strides[0], v.strides[2]);
  }
}

// Cuts a segment's new keys into panels.
void KvPages::add_jobs(const Segment& segment, int64_t rows_of_k) {
  const int64_t first_key = segment.keys - segment.rows, end = segment.keys;
  require(
      segment.rows >= 0 && segment.first_row >= 0 && segment.rows <= rows_of_k - segment.first_row,
      "kv cache: a segment has rows {} .. {}, there are {}", segment.first_row,
      segment.first_row + segment.rows - 1, rows_of_k);
  const auto pages = static_cast<int64_t>(segment.block_table.size());
  require(first_key >= 0 && end <= pages * shape_.page_keys,
          "kv cache: keys {} .. {} do not fit {} pages of {}", first_key, end - 1, pages,
          shape_.page_keys);
  for (int64_t key = first_key; key < end;) {
    const int32_t page = segment.block_table[static_cast<std::size_t>(key / shape_.page_keys)];
    require(page >= 0 && page < shape_.pages, "kv cache: block table names page {} of {}", page,
            shape_.pages);
    const int64_t in_page = key % shape_.page_keys;
    if (in_page == 0 || key == first_key) written_.push_back(page);
    const int64_t count = std::min(end - key, kPanelKeys - in_page % kPanelKeys);
    jobs_.push_back({segment.first_row + key - first_key, key, page, static_cast<int32_t>(in_page),
                     static_cast<int32_t>(count)});
    key += count;
  }
}

void KvPages::check_rotation(const KeyRotation& rotation, int64_t rows_of_k) const {
  const RopeTable& table = *rotation.table;
  require(table.dim() <= shape_.dim, "kv cache: {} rotated numbers in keys of {}", table.dim(),
          shape_.dim);
  const auto given = static_cast<int64_t>(rotation.positions.size());
  require(given == 0 || given == rows_of_k, "kv cache: {} positions for {} keys", given, rows_of_k);
  for (const Job& job : jobs_) {
    for (int i = 0; i < job.count; ++i) {
      const int64_t at =
          given == 0 ? job.key + i : rotation.positions[static_cast<std::size_t>(job.row + i)];
      require(at >= 0 && at < table.positions(),
              "kv cache: position {} is not in the rotation's table of {}", at, table.positions());
    }
  }
}

void KvPages::append(int64_t layer, std::span<const Segment> segments, View<const float, 3> k,
                     View<const float, 3> v, const KeyRotation& rotation, ThreadPool* pool) {
  const int64_t tokens = k.shape[0];
  require(layer >= 0 && layer < shape_.layers, "kv cache: layer {} is not in 0 .. {}", layer,
          shape_.layers - 1);
  require(k.shape[1] == shape_.kv_heads && k.shape[2] == shape_.dim,
          "kv cache: k has {} heads of {}, the cache {} of {}", k.shape[1], k.shape[2],
          shape_.kv_heads, shape_.dim);
  require(v.shape[0] == tokens && v.shape[1] == shape_.kv_heads && v.shape[2] == shape_.dim_v,
          "kv cache: v is {} x {} x {}, must be {} x {} x {}", v.shape[0], v.shape[1], v.shape[2],
          tokens, shape_.kv_heads, shape_.dim_v);
  jobs_.clear();
  written_.clear();
  for (const Segment& segment : segments) add_jobs(segment, tokens);
  std::sort(written_.begin(), written_.end());
  const auto twice = std::adjacent_find(written_.begin(), written_.end());
  require(twice == written_.end(),
          "kv cache: page {} would be written for two places of a sequence",
          twice == written_.end() ? 0 : *twice);
  if (rotation.table != nullptr) check_rotation(rotation, tokens);

  const auto jobs = static_cast<int64_t>(jobs_.size());
  const auto work = [&](int64_t index, int) {
    write(layer, jobs_[static_cast<std::size_t>(index)], k, v, rotation);
  };
  const int64_t numbers = jobs * kPanelKeys * shape_.kv_heads * (shape_.dim + shape_.dim_v);
  if (pool != nullptr && pool->threads() > 1 && jobs > 1 && numbers >= kWorthThreads) {
    pool->parallel_for(jobs, work);
  } else {
    const DefaultFloatMode mode;
    for (int64_t i = 0; i < jobs; ++i) work(i, 0);
  }
}

}  // namespace regard
