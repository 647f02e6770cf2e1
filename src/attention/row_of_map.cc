// Rows of maps, recomputed on demand over the pages of a cache.
#include <algorithm>
#include <limits>

#include "attention/attention.h"
#include "attention/key_source.h"
#include "base/check.h"
#include "plan/engine.h"

namespace regard {
namespace {

void check_row(const KvCacheShape& shape, int64_t layer, std::span<const int32_t> block_table,
               int64_t keys, int64_t dim) {
  require(dim == shape.dim, "attention row: q has dim {}, the cache {}", dim, shape.dim);
  require(layer >= 0 && layer < shape.layers, "attention row: layer {} is not in 0 .. {}", layer,
          shape.layers - 1);
  require(keys >= 0 && keys <= std::ssize(block_table) * shape.page_keys,
          "attention row: a block table of {} pages holds no {} keys", block_table.size(), keys);
  for (int64_t i = 0; i * shape.page_keys < keys; ++i) {
    require(block_table[i] >= 0 && block_table[i] < shape.pages,
            "attention row: the block table names page {} of {}", block_table[i], shape.pages);
  }
}

}  // namespace

RowOfMap attention_row(const KvCache& cache, int64_t layer, std::span<const int32_t> block_table,
                       int64_t keys, int64_t kv_head, View<const float, 1> q, float scale) {
  const KvCacheShape& shape = cache.shape();
  check_row(shape, layer, block_table, keys, q.shape[0]);
  require(kv_head >= 0 && kv_head < shape.kv_heads,
          "attention row: the cache has {} heads, not head {}", shape.kv_heads, kv_head);

  // m and l come from the kernel itself, so that weights are those that made the output.
  RowOfMap row;
  row.scores.resize(static_cast<std::size_t>(keys));
  row.weights.resize(static_cast<std::size_t>(keys));
  std::vector<float> packed(static_cast<std::size_t>(kPackedRows * shape.dim));
  pack_queries(&q.data, q.strides[0], 1, shape.dim, scale, packed.data());
  const int64_t columns = round_up(shape.dim_v, 16);
  std::vector<float> memory(static_cast<std::size_t>(16 + 16 * 16 + 2 * columns + 2));
  const FoldState chunk{memory.data(), memory.data() + 16, memory.data() + 16 + 256, columns};
  const RowState total{memory.data() + 16 + 256 + columns, memory.data() + 16 + 256 + columns + 1,
                       memory.data() + 16 + 256 + columns + 2, columns};
  std::vector<float> scratch(kTileKeys + 512);
  const Segment segment{0, 1, keys, block_table};
  const PagedKeys source(cache, layer);
  total.m[0] = -std::numeric_limits<float>::infinity();
  for (int64_t key = 0; key < keys; key += kTileKeys) {
    const int count = static_cast<int>(std::min<int64_t>(kTileKeys, keys - key));
    const KeyTile tile = source.tile(segment, kv_head, key, count, {});
    score_row(packed.data(), shape.dim, tile, scratch.data());
    std::copy_n(scratch.data(), count, row.scores.data() + key);
    const KeySpan seen{0, count};
    fold_tile(
        {.q = packed.data(), .dim = shape.dim, .rows = 1, .seen = &seen, .scores = scratch.data()},
        tile, {}, key % kChunkKeys == 0, chunk);
    if (key + count == keys || (key + kTileKeys) % kChunkKeys == 0) {
      merge_chunk(Weighing::softmax, chunk, 1, key < kChunkKeys, total);
    }
  }
  weigh_row(row.scores.data(), keys, total.m[0], total.l[0], row.weights.data());
  void* const no_out[1] = {scratch.data()};
  float* const lse[1] = {&row.lse};
  finish_rows(Weighing::softmax, total, 1, {.out_of_row = no_out, .lse_of_row = lse});
  return row;
}

RowsOfMap attention_rows(const KvCache& cache, int64_t layer, const Segment& segment,
                         InputView<2> q, const AttentionOptions& options) {
  const KvCacheShape& shape = cache.shape();
  check_row(shape, layer, segment.block_table, segment.keys, q.shape[1]);
  require(segment.rows == 1, "attention row: the segment has {} rows, not one", segment.rows);
  const int64_t heads = q.shape[0], keys = segment.keys;
  Segment row = segment;
  row.first_row = row.slab = 0;
  Engine engine(
      {.heads = heads, .kv_heads = shape.kv_heads, .dim = shape.dim, .dim_v = shape.dim_v},
      {&row, 1}, options, 1, {.by_products = true});
  RowsOfMap rows;
  rows.scores.resize(static_cast<std::size_t>(heads * keys));
  rows.weights.resize(rows.scores.size());
  std::vector<float> out(static_cast<std::size_t>(heads * shape.dim_v));
  CallArrays arrays{{q.data, q.dtype, {1, 1, heads, shape.dim}, {0, 0, q.strides[0], q.strides[1]}},
                    OutputView<4>(View<float, 4>(out.data(), {1, 1, heads, shape.dim_v}))};
  if (options.normaliser.kind == Normaliser::Kind::softmax) {
    rows.lse.resize(static_cast<std::size_t>(heads));
    arrays.extras.lse = {rows.lse.data(), {1, 1, heads}};
  }
  arrays.extras.masked = {rows.scores.data(), {1, 1, heads, keys}};
  arrays.extras.weights = {rows.weights.data(), {1, 1, heads, keys}};
  ThreadPool pool(1);
  engine.run(PagedKeys(cache, layer), arrays, pool);
  return rows;
}

}  // namespace regard
