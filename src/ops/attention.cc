// Attention over a cache of keys and values, or over the keys of one step.

#include "ops/ops.h"
#include "tensor/pool.h"

namespace regard {

void append(const Tensor& k, const Tensor& v, KvCache& cache, int64_t layer,
            std::span<const Segment> segments) {
  cache.append(layer, segments, k.view<float, 3>(), v.view<float, 3>(), {}, current_pool());
}

Tensor attention(const Tensor& q, const Tensor& k, const Tensor& v, KvCache& cache, int64_t layer,
                 std::span<const Segment> segments, AttentionPlan& plan) {
  cache.append(layer, segments, k.view<float, 3>(), v.view<float, 3>(), {}, current_pool());
  return attention(q, cache, layer, plan);
}

Tensor attention(const Tensor& q, const KvCache& cache, int64_t layer, AttentionPlan& plan) {
  const auto queries = q.view<float, 3>();
  Tensor mixed({queries.shape[0], queries.shape[1], cache.shape().dim_v});
  plan.run(cache, layer, queries, mixed.writable<float, 3>(), current_pool());
  return mixed;
}

Tensor attention(const Tensor& q, const Tensor& k, const Tensor& v, AttentionPlan& plan) {
  const auto queries = q.view<float, 3>();
  const auto values = v.view<float, 3>();
  Tensor mixed({queries.shape[0], queries.shape[1], values.shape[2]});
  plan.run(queries, k.view<float, 3>(), values, mixed.writable<float, 3>(), current_pool());
  return mixed;
}

}  // namespace regard
