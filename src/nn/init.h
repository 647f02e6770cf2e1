// Initial: the numbers that training begins with. Each is drawn by counting, from (seed, name,
// index): it does not depend on what else a model has, nor on the order in which that is made.
#pragma once

#include <cstdint>
#include <string_view>

#include "tensor/tensor.h"

namespace regard::nn {

struct Initial {
  uint64_t seed = 0;

  // Mean 0. Box and Muller 1958.
  Tensor normal(std::string_view name, Tensor::Extents shape, double deviation) const;
  // In [-bound, bound).
  Tensor uniform(std::string_view name, Tensor::Extents shape, double bound) const;
  // uniform() with √(6 / (inputs + outputs)): products of what has variance 1 keep it, forwards and
  // backwards. shape [outputs, inputs]; Glorot and Bengio 2010, eq. 16.
  Tensor xavier(std::string_view name, Tensor::Extents shape) const;
};

// All of them the same number: biases are 0, gains 1.
Tensor constant(Tensor::Extents shape, float number);

// A seed that depends on all of `seed`, `name` and `index`: of a layer's dropout in a step.
uint64_t derived_seed(uint64_t seed, std::string_view name, uint64_t index = 0) noexcept;

}  // namespace regard::nn
