// AdamW in one pass over the numbers, and the norm that gradients are clipped by.
//
// Decoupled Weight Decay Regularization (Loshchilov and Hutter 2019), algorithm 2, with the decay
// times the learning rate, as is usual. Each number depends on its own place alone: the bits are
// the same for any threads, shares and targets.
#pragma once

#include <cstdint>
#include <span>

#include "base/threads.h"

namespace regard {

struct AdamW {
  float learning_rate = 1e-3f;
  float beta1 = 0.9f;
  float beta2 = 0.999f;
  float epsilon = 1e-8f;
  float decay = 0;           // weight decay; 0 for biases and gains
  float gradient_scale = 1;  // g is gradient · gradient_scale: clipping and averaging
  int64_t step = 1;          // of this update, counted from 1, for the correction of the bias
};

//   m = beta1 m + (1 - beta1) g      v = beta2 v + (1 - beta2) g²
//   p = p (1 - learning_rate decay) - learning_rate m̂ / (sqrt(v̂) + epsilon)
// with m̂ = m / (1 - beta1^step) and v̂ = v / (1 - beta2^step). All five spans have one length.
// Throws Error when lengths disagree or the step is not positive.
void adamw(const AdamW& options, std::span<float> p, std::span<const float> gradient,
           std::span<float> m, std::span<float> v, ThreadPool& pool);
// The formula, for f64; on the calling thread.
void adamw(const AdamW& options, std::span<double> p, std::span<const double> gradient,
           std::span<double> m, std::span<double> v);

// The square root of the sum of squares of all numbers, in f64: 16 lanes (index mod 16) within
// blocks of 2¹⁴, added by the tree of sum_lanes, then blocks and gradients in order. NaN and
// infinity come through.
double global_norm(std::span<const std::span<const float>> gradients, ThreadPool& pool);

}  // namespace regard
