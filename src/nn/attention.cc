#include "nn/attention.h"

#include <utility>

namespace regard::nn {

Tensor Attention::operator()(const Tensor& x, const Step& step) const {
  const int64_t tokens = x.shape(0);
  auto [q, k, v] = linear_fused(x, query.weight(), key.weight(), value.weight());
  q = rotate(std::move(q).reshape({tokens, heads, dim}), step);
  k = rotate(std::move(k).reshape({tokens, kv_heads, dim}), step);
  v = std::move(v).reshape({tokens, kv_heads, dim_v});
  Tensor mixed = attention(q, k, v, *step.cache, layer, step.segments, *step.plan);
  step.show(layer, Site::query, q);
  step.show(layer, Site::key, k);
  step.show(layer, Site::value, v);
  step.show(layer, Site::attended, mixed);
  return output(std::move(mixed).reshape({tokens, heads * dim_v}));
}

}  // namespace regard::nn
