// Row and element kernels: norms, rotations (regard/rope.h), activations, softmax, and the
// functions they need. Every one gives the same bits on every target; the error of each function is
// stated and tested. Unless a line says otherwise views are [rows, width] with unit stride in the
// last axis, rows may lie anywhere, and out may be x itself. A row's result does not depend on the
// other rows; sums over a row run in 16 lanes (index mod 16, ascending) that are then added in
// halves. The calls allocate nothing and run on the calling thread. They throw Error when shapes
// disagree.
#pragma once

#include <cstdint>

#include "regard/rope.h"
#include "regard/view.h"

namespace regard {

// out = x / sqrt(mean(x²) + epsilon) · gain            gain [width]
// Root Mean Square Layer Normalization (Zhang and Sennrich 2019), eq. 4. Squares are summed in f32,
// so |x| beyond 1e19 overflows.
void rms_norm(View<const float, 2> x, const float* gain, float epsilon, View<float, 2> out);

// out = (x - mean) / sqrt(variance + epsilon) · gain + shift, biased variance; shift may be null.
// Layer Normalization (Ba, Kiros, Hinton 2016), eq. 4.
void layer_norm(View<const float, 2> x, const float* gain, const float* shift, float epsilon,
                View<float, 2> out);

// Activations, element by element; zero (never NaN) at -inf. Errors: simd/math-inl.h.
void silu(View<const float, 2> x, View<float, 2> out);       // x / (1 + e^-x)
void gelu_tanh(View<const float, 2> x, View<float, 2> out);  // Hendrycks and Gimpel 2016
void gelu_erf(View<const float, 2> x, View<float, 2> out);   // x/2 (1 + erf(x/√2))
void relu(View<const float, 2> x, View<float, 2> out);       // max(x, 0); NaN stays
// out = silu(gate) · up                                     Shazeer 2020; out may be either input
void swiglu(View<const float, 2> gate, View<const float, 2> up, View<float, 2> out);

// The same by name, for layers that learn theirs when a model is loaded; tanh(x), 1 / (1 + e^-x)
// and x itself besides.
enum class Activation : uint8_t { silu, gelu_tanh, gelu_erf, relu, tanh, sigmoid, identity };
void activate(Activation function, View<const float, 2> x, View<float, 2> out);
// out = function(gate) · up; out may be either input
void activate_gated(Activation function, View<const float, 2> gate, View<const float, 2> up,
                    View<float, 2> out);

void scale(View<const float, 2> x, float factor, View<float, 2> out);  // x · factor
void softcap(View<const float, 2> x, float cap, View<float, 2> out);   // tanh(x / cap) · cap

// out = a + b; out may be either.
void add(View<const float, 2> a, View<const float, 2> b, View<float, 2> out);

// Each row becomes exp(x - max) / Σ exp(x - max); a row of -inf becomes zeros, a NaN or +inf makes
// its row NaN. -0 never appears.
void softmax(View<const float, 2> x, View<float, 2> out);

// log Σ exp(x) of each row, in f32; -inf for a row of -inf, NaN where a row has a NaN or +inf.
void log_sum_exp(View<const float, 2> x, float* out);

// x - log Σ exp(x) of each row; NaN where log Σ exp is not finite.
void log_softmax(View<const float, 2> x, View<float, 2> out);

// Elementary functions, element by element, n numbers; out may be x. The largest errors found
// against f64 over all f32, denormal and huge numbers included, in units in the last place.
void exp(const float* x, int64_t n, float* out);   // 0.9; exactly 0 below 2^-126, inf above 2^128
void tanh(const float* x, int64_t n, float* out);  // 1.4
void erf(const float* x, int64_t n, float* out);   // 1.5
void sin(const float* x, int64_t n, float* out);   // 1.6
void cos(const float* x, int64_t n, float* out);   // 1.6
void log(const float* x, int64_t n, float* out);   // 0.9; NaN below 0

}  // namespace regard
