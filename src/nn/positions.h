// Positions that are added to a token's embedding: sinusoids of Attention Is All You Need (Vaswani
// et al. 2017), section 3.5. Learned ones are an Embedding.
//   PE(pos, 2i) = sin(pos / base^(2i / width))    PE(pos, 2i + 1) = cos(the same)
#pragma once

#include <cstdint>
#include <span>

#include "tensor/tensor.h"

namespace regard::nn {

struct SinusoidalPositions {
  int64_t width = 0;
  double base = 10000;

  // [positions, width] of f32 or f64; computed in f64 and rounded once.
  // Throws Error unless width is positive and even and positions are 0 or more.
  Tensor operator()(std::span<const int32_t> positions, DType dtype = DType::f32) const;
};

}  // namespace regard::nn
