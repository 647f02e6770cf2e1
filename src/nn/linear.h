// Linear: y = x Wᵀ + bias, and the embedding that reads rows of such a matrix.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "matmul/matmul.h"
#include "tensor/ops.h"

namespace regard::nn {

struct Linear {
  std::shared_ptr<const PackedMatrix> matrix = {};  // [outputs, inputs]; a tied head shares it
  std::vector<float> bias = {};                     // [outputs], or empty

  explicit operator bool() const noexcept { return matrix != nullptr; }
  int64_t bytes() const noexcept { return matrix ? matrix->bytes() : 0; }
  Weight weight() const noexcept { return {matrix.get(), bias}; }
  Tensor operator()(const Tensor& x) const { return linear(x, weight()); }
};

struct Embedding {
  std::shared_ptr<const PackedMatrix> table = {};  // [vocabulary, width]

  explicit operator bool() const noexcept { return table != nullptr; }
  Tensor operator()(std::span<const int32_t> ids) const { return embedding(*table, ids); }
};

}  // namespace regard::nn
