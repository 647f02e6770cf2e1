// Products of plain matrices on the one matmul tile: what training multiplies, where weights change
// with every step and a packed copy would be read once.
//
// A number of c is the same whatever the shares, threads and neighbours, and the same as that of a
// packed weight: a chain of fused multiply-adds over k that restarts every 256 (kInputBlock), the
// blocks added in order to what was there, or to 0; then the bias.
#pragma once

#include <cstdint>
#include <span>

#include "base/threads.h"
#include "matmul/matmul.h"
#include "regard/view.h"

namespace regard {

// c = a b + bias, or c += a b.
struct Product {
  View<const float, 2> a;  // [rows, inner]
  PlainMatrix b;           // [inner, columns]
  View<float, 2> c;        // [rows, columns], unit stride along a row; neither a nor b
  bool add_to_c = false;
  const float* bias = nullptr;  // [columns]; for c = a b only
  // Sums of the rows of a in the order of c's sums, with b = 1: the gradient of a bias, taken on
  // the way. [rows] or null.
  float* row_sums = nullptr;
  bool add_to_row_sums = false;
};

template <class T>
View<T, 2> transposed(View<T, 2> x) {
  return {x.data, {x.shape[1], x.shape[0]}, {x.strides[1], x.strides[0]}};
}

// All of them in one fork-join; none reads what another writes. Any extent may be 0.
// Throws Error when shapes disagree.
void multiply(std::span<const Product> products, ThreadPool& pool);
inline void multiply(const Product& product, ThreadPool& pool) { multiply({&product, 1}, pool); }

// The formula, for f64: one chain over k, on the calling thread.
void multiply(View<const double, 2> a, View<const double, 2> b, View<double, 2> c, bool add_to_c);

}  // namespace regard
