// A matrix whose numbers lie as they are: what is packed, or multiplied without packing.
#pragma once

#include <cstdint>
#include <utility>

#include "regard/dtype.h"
#include "regard/view.h"

namespace regard {

// Numbers of f32, f16 or bf16 that lie anywhere: (i, j) at data + i strides[0] + j strides[1].
struct PlainMatrix {
  const void* data = nullptr;
  DType dtype = DType::f32;
  View<const float, 2>::Extents shape{};
  View<const float, 2>::Extents strides{};

  PlainMatrix() = default;
  PlainMatrix(View<const float, 2> x)  // NOLINT: a view of f32 is a plain matrix
      : data(x.data), shape(x.shape), strides(x.strides) {}
  // Row-major and dense.
  PlainMatrix(const void* numbers, DType type, int64_t rows, int64_t columns)
      : data(numbers), dtype(type), shape{rows, columns}, strides{columns, 1} {}

  PlainMatrix transposed() const {
    PlainMatrix turned = *this;
    std::swap(turned.shape[0], turned.shape[1]);
    std::swap(turned.strides[0], turned.strides[1]);
    return turned;
  }
};

}  // namespace regard
