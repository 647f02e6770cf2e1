// A gather with the last of the indices [batch, head, row, key]; an axis of extent 1 is broadcast.
#pragma once

#include <array>

#include "regard/program.h"

namespace regard::program {

inline Expr at_last_axes(const Array& array, const std::array<Expr, Array::kMaxRank>& index) {
  std::array<Expr, Array::kMaxRank> chosen;
  const int rank = array.rank();
  for (int axis = 0; axis < rank; ++axis) {
    const Expr& at = index[static_cast<std::size_t>(Array::kMaxRank - rank + axis)];
    chosen[static_cast<std::size_t>(axis)] = array.shape(axis) == 1 ? Expr(0) : at;
  }
  return array.gather(std::span(chosen).first(static_cast<std::size_t>(rank)));
}

}  // namespace regard::program
