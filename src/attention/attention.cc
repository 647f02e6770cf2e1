// The public operator over plain arrays, and single rows of a map.
#include "attention/attention.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "attention/key_source.h"
#include "attention/ranges.h"
#include "attention/rules.h"
#include "base/shared_pool.h"
#include "base/check.h"

namespace regard {
namespace {

using Input = View<const float, 3>;

// Every rule that needs no output.
void check_inputs(const Input& q, const Input& k, const Input& v, const AttentionOptions& options) {
  for (const auto& [name, shape] : {std::pair{"q", q.shape}, {"k", k.shape}, {"v", v.shape}}) {
    require(shape[0] >= 0 && shape[1] >= 0 && shape[2] >= 0,
            "attention: {} is {} x {} x {}; no size may be negative", name, shape[0], shape[1],
            shape[2]);
  }
  const int64_t heads = q.shape[1], kv_heads = k.shape[1], dim = q.shape[2], dim_v = v.shape[2];
  require(k.shape[2] == dim, "attention: k has dim {}, q has {}", k.shape[2], dim);
  require(v.shape[0] == k.shape[0] && v.shape[1] == kv_heads,
          "attention: v has {} keys of {} heads, k has {} of {}", v.shape[0], v.shape[1],
          k.shape[0], kv_heads);
  require(kv_heads > 0 ? heads % kv_heads == 0 : heads == 0,
          "attention: heads ({}) is not a multiple of kv_heads ({})", heads, kv_heads);
  require(dim <= 1024 && dim_v <= 1024, "attention: dim ({}) and dim_v ({}) must be at most 1024",
          dim, dim_v);
  require(options.threads >= 0 && options.threads <= 1024,
          "attention: threads ({}) is not in 0 .. 1024", options.threads);
  require(!options.scale || *options.scale - *options.scale == 0.0f,
          "attention: scale ({}) is not a finite number", options.scale.value_or(0.0f));
}

bool nothing_to_do(const Input& q, const Input& v) {
  return q.shape[0] == 0 || q.shape[1] == 0 || v.shape[2] == 0;
}

AttentionPlan plan_for(const Input& q, const Input& k, const Input& v,
                       const AttentionOptions& options) {
  const int64_t dim = q.shape[2];
  const Segment segment{0, q.shape[0], k.shape[0], {}};
  return AttentionPlan({q.shape[1], k.shape[1], std::max<int64_t>(dim, 1), v.shape[2]},
                       {&segment, 1}, options);
}

}  // namespace

std::string explain(InputView<3> q_any, InputView<3> k_any, InputView<3> v_any,
                    const AttentionOptions& options) {
  const Input q = q_any.as<float>(), k = k_any.as<float>(), v = v_any.as<float>();
  check_inputs(q, k, v, options);
  if (nothing_to_do(q, v)) return "nothing to compute: out has no element";
  return plan_for(q, k, v, options).explain();
}

void attention(InputView<3> q_any, InputView<3> k_any, InputView<3> v_any, OutputView<3> out_any,
               const AttentionOptions& options, View<float, 2> lse) {
  Input q = q_any.as<float>(), k = k_any.as<float>(), v = v_any.as<float>();
  const View<float, 3> out = out_any.as<float>();
  check_inputs(q, k, v, options);
  const int64_t tokens = q.shape[0], heads = q.shape[1], dim = q.shape[2];
  const int64_t keys = k.shape[0], kv_heads = k.shape[1], dim_v = v.shape[2];
  require(out.shape[0] == tokens && out.shape[1] == heads && out.shape[2] == dim_v,
          "attention: out is {} x {} x {}, must be {} x {} x {}", out.shape[0], out.shape[1],
          out.shape[2], tokens, heads, dim_v);
  require(lse.data == nullptr || (lse.shape[0] == tokens && lse.shape[1] == heads),
          "attention: lse is {} x {}, must be {} x {}", lse.shape[0], lse.shape[1], tokens, heads);
  const Range outputs[] = {range_of(out), lse.data != nullptr ? range_of(lse) : Range{0, 0}};
  const std::pair<const char*, Range> inputs[] = {
      {"q", range_of(q)}, {"k", range_of(k)}, {"v", range_of(v)}};
  for (const auto& [input, range] : inputs) {
    require(!overlap(outputs[0], range) && !overlap(outputs[1], range),
            "attention: an output overlaps {}; give it memory of its own", input);
  }
  require(!overlap(outputs[0], outputs[1]), "attention: out and lse overlap");
  require(lse.data == nullptr || dim_v > 0 || lse.size() == 0,
          "attention: lse is not offered for dim_v 0");
  if (nothing_to_do(q, v)) return;

  AttentionPlan plan = plan_for(q, k, v, options);
  // With dim 0 every score is 0, as the empty sum is: one zero in place of the missing number.
  static const float kZero = 0.0f;
  if (dim == 0) {
    q = View<const float, 3>(&kZero, {tokens, heads, 1}, {0, 0, 0});
    k = View<const float, 3>(&kZero, {keys, kv_heads, 1}, {0, 0, 0});
  }
  const SharedPool pool(options.threads);
  plan.run(StridedKeys(k, v), q, out, *pool, lse);
}

RowOfMap attention_row(const KvCache& cache, int64_t layer, std::span<const int32_t> block_table,
                       int64_t keys, int64_t kv_head, View<const float, 1> q, float scale) {
  const KvCacheShape& shape = cache.shape();
  require(q.shape[0] == shape.dim, "attention row: q has dim {}, the cache {}", q.shape[0],
          shape.dim);
  require(layer >= 0 && layer < shape.layers && kv_head >= 0 && kv_head < shape.kv_heads,
          "attention row: the cache has {} layers of {} heads, not layer {} head {}", shape.layers,
          shape.kv_heads, layer, kv_head);
  require(keys >= 0 && keys <= static_cast<int64_t>(block_table.size()) * shape.page_keys,
          "attention row: a block table of {} pages holds no {} keys", block_table.size(), keys);
  for (int64_t i = 0; i * shape.page_keys < keys; ++i) {
    require(block_table[i] >= 0 && block_table[i] < shape.pages,
            "attention row: the block table names page {} of {}", block_table[i], shape.pages);
  }

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
    const int32_t visible[1] = {count};
    fold_tile(packed.data(), shape.dim, 1, visible, tile, {}, nullptr, key % kChunkKeys == 0, chunk,
              scratch.data());
    if (key + count == keys || (key + kTileKeys) % kChunkKeys == 0) {
      merge_chunk(chunk, 1, key < kChunkKeys, total);
    }
  }
  weigh_row(row.scores.data(), keys, total.m[0], total.l[0], row.weights.data());
  float* const no_out[1] = {scratch.data()};
  float* const lse[1] = {&row.lse};
  finish_rows(total, 1, 0, no_out, 1, lse);
  return row;
}

}  // namespace regard
