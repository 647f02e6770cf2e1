// Gradients of the row kernels (kernels/elementwise.h) under the same rules: views [rows, width]
// with unit stride along a row, the same bits on every target, a row's sums in 16 lanes. dy is the
// gradient of a result, dx that of an input; dx may lie where any input of the call lies.
//
// Gradients of what all rows share (gains, shifts) are sums over rows: they are added to
// `sums` [width] row by row in ascending order. Who shares rows between threads gives each of a
// fixed set of blocks its own sums and adds them in order.
#pragma once

#include <cstdint>

#include "kernels/elementwise.h"

namespace regard {

// dx = dy · function'(x); relu'(0) = 0.
void activate_gradient(Activation function, View<const float, 2> x, View<const float, 2> dy,
                       View<float, 2> dx);
// Of function(gate) · up: dgate = dy · up · function'(gate), dup = dy · function(gate).
void activate_gated_gradient(Activation function, View<const float, 2> gate,
                             View<const float, 2> up, View<const float, 2> dy, View<float, 2> dgate,
                             View<float, 2> dup);
// dx = dy (1 - tanh²(x / cap))
void softcap_gradient(View<const float, 2> x, float cap, View<const float, 2> dy,
                      View<float, 2> dx);

// With r = 1 / sqrt(mean(x²) + epsilon):
//   dx = r (gain dy - x r² mean(gain dy x))     gain_sums += dy x r
void rms_norm_gradient(View<const float, 2> x, const float* gain, float epsilon,
                       View<const float, 2> dy, View<float, 2> dx, float* gain_sums);
// With r = 1 / sqrt(variance + epsilon) and h = (x - mean) r:
//   dx = r (gain dy - mean(gain dy) - h mean(gain dy h))     gain_sums += dy h, shift_sums += dy
void layer_norm_gradient(View<const float, 2> x, const float* gain, float epsilon,
                         View<const float, 2> dy, View<float, 2> dx, float* gain_sums,
                         float* shift_sums);

// y = softmax(x): dx = y (dy - Σ dy y)
void softmax_gradient(View<const float, 2> y, View<const float, 2> dy, View<float, 2> dx);
// y = log_softmax(x): dx = dy - exp(y) Σ dy
void log_softmax_gradient(View<const float, 2> y, View<const float, 2> dy, View<float, 2> dx);
// s = log_sum_exp(x): dx = ds exp(x - s), s and ds [rows]; zeros where s is -inf.
void log_sum_exp_gradient(View<const float, 2> x, const float* s, const float* ds,
                          View<float, 2> dx);

// Cross-entropy of one row of logits x with the target distribution
// q = (1 - smoothing) one_hot(target) + smoothing / width; Szegedy et al. 2016, section 7.
struct Smoothed {
  float target;  // 1 - smoothing
  float each;    // smoothing / width
};
// losses = log Σ exp(x) - Σ q x, and lse = log Σ exp(x), both [rows]. Rows whose used[row] is 0 are
// not read: their loss is 0, their lse is -inf.
void cross_entropy(View<const float, 2> x, const int32_t* targets, const float* used,
                   const Smoothed& q, float* losses, float* lse);
// dx = factors[row] (exp(x - lse) - q); rows whose factor is 0 are not read and become zeros.
void cross_entropy_gradient(View<const float, 2> x, const int32_t* targets, const float* factors,
                            const Smoothed& q, const float* lse, View<float, 2> dx);

// By the opposite angles: the gradient of rope(), in place.
void rope_gradient(View<float, 3> x, const RopeTable& table, std::span<const int32_t> position,
                   RopeLayout layout);

}  // namespace regard
