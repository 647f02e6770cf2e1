// Linear: y = x Wᵀ + bias, and the embedding that reads rows of such a matrix.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <utility>

#include "matmul/matmul.h"
#include "ops/ops.h"

namespace regard::nn {

// A matrix, [outputs, inputs]: packed, in the format of its file, or a tensor that training
// changes. Copies share the numbers; a tied head is a copy.
struct Matrix {
  std::shared_ptr<const PackedMatrix> packed = {};
  Tensor tensor = {};

  Matrix() = default;
  Matrix(std::shared_ptr<const PackedMatrix> matrix) : packed(std::move(matrix)) {}
  Matrix(Tensor matrix) : tensor(std::move(matrix)) {}

  explicit operator bool() const noexcept { return packed != nullptr || tensor; }
  int64_t outputs() const noexcept { return packed ? packed->outputs() : tensor.shape(0); }
  int64_t inputs() const noexcept { return packed ? packed->inputs() : tensor.shape(1); }
  int64_t bytes() const noexcept {
    return packed ? packed->bytes() : tensor ? row_bytes(tensor.dtype(), tensor.size()) : 0;
  }
};

struct Linear {
  Matrix matrix = {};
  Tensor bias = {};  // [outputs], or empty

  explicit operator bool() const noexcept { return static_cast<bool>(matrix); }
  int64_t bytes() const noexcept { return matrix.bytes(); }
  Weight weight() const noexcept { return {matrix.packed.get(), &matrix.tensor, &bias}; }
  Tensor operator()(const Tensor& x) const { return linear(x, weight()); }
};

struct Embedding {
  Matrix table = {};  // [vocabulary, width]

  explicit operator bool() const noexcept { return static_cast<bool>(table); }
  Tensor operator()(std::span<const int32_t> ids) const {
    return table.packed ? embedding(*table.packed, ids) : embedding(table.tensor, ids);
  }
};

}  // namespace regard::nn
