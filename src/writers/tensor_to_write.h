// TensorToWrite: one tensor of a file that is being written. Its bytes are made when it is their
// turn, so that no more than a part of a model is in memory.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include "regard/dtype.h"

namespace regard {

using Bytes = std::span<const std::byte>;

struct TensorToWrite {
  std::string name;
  DType dtype = DType::f32;
  int rank = 0;
  std::array<int64_t, 4> shape{1, 1, 1, 1};  // outermost first, 1 past rank
  // Gives all bytes to `take`, in order, in pieces of any size.
  std::function<void(const std::function<void(Bytes)>& take)> produce;

  int64_t row() const noexcept { return rank == 0 ? 1 : shape[static_cast<std::size_t>(rank - 1)]; }
  uint64_t bytes() const noexcept {
    int64_t elements = 1;
    for (const int64_t extent : shape) elements *= extent;
    return static_cast<uint64_t>(row_bytes(dtype, elements));
  }
};

}  // namespace regard
