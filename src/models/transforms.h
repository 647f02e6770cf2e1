// What lies between a tensor of transformers and the same in GGUF, number by number.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "formats/tensor_source.h"
#include "models/family.h"

namespace regard::models {

struct TransformedShape {
  std::optional<DType> dtype;
  int rank;
  std::array<int64_t, 4> extents;
};

// parts: one tensor, or for Transform::stacked one of each expert.
// Throws Error unless the parts are plain numbers of the shapes that the settings ask for.
TransformedShape transformed(Transform how, std::span<const TensorInfo* const> parts,
                             const Settings& settings);

// The data of it. Requires: transformed() did not throw.
std::vector<std::byte> transform(Transform how, std::span<const TensorInfo* const> parts,
                                 const Settings& settings);

// Rows that a tensor must have for the transform, 0 for any.
int64_t rows_asked(Transform how, const Settings& settings);

// The other way: the numbers of the stored form, of a tensor of plain numbers in GGUF's. What a
// file of experts or positions keeps elsewhere is the caller's: those and as_is are a copy.
// Requires: rows_asked() rows; for plus_one f32, for transposed a matrix.
std::vector<std::byte> restored(Transform how, const TensorInfo& own, const Settings& settings);

}  // namespace regard::models
