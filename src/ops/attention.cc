// Attention over a cache of keys and values; and over arrays, with its gradients.
#include "attention/attention.h"

#include <algorithm>
#include <array>
#include <memory>
#include <utility>

#include "ops/ops.h"
#include "reference/reference.h"
#include "tensor/pool.h"
#include "tensor/tape.h"

namespace regard {
namespace {

void refuse_gradients(std::initializer_list<const Tensor*> inputs) {
  require(!recording(inputs),
          "attention: no gradient passes a key/value cache; train on steps without one, or compute "
          "under NoGradient");
}

template <class T>
void fill_zeros(Tensor& x) {
  std::ranges::fill(x.writable_numbers<T>(), T{0});
}

// What the backward pass needs of the forward one; all detached.
struct Kept {
  Tensor q, k, v, out;
  Tensor lse;  // [tokens, heads]; softmax only
  std::vector<Segment> segments;
  AttentionOptions options;
  std::vector<Array> arrays;  // of the captured leaves, in their order
};

Tensor widened(const Tensor& x) {
  Tensor wide(x.shape(), DType::f64);
  std::ranges::copy(x.numbers<float>(), wide.writable_numbers<double>().begin());
  return wide;
}

template <class T>
void pass_back(const Kept& kept, const Tensor& gradient, InputGradients& to) {
  Tensor dq = Tensor::like(kept.q), dk = Tensor::like(kept.k), dv = Tensor::like(kept.v);
  std::vector<ArrayGradient> wanted;
  std::vector<std::pair<int64_t, Tensor>> learned;
  for (std::size_t n = 0; n < kept.arrays.size(); ++n) {
    const int64_t input = 3 + static_cast<int64_t>(n);
    if (!to.wants(input)) continue;
    const Array& array = kept.arrays[n];
    std::array<int64_t, Array::kMaxRank> shape;
    for (int axis = 0; axis < array.rank(); ++axis) {
      shape[static_cast<std::size_t>(axis)] = array.shape(axis);
    }
    Tensor made(Tensor::Shape(shape.data(), static_cast<std::size_t>(array.rank())));
    wanted.push_back({array, made.writable_numbers<float>().data()});
    learned.emplace_back(input, std::move(made));
  }
  const View<const float, 2> lse = kept.lse ? kept.lse.view<float, 2>() : View<const float, 2>();
  attention_backward(kept.q.view<T, 3>(), kept.k.view<T, 3>(), kept.v.view<T, 3>(),
                     kept.out.view<T, 3>(), lse, gradient.view<T, 3>(), dq.writable<T, 3>(),
                     dk.writable<T, 3>(), dv.writable<T, 3>(), kept.segments, kept.options, wanted,
                     current_pool());
  to.add(0, std::move(dq));
  to.add(1, std::move(dk));
  to.add(2, std::move(dv));
  for (auto& [input, made] : learned) {
    to.add(input, std::is_same_v<T, double> ? widened(made) : std::move(made));
  }
}

bool any_recording(const Tensor& q, const Tensor& k, const Tensor& v,
                   std::span<const CapturedLeaf> learned) {
  return recording({&q, &k, &v}) || std::ranges::any_of(learned, [](const CapturedLeaf& one) {
           return recording({&one.leaf});
         });
}

Tensor recorded(Tensor out, Tensor lse, const Tensor& q, const Tensor& k, const Tensor& v,
                std::span<const Segment> segments, const AttentionOptions& options,
                std::span<const CapturedLeaf> learned) {
  Kept kept{q.detach(),     k.detach(),
            v.detach(),     out.detach(),
            std::move(lse), {segments.begin(), segments.end()},
            options,        {}};
  std::vector<Tensor> inputs{q, k, v};
  for (const CapturedLeaf& one : learned) {
    kept.arrays.push_back(one.array);
    inputs.push_back(one.leaf);
  }
  return record(std::move(out), inputs,
                [kept = std::move(kept)](const Tensor& gradient, InputGradients& to) {
                  if (kept.q.dtype() == DType::f64) return pass_back<double>(kept, gradient, to);
                  pass_back<float>(kept, gradient, to);
                });
}

void check(const Tensor& q, const Tensor& k, const Tensor& v) {
  require(q.rank() == 3 && k.rank() == 3 && v.rank() == 3,
          "attention: q is {}, k {} and v {}; each must have the axes tokens, heads, dim", q, k, v);
  require((q.dtype() == DType::f32 || q.dtype() == DType::f64) && k.dtype() == q.dtype() &&
              v.dtype() == q.dtype(),
          "attention: q is {}, k {} and v {}; all must be f32 or all f64", q, k, v);
}

bool all_rows(const Tensor& q, std::span<const Segment> segments) {
  int64_t rows = 0;
  for (const Segment& segment : segments) rows += segment.rows;
  return rows == q.shape(0);
}

Tensor attention_f64(const Tensor& q, const Tensor& k, const Tensor& v,
                     std::span<const Segment> segments, const AttentionOptions& options,
                     std::span<const CapturedLeaf> learned) {
  Tensor out({q.shape(0), q.shape(1), v.shape(2)}, DType::f64);
  fill_zeros<double>(out);
  attention(q.view<double, 3>(), k.view<double, 3>(), v.view<double, 3>(),
            out.writable<double, 3>(), segments, options);
  if (!any_recording(q, k, v, learned)) return out;
  return recorded(std::move(out), {}, q, k, v, segments, options, learned);
}

}  // namespace

CapturedLeaf capture(std::string name, const Tensor& leaf) {
  require(static_cast<bool>(leaf), "capture: {} is an empty tensor", name);
  if (leaf.dtype() == DType::f64) {
    const auto from = leaf.numbers<double>();
    return {Array::of(std::move(name), std::vector<float>(from.begin(), from.end()),
                      {leaf.shape().begin(), leaf.shape().end()}, true),
            leaf};
  }
  std::vector<int64_t> strides(static_cast<std::size_t>(leaf.rank()), 1);
  for (std::size_t axis = strides.size() - 1; axis > 0; --axis) {
    strides[axis - 1] = strides[axis] * leaf.shape(static_cast<int>(axis));
  }
  const auto owner = std::make_shared<const Tensor>(leaf.detach());
  return {Array(std::move(name), ElementType::f32, owner->numbers<float>().data(), leaf.shape(),
                strides, true, owner),
          leaf};
}

void append(const Tensor& k, const Tensor& v, KvCache& cache, int64_t layer,
            std::span<const Segment> segments) {
  refuse_gradients({&k, &v});
  cache.append(layer, segments, k.view<float, 3>(), v.view<float, 3>(), {}, current_pool());
}

Tensor attention(const Tensor& q, const Tensor& k, const Tensor& v, KvCache& cache, int64_t layer,
                 std::span<const Segment> segments, AttentionPlan& plan) {
  append(k, v, cache, layer, segments);
  return attention(q, cache, layer, plan);
}

Tensor attention(const Tensor& q, const KvCache& cache, int64_t layer, AttentionPlan& plan) {
  refuse_gradients({&q});
  const auto queries = q.view<float, 3>();
  Tensor mixed({queries.shape[0], queries.shape[1], cache.shape().dim_v});
  plan.run(cache, layer, queries, mixed.writable<float, 3>(), current_pool());
  return mixed;
}

Tensor attention(const Tensor& q, const Tensor& k, const Tensor& v, AttentionPlan& plan,
                 std::span<const CapturedLeaf> learned) {
  check(q, k, v);
  if (q.dtype() == DType::f64) {
    return attention_f64(q, k, v, plan.segments(), plan.options(), learned);
  }
  Tensor out({q.shape(0), q.shape(1), v.shape(2)});
  if (!all_rows(q, plan.segments())) fill_zeros<float>(out);
  const bool tracked = any_recording(q, k, v, learned);
  const bool has_lse = plan.options().normaliser.kind == Normaliser::Kind::softmax;
  Tensor lse = tracked && has_lse ? Tensor({q.shape(0), q.shape(1)}) : Tensor();
  plan.run(q.view<float, 3>(), k.view<float, 3>(), v.view<float, 3>(), out.writable<float, 3>(),
           current_pool(), lse ? lse.writable<float, 2>() : View<float, 2>());
  if (!tracked) return out;
  return recorded(std::move(out), std::move(lse), q, k, v, plan.segments(), plan.options(),
                  learned);
}

Tensor attention(const Tensor& q, const Tensor& k, const Tensor& v,
                 std::span<const Segment> segments, const AttentionOptions& options,
                 std::span<const CapturedLeaf> learned) {
  check(q, k, v);
  if (q.dtype() == DType::f64) return attention_f64(q, k, v, segments, options, learned);
  AttentionOptions own = options;
  own.threads = current_pool().threads();
  AttentionPlan plan({q.shape(1), k.shape(1), q.shape(2), v.shape(2), k.shape(2)}, segments, own);
  return attention(q, k, v, plan, learned);
}

}  // namespace regard
