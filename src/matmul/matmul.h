// Linear layers on weights of any format: y = x Wᵀ with f32 activations and the one matmul tile.
//
// Weights are packed once into panels of 16 output features, so that lanes run across features.
// A packed number is d·q + m rounded once to f32, the dequantised value, in decode and in prefill
// alike. The chain over inputs restarts every 256 (kInputBlock); blocks are added in order.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/threads.h"
#include "matmul/plain.h"
#include "regard/dtype.h"
#include "regard/view.h"

namespace regard {

inline constexpr int64_t kInputBlock = 256;

// W [outputs, inputs], packed. Never changes after it is made; copies share the memory.
class PackedMatrix {
 public:
  PackedMatrix() = default;

  // rows: row-major [outputs, inputs] as GGUF stores it, row_bytes(dtype, inputs) bytes a row.
  // dtype: f32, f16, bf16, q8_0, q4_0, q4_1, q5_0, q5_1, q4_k, q5_k or q6_k.
  // permute_halves: rows of each head of that many rows are taken in the order that turns
  // adjacent-pair RoPE into halves (row i of the result is row 2i, row i + n/2 is row 2i + 1);
  // 0 = as they are.
  // Throws Error unless inputs is a multiple of the format's block and every size is positive.
  static PackedMatrix pack(DType dtype, std::span<const std::byte> rows, int64_t outputs,
                           int64_t inputs, ThreadPool& pool, int64_t permute_halves = 0);

  // The same of f32, f16 or bf16 wherever its numbers lie, in memory of the arena: for weights that
  // change. Columns of memory are packed as fast as rows.
  static PackedMatrix pack(const PlainMatrix& weights, ThreadPool& pool);

  int64_t outputs() const noexcept { return outputs_; }
  int64_t inputs() const noexcept { return inputs_; }
  DType dtype() const noexcept { return dtype_; }
  int64_t bytes() const noexcept { return bytes_; }

  // Row `output` as f32: the embedding lookup of a tied matrix. out [inputs], dense.
  void row(int64_t output, float* out) const noexcept;

  const std::byte* data() const noexcept { return data_.get(); }

 private:
  std::shared_ptr<const std::byte> data_;  // matrices packed one after the other lie side by side
  int64_t bytes_ = 0;
  int64_t outputs_ = 0;
  int64_t inputs_ = 0;
  DType dtype_ = DType::f32;
};

// y = x Wᵀ (+ bias), for several matrices over the same x in one fork-join (q, k and v; gate and
// up). Each number of y is the same whatever the number of rows, matrices and threads.
//   x [rows, inputs]   weights[i] [outputs_i, inputs]   y[i] [rows, outputs_i]
// Views have unit stride in the last axis. bias[i] is [outputs_i] or null; bias may be empty.
// Throws Error when shapes disagree.
struct MatmulTarget {
  const PackedMatrix* weight;
  View<float, 2> y;
  const float* bias = nullptr;
};
void matmul(View<const float, 2> x, std::span<const MatmulTarget> targets, ThreadPool& pool);

// One row of blocks as f32, the reference form of every format (the arithmetic of GGUF).
// Requires: count is a multiple of the block size.
void dequantise_row(DType dtype, const std::byte* blocks, int64_t count, float* out) noexcept;

}  // namespace regard
