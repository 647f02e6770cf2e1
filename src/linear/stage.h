// Rows of any dtype and stride made ready for the recurrence: widened to f32, padded with zeros to
// whole vectors, mapped by φ or exp; and rows written back, rounded once.
#pragma once

#include <cstdint>

#include "regard/dtype.h"
#include "regard/linear_attention.h"

namespace regard {

// rows rows of count numbers, `step` apart, from one row to the next row_step; in elements.
struct RowsIn {
  const void* data = nullptr;
  DType dtype = DType::f32;  // f32, f16 or bf16
  int64_t row_step = 0, step = 1;
};
struct RowsOut {
  void* data = nullptr;
  DType dtype = DType::f32;
  int64_t row_step = 0, step = 1;
};

// out[r] [out_step] = factor φ(row), zeros behind count; out_step is a multiple of 16.
void stage(const RowsIn& from, int64_t rows, int64_t count, FeatureMap map, float factor,
           float* out, int64_t out_step) noexcept;
// g[r][i] *= φ'(row[i]), for i below count: from gradients of φ(x) to those of x.
void through_features(const RowsIn& from, int64_t rows, int64_t count, FeatureMap map, float* g,
                      int64_t g_step) noexcept;
// Writes factors[r] · from[r] + 0.0f; factors null: 1.
void unstage(const float* from, int64_t from_step, const float* factors, int64_t rows,
             int64_t count, const RowsOut& to) noexcept;

}  // namespace regard
