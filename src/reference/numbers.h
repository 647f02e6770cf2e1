// Numbers: an array of any dtype and strides copied into dense double precision, and back.
#pragma once

#include <array>
#include <vector>

#include "regard/any_view.h"
#include "regard/program.h"

namespace regard::reference {

struct Numbers {
  std::array<int64_t, 4> shape{};  // [batch, tokens, heads, dim]
  std::vector<double> data;

  explicit Numbers(const std::array<int64_t, 4>& extents) : shape(extents) {
    data.resize(static_cast<std::size_t>(shape[0] * shape[1] * shape[2] * shape[3]));
  }
  explicit Numbers(const InputView<4>& view);
  // [dim]
  const double* at(int64_t slab, int64_t token, int64_t head) const {
    return data.data() + ((slab * shape[1] + token) * shape[2] + head) * shape[3];
  }
  double* at(int64_t slab, int64_t token, int64_t head) {
    return data.data() + ((slab * shape[1] + token) * shape[2] + head) * shape[3];
  }
};

// A real captured array, dense. [n0, n1, ...]
std::vector<double> numbers_of(const Array& array);

// One row of numbers, each rounded once; -0 never appears.
void write_row(const OutputView<4>& view, int64_t slab, int64_t token, int64_t head,
               const double* numbers);

}  // namespace regard::reference
