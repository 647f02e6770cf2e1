// The vocabulary of operations on tensors: values in, a value out.
//
// Each runs on current_pool(). A tensor taken by value gives its storage to the result when the
// caller moves it in and nobody shares it. All throw Error when shapes or dtypes disagree; numbers
// are f32.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "attention/attention.h"
#include "kernels/elementwise.h"
#include "matmul/matmul.h"
#include "tensor/tensor.h"

namespace regard {

// One matrix of a linear layer, y = x Wᵀ + bias.
struct Weight {
  const PackedMatrix* matrix;
  std::span<const float> bias;  // [outputs], or empty
};

// x [rows, inputs] -> [rows, outputs]
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

// Rows of a matrix by id: [ids, inputs]. Throws Error for an id that is no row.
Tensor embedding(const PackedMatrix& table, std::span<const int32_t> ids);

// Rows of x [rows, width] by index: [indices, width].
Tensor gather(const Tensor& x, std::span<const int64_t> indices);

Tensor add(const Tensor& a, Tensor b);
inline Tensor operator+(const Tensor& a, Tensor b) { return add(a, std::move(b)); }

// x [rows, width], gain [width]; see kernels/elementwise.h.
Tensor rms_norm(const Tensor& x, std::span<const float> gain, float epsilon);

// log Σ exp(x) of each row of x [rows, width]: [rows].
Tensor log_sum_exp(const Tensor& x);

// silu(gate) · up, both [rows, width]
Tensor swiglu(const Tensor& gate, Tensor up);

// Rotates every head of x [tokens, heads, dim] by the position of its token.
Tensor rope(Tensor x, const RopeTable& table, std::span<const int32_t> positions,
            RopeLayout layout);

// Stores k and v of one layer behind the keys that each segment has, then lets q look at them all.
//   q [tokens, heads, dim]   k [tokens, kv_heads, dim]   v [tokens, kv_heads, dim_v]
//   -> [tokens, heads, dim_v]
// The plan was made from these segments. What is stored is what is read: a narrow cache gives one
// answer however the tokens were cut into calls.
Tensor attention(const Tensor& q, const Tensor& k, const Tensor& v, KvCache& cache, int64_t layer,
                 std::span<const Segment> segments, AttentionPlan& plan);

}  // namespace regard
