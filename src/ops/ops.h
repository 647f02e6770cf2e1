// The vocabulary of operations on tensors: values in, a value out, and a gradient for every tensor
// that wants one (docs/training.md has the formulas). Losses and what else only learning needs:
// learning/.
//
// Each runs on current_pool(). A tensor taken by value gives its storage to the result when the
// caller moves it in, nobody shares it and nothing is recorded. All throw Error when shapes or
// dtypes disagree. Numbers are f32, or all f64: then the plain formula is computed on one thread,
// for checks of gradients. "Rows" run along the last axis; leading axes are rows of rows.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "attention/attention.h"
#include "kernels/elementwise.h"
#include "matmul/matmul.h"
#include "tensor/tensor.h"

namespace regard {

// One matrix of a linear layer, y = x Wᵀ + bias: packed once for good, or a tensor of f32, f16 or
// bf16 that may want a gradient; both give the same bits.
struct Weight {
  const PackedMatrix* packed = nullptr;
  const Tensor* tensor = nullptr;  // [outputs, inputs], where nothing is packed
  const Tensor* bias = nullptr;    // [outputs], or null or empty

  int64_t outputs() const noexcept { return packed ? packed->outputs() : tensor->shape(0); }
};

// x [rows, inputs] -> [rows, outputs]; f64 with a tensor and a bias of f64.
Tensor linear(const Tensor& x, const Weight& weight);

// Several matrices over one x in one fork-join; y[i] is [rows, outputs of weights[i]].
void linear(const Tensor& x, std::span<const Weight> weights, std::span<Tensor> y);

template <class... Weights>
std::array<Tensor, sizeof...(Weights)> linear_fused(const Tensor& x, const Weights&... weights) {
  const std::array<Weight, sizeof...(Weights)> all{weights...};
  std::array<Tensor, sizeof...(Weights)> y;
  linear(x, all, y);
  return y;
}

// a b: [m, k] [k, n] -> [m, n], or batch by batch [B, m, k] [B, k, n] -> [B, m, n]; f32 or f64.
Tensor matmul(const Tensor& a, const Tensor& b);

// Rows of a matrix by id: [ids, inputs]. Throws Error for an id that is no row.
Tensor embedding(const PackedMatrix& table, std::span<const int32_t> ids);
// table [rows, inputs]. A row's gradient is the sum over the ids that took it, in their order; rows
// that nobody took get exactly 0.
Tensor embedding(const Tensor& table, std::span<const int32_t> ids);

// Rows of x [rows, width] by index: [indices, width]; gradients as those of an embedding.
Tensor gather(const Tensor& x, std::span<const int64_t> indices);

// Which rows an expert gets, in their order, and how much its result counts in each.
struct Route {
  int64_t expert = 0;
  std::vector<int64_t> rows = {};
  Tensor weights = {};  // [rows]
};
using Routes = std::vector<Route>;

// The `used` largest of each row of scores [rows, experts], the first among equals, and the softmax
// over them; NaN is the smallest. One route an expert, in their order. Weights have gradients, the
// choice has none.
Routes route(const Tensor& scores, int64_t used);

// x [places, width] with weights[n] · rows[n] added to its row indices[n], n ascending.
Tensor scatter_add(Tensor x, const Tensor& rows, std::span<const int64_t> indices,
                   const Tensor& weights);
Tensor scatter_add(Tensor x, const Tensor& rows, std::span<const int64_t> indices,
                   std::span<const float> weights);

Tensor zeros(Tensor::Extents shape, DType dtype = DType::f32);

// Number by number. The smaller operand (of sub: the second) may be one row [width] that meets
// every row of the other, or one number [1].
Tensor add(const Tensor& a, Tensor b);
Tensor sub(const Tensor& a, const Tensor& b);
Tensor mul(const Tensor& a, const Tensor& b);
inline Tensor operator+(const Tensor& a, Tensor b) { return add(a, std::move(b)); }
inline Tensor operator-(const Tensor& a, const Tensor& b) { return sub(a, b); }
inline Tensor operator*(const Tensor& a, const Tensor& b) { return mul(a, b); }

// Side by side: parts that differ in the first axis, or in the last.
Tensor concat_rows(std::span<const Tensor> parts);
Tensor concat_columns(std::span<const Tensor> parts);
// Columns [first, first + count) of the last axis; Tensor::rows() is its counterpart.
Tensor columns(const Tensor& x, int64_t first, int64_t count);

// The result's axis i is x's axis axes[i]: permute(x, {1, 0, 2}) puts heads before tokens.
Tensor permute(const Tensor& x, std::span<const int> axes);
inline Tensor permute(const Tensor& x, std::initializer_list<int> axes) {
  return permute(x, std::span(axes.begin(), axes.size()));
}
Tensor transpose(const Tensor& x);  // of a matrix

// x [.., width], gain [width]; see kernels/elementwise.h.
Tensor rms_norm(const Tensor& x, const Tensor& gain, float epsilon);

// shift [width], or empty.
Tensor layer_norm(const Tensor& x, const Tensor& gain, const Tensor& shift, float epsilon);

// Of each row of x [.., width]: exp(x) / Σ exp(x), and its logarithm.
Tensor softmax(Tensor x);
Tensor log_softmax(Tensor x);

// log Σ exp(x) of each row of x [.., width]: [rows].
Tensor log_sum_exp(const Tensor& x);

// function(x), and function(gate) · up.
Tensor activate(Activation function, Tensor x);
Tensor activate_gated(Activation function, const Tensor& gate, Tensor up);

Tensor scale(Tensor x, float factor);  // x · factor
Tensor softcap(Tensor x, float cap);   // tanh(x / cap) · cap

// Rotates every head of x [tokens, heads, dim] by the position of its token. Of the first the table
// is not kept: it must live until backward() is done.
Tensor rope(Tensor x, const RopeTable& table, std::span<const int32_t> positions,
            RopeLayout layout);
Tensor rope(Tensor x, const std::shared_ptr<const RopeTable>& table,
            std::span<const int32_t> positions, RopeLayout layout);

// Stores k and v of one layer behind the keys that each segment has, then lets q look at them all.
//   q [tokens, heads, dim]   k [tokens, kv_heads, dim]   v [tokens, kv_heads, dim_v]
//   -> [tokens, heads, dim_v]
// The plan was made from these segments. What is stored is what is read: a narrow cache gives one
// answer however the tokens were cut into calls. No gradient passes a cache: where one would be
// recorded, Error is thrown.
Tensor attention(const Tensor& q, const Tensor& k, const Tensor& v, KvCache& cache, int64_t layer,
                 std::span<const Segment> segments, AttentionPlan& plan);

// The first half of that: k and v of one layer as the last keys of each segment.
void append(const Tensor& k, const Tensor& v, KvCache& cache, int64_t layer,
            std::span<const Segment> segments);

// The second half, over the keys that the cache has: of a decoder that looks at an encoder's output
// again.
Tensor attention(const Tensor& q, const KvCache& cache, int64_t layer, AttentionPlan& plan);

// An array that programs of attention capture, and the leaf whose numbers it is: relative biases,
// slopes, sinks, W of a bilinear similarity, v of an additive one.
struct CapturedLeaf {
  Array array;
  Tensor leaf;
};

// The array is the leaf's own storage: what an optimiser writes there the next pass reads. Of an
// f64 leaf it is a copy rounded to f32, for checks of gradients.
CapturedLeaf capture(std::string name, const Tensor& leaf);

// Over arrays, where nothing is kept: segment s has its keys at first_key on in k and v, [all keys,
// kv_heads, dim] and [all keys, kv_heads, dim_v]. Rows that lie in no segment are zeros. All are
// f32, or all f64, which runs the reference. Gradients go to q, k, v and to the leaves of `learned`
// that want them; segments share no keys then.
Tensor attention(const Tensor& q, const Tensor& k, const Tensor& v, AttentionPlan& plan,
                 std::span<const CapturedLeaf> learned = {});
// The same with a plan of its own: where options change from call to call, as dropout's do.
Tensor attention(const Tensor& q, const Tensor& k, const Tensor& v,
                 std::span<const Segment> segments, const AttentionOptions& options,
                 std::span<const CapturedLeaf> learned = {});

}  // namespace regard
