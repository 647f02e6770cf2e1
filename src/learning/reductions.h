// Sums and means. They are taken in f64, 16 lanes (index mod 16) over blocks of 16,384 numbers, or
// over one row; sums over rows as those of gradients: blocks of 64 rows, added in order.
#pragma once

#include "tensor/tensor.h"

namespace regard {

enum class Over {
  all,      // of x: [1]
  rows,     // of x [.., width]: [width]
  columns,  // of x [.., width]: [rows]
};

Tensor sum(const Tensor& x, Over over = Over::all);
Tensor mean(const Tensor& x,
            Over over = Over::all);  // Throws Error where there is nothing to count

}  // namespace regard
