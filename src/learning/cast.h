// Numbers stored as another dtype, each rounded to nearest even; f64 goes to f16 and bf16 by f32.
#pragma once

#include "tensor/tensor.h"

namespace regard {

// x as f64, f32, f16 or bf16; x itself where it is that already. The gradient goes straight through
// the rounding (Bengio et al. 2013): in f32, or f64 where x is f64.
Tensor cast(const Tensor& x, DType dtype);

}  // namespace regard
