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

}  // namespace regard::models
