#include "nn/attention.h"

#include <array>
#include <utility>

#include "regard/program.h"

namespace regard::nn {
namespace {

Tensor split(Tensor x, int64_t heads, int64_t dim) {
  const int64_t tokens = x.shape(0);
  return std::move(x).reshape({tokens, heads, dim});
}

std::array<Tensor, 3> project(const Attention& layer, const Tensor& x, const Step& step) {
  if (!layer.cross) {
    return linear_fused(x, layer.query.weight(), layer.key.weight(), layer.value.weight());
  }
  if (step.source == nullptr) return {layer.query(x), Tensor(), Tensor()};
  // A node of its own: the sums of this layer are added to the source's as one, also where the
  // layer is computed again.
  const Tensor source = step.source->reshape(step.source->shape());
  auto [k, v] = linear_fused(source, layer.key.weight(), layer.value.weight());
  return {layer.query(x), std::move(k), std::move(v)};
}

// The options with a weight program that drops behind theirs.
AttentionOptions dropping(AttentionOptions options, float rate, uint64_t seed) {
  const Expr weight = options.weight.empty() ? program::weight() : options.weight;
  options.weight = where(program::uniform(seed) >= rate, weight * (1 / (1 - rate)), 0.0f);
  return options;
}

Tensor attend(const Attention& layer, const Tensor& q, const Tensor& k, const Tensor& v,
              const Step& step) {
  const AttentionStep& at = step.kinds[static_cast<std::size_t>(layer.kind)];
  if (at.memory != nullptr) return attention(q, *at.memory, layer.layer, *at.plan);
  if (at.cache != nullptr) {
    return attention(q, k, v, *at.cache, layer.layer, at.segments, *at.plan);
  }
  require(static_cast<bool>(k),
          "attention: layer {} looks at an encoder's output, and the step has no source",
          layer.layer);
  if (!step.drops(layer.dropout)) return attention(q, k, v, *at.plan, at.learned);
  const Dropped what = layer.cross ? Dropped::cross_weights : Dropped::weights;
  return attention(q, k, v, at.segments,
                   dropping(at.plan->options(), layer.dropout, step.seed(layer.layer, what)),
                   at.learned);
}

}  // namespace

Tensor Attention::operator()(const Tensor& x, const Step& step) const {
  auto [q, k, v] = project(*this, x, step);
  q = rotate(query_norm.of_heads(split(std::move(q), heads, dim)), step);
  if (k) k = rotate(key_norm.of_heads(split(std::move(k), kv_heads, dim)), step);
  if (v) v = split(std::move(v), kv_heads, dim_v);
  Tensor mixed = attend(*this, q, k, v, step);
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
