#include "nn/attention.h"

#include <array>
#include <utility>

namespace regard::nn {
namespace {

Tensor split(Tensor x, int64_t heads, int64_t dim) {
  const int64_t tokens = x.shape(0);
  return std::move(x).reshape({tokens, heads, dim});
}

// q of x; k and v of x, or of the step's memory as long as the cache does not have it.
std::array<Tensor, 3> project(const Attention& layer, const Tensor& x, const Step& step) {
  if (!layer.cross) {
    return linear_fused(x, layer.query.weight(), layer.key.weight(), layer.value.weight());
  }
  if (!step.memory) return {layer.query(x), Tensor(), Tensor()};
  auto [k, v] = linear_fused(step.memory, layer.key.weight(), layer.value.weight());
  return {layer.query(x), std::move(k), std::move(v)};
}

Tensor attend(const Tensor& q, const Tensor& k, const Tensor& v, int64_t layer,
              const AttentionStep& at) {
  if (at.cache == nullptr) return attention(q, k, v, *at.plan);
  if (!k) return attention(q, *at.cache, layer, *at.plan);
  const auto stored = at.memory_segments.empty() ? at.segments : at.memory_segments;
  return attention(q, k, v, *at.cache, layer, stored, *at.plan);
}

}  // namespace

Tensor Attention::operator()(const Tensor& x, const Step& step) const {
  auto [q, k, v] = project(*this, x, step);
  q = rotate(query_norm.of_heads(split(std::move(q), heads, dim)), step);
  if (k) k = rotate(key_norm.of_heads(split(std::move(k), kv_heads, dim)), step);
  if (v) v = split(std::move(v), kv_heads, dim_v);
  Tensor mixed = attend(q, k, v, layer, step.kinds[static_cast<std::size_t>(kind)]);
  if (!cross) {
    step.show(layer, Site::query, q);
    step.show(layer, Site::key, k);
    step.show(layer, Site::value, v);
    step.show(layer, Site::attended, mixed);
  }
  return output(std::move(mixed).reshape({x.shape(0), heads * dim_v}));
}

}  // namespace regard::nn
