// Losses: what training makes small.
#pragma once

#include <cstdint>
#include <span>

#include "tensor/tensor.h"

namespace regard {

struct CrossEntropyOptions {
  // Of the rows, not negative; empty: all 1. A row of weight 0 is neither read nor changed: its
  // loss is 0 and its gradient exactly 0, whatever its logits and its target.
  std::span<const float> weights = {};
  // The target distribution is (1 - smoothing) one_hot(target) + smoothing / classes (Szegedy et
  // al. 2016); in [0, 1).
  float smoothing = 0;
  // The sum over rows is divided by it; 0: by the sum of the weights. A step that is cut into parts
  // gives all of them the sum of the whole step.
  double normaliser = 0;
};

struct CrossEntropy {
  Tensor
      loss;  // [1]: Σ weight · loss of the row / normaliser, rows in order, in f64; 0 for no rows
  Tensor rows;  // [rows]: losses without weights, in nats; apart from the tape
};

// -Σ q log softmax(logits) of each row. logits [rows, classes], targets [rows].
// The gradient, weight (softmax(logits) - q) / normaliser, is made in one pass over the logits.
// Throws Error for a target of a row that counts unless it is a class.
CrossEntropy cross_entropy(const Tensor& logits, std::span<const int32_t> targets,
                           const CrossEntropyOptions& options = {});

// mean((a - b)²): [1]. Shapes as of sub().
Tensor mean_squared_error(const Tensor& a, const Tensor& b);

}  // namespace regard
