// RmsNorm: each row divided by its root mean square, times a learned gain.
#pragma once

#include <vector>

#include "tensor/ops.h"

namespace regard::nn {

struct RmsNorm {
  std::vector<float> gain;  // [width]
  float epsilon = 1e-5f;

  Tensor operator()(const Tensor& x) const { return rms_norm(x, gain, epsilon); }
};

}  // namespace regard::nn
