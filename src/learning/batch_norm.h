// BatchNorm: every feature normalised over all rows of the batch (Ioffe and Szegedy 2015), so that
// a row's result depends on what else is in the batch, padding included.
#pragma once

#include <cstdint>

#include "tensor/tensor.h"

namespace regard {

// What evaluation uses in place of a batch: exponential means of what training saw.
struct RunningStatistics {
  Tensor mean;      // [width]
  Tensor variance;  // [width], unbiased: of n rows, n / (n - 1) times that which normalises
  float momentum = 0.1f;

  // Means 0 and variances 1.
  static RunningStatistics of_width(int64_t width, DType dtype = DType::f32);
};

enum class Phase { train, eval };

// (x - mean) / sqrt(variance + epsilon) · gain + shift, over the rows of x [.., width]; gain and
// shift [width]. In training mean and variance are those of x, and the running statistics move,
// once for every pass that is recorded: a checkpoint's first pass is not. In evaluation they are
// the running ones. Throws Error for fewer than two rows in training.
Tensor batch_norm(const Tensor& x, const Tensor& gain, const Tensor& shift,
                  RunningStatistics& running, float epsilon, Phase phase);

}  // namespace regard
