// Row and element kernels: norms, rotations, activations, softmax, and the functions they need.
// Every one gives the same bits on every target; the error of each function is stated and tested.
// Unless a line says otherwise views are [rows, width] with unit stride in the last axis, and out
// may be x itself.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "regard/view.h"

namespace regard {

// out = x / sqrt(mean(x²) + epsilon) · gain            gain [width]
// Root Mean Square Layer Normalization (Zhang and Sennrich 2019), eq. 4.
void rms_norm(View<const float, 2> x, const float* gain, float epsilon, View<float, 2> out);

// out = (x - mean) / sqrt(variance + epsilon) · gain + shift, biased variance; shift may be null.
// Layer Normalization (Ba, Kiros, Hinton 2016), eq. 4.
void layer_norm(View<const float, 2> x, const float* gain, const float* shift, float epsilon,
                View<float, 2> out);

// Which numbers of a head form a rotated pair.
enum class RopeLayout { halves, pairs };  // (i, i + dim/2), or (2i, 2i + 1)

// cos and sin of every angle position · base^(-2i/dim) / factor_i, computed in f64 by functions of
// our own and stored as f32. RoFormer (Su et al. 2021), eq. 34.
class RopeTable {
 public:
  // dim: how many leading numbers of a head are rotated, even. factors: dim/2 divisors of the
  // frequencies (Llama 3.1's rope_freqs), or empty. scale: positions are divided by it.
  RopeTable(int64_t dim, double base, std::span<const float> factors = {}, double scale = 1.0);

  // Makes rows up to (not including) that position available. Not thread-safe.
  void reserve(int64_t positions);

  int64_t dim() const noexcept { return dim_; }
  int64_t positions() const noexcept { return positions_; }
  const float* cosines(int64_t position) const noexcept { return table_.data() + position * dim_; }
  const float* sines(int64_t position) const noexcept { return cosines(position) + dim_ / 2; }

 private:
  int64_t dim_;
  int64_t positions_ = 0;
  std::vector<double> frequencies_;  // [dim / 2]
  std::vector<float> table_;         // [positions][cos dim/2, sin dim/2]
};

// Rotates x [tokens, heads, dim] in place; numbers beyond table.dim() stay. position[t] is that of
// token t and is below table.positions().
void rope(View<float, 3> x, const RopeTable& table, std::span<const int32_t> position,
          RopeLayout layout);

// Activations, element by element.
void silu(View<const float, 2> x, View<float, 2> out);       // x / (1 + e^-x)
void gelu_tanh(View<const float, 2> x, View<float, 2> out);  // Hendrycks and Gimpel 2016
void gelu_erf(View<const float, 2> x, View<float, 2> out);   // x/2 (1 + erf(x/√2))
void swiglu(View<const float, 2> gate, View<const float, 2> up, View<float, 2> out);  // silu(g)·u

void add(View<const float, 2> a, View<const float, 2> b, View<float, 2> out);

// Each row becomes exp(x - max) / Σ exp(x - max); a row of -inf becomes zeros, a NaN makes its row
// NaN.
void softmax(View<const float, 2> x, View<float, 2> out);

// log Σ exp(x) of each row, in f32; -inf for a row of -inf.
void log_sum_exp(View<const float, 2> x, float* out);

// Elementary functions, element by element, n numbers; stated errors are against f64 over all f32.
void exp(const float* x, int64_t n, float* out);  // exactly 0 below 2^-126, inf above 2^128
void tanh(const float* x, int64_t n, float* out);
void erf(const float* x, int64_t n, float* out);
void sin(const float* x, int64_t n, float* out);
void cos(const float* x, int64_t n, float* out);
void log(const float* x, int64_t n, float* out);

}  // namespace regard
