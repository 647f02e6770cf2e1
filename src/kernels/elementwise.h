// Row and element kernels: norms, rotations, activations, softmax, and the functions they need.
// Every one gives the same bits on every target; the error of each function is stated and tested.
// Unless a line says otherwise views are [rows, width] with unit stride in the last axis, rows may
// lie anywhere, and out may be x itself. A row's result does not depend on the other rows; sums
// over a row run in 16 lanes (index mod 16, ascending) that are then added in halves. The calls
// allocate nothing and run on the calling thread. They throw Error when shapes disagree.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

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

// Which numbers of a head form a rotated pair.
enum class RopeLayout { halves, pairs };  // (i, i + dim/2) of the table's dim, or (2i, 2i + 1)

// cos and sin of every angle position · base^(-2i/dim) / factor_i, computed in f64 by functions of
// our own and stored as f32. RoFormer (Su et al. 2021), eq. 34.
class RopeTable {
 public:
  // dim: how many leading numbers of a head are rotated, even. factors: dim/2 divisors of the
  // frequencies (Llama 3.1's rope_freqs), or empty. scale: positions are divided by it.
  // Throws Error unless dim is positive and even, 1 <= base <= 1e30, and divisors are positive.
  RopeTable(int64_t dim, double base, std::span<const float> factors = {}, double scale = 1.0);

  // Makes rows up to (not including) that position available. Not thread-safe;
  // pointers into the table end. Throws Error when an angle passes 2^31.
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

// Activations, element by element; zero (never NaN) at -inf. Errors: simd/math-inl.h.
void silu(View<const float, 2> x, View<float, 2> out);       // x / (1 + e^-x)
void gelu_tanh(View<const float, 2> x, View<float, 2> out);  // Hendrycks and Gimpel 2016
void gelu_erf(View<const float, 2> x, View<float, 2> out);   // x/2 (1 + erf(x/√2))
// out = silu(gate) · up                                     Shazeer 2020; out may be either input
void swiglu(View<const float, 2> gate, View<const float, 2> up, View<float, 2> out);

// out = a + b; out may be either.
void add(View<const float, 2> a, View<const float, 2> b, View<float, 2> out);

// Each row becomes exp(x - max) / Σ exp(x - max); a row of -inf becomes zeros, a NaN or +inf makes
// its row NaN. -0 never appears.
void softmax(View<const float, 2> x, View<float, 2> out);

// log Σ exp(x) of each row, in f32; -inf for a row of -inf, NaN where a row has a NaN or +inf.
void log_sum_exp(View<const float, 2> x, float* out);

// Elementary functions, element by element, n numbers; out may be x. The largest errors found
// against f64 over all f32, denormal and huge numbers included, in units in the last place.
void exp(const float* x, int64_t n, float* out);   // 0.9; exactly 0 below 2^-126, inf above 2^128
void tanh(const float* x, int64_t n, float* out);  // 1.4
void erf(const float* x, int64_t n, float* out);   // 1.5
void sin(const float* x, int64_t n, float* out);   // 1.6
void cos(const float* x, int64_t n, float* out);   // 1.6
void log(const float* x, int64_t n, float* out);   // 0.9; NaN below 0

}  // namespace regard
