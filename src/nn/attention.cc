#include "nn/attention.h"

#include <array>
#include <utility>

namespace regard::nn {
namespace {

Tensor split(Tensor x, int64_t heads, int64_t dim) {
  const int64_t tokens = x.shape(0);
  return std::move(x).reshape({tokens, heads, dim});
}

std::array<Tensor, 3> project(const Attention& layer, const Tensor& x) {
  if (layer.cross) return {layer.query(x), Tensor(), Tensor()};
  return linear_fused(x, layer.query.weight(), layer.key.weight(), layer.value.weight());
}

Tensor attend(const Tensor& q, const Tensor& k, const Tensor& v, int64_t layer,
              const AttentionStep& at) {
  if (at.memory != nullptr) return attention(q, *at.memory, layer, *at.plan);
  if (at.cache == nullptr) return attention(q, k, v, *at.plan);
  return attention(q, k, v, *at.cache, layer, at.segments, *at.plan);
}

}  // namespace

Tensor Attention::operator()(const Tensor& x, const Step& step) const {
  auto [q, k, v] = project(*this, x);
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

void Attention::remember(const Tensor& memory, std::span<const Segment> segments,
                         KvCache& cache) const {
  auto [k, v] = linear_fused(memory, key.weight(), value.weight());
  k = key_norm.of_heads(split(std::move(k), kv_heads, dim));
  append(k, split(std::move(v), kv_heads, dim_v), cache, layer, segments);
}

}  // namespace regard::nn
