// Mlp: down(silu(gate(x)) · up(x)). GLU Variants Improve Transformer (Shazeer 2020), eq. 6.
#pragma once

#include "nn/linear.h"

namespace regard::nn {

struct Mlp {
  Linear gate, up, down;

  Tensor operator()(const Tensor& x) const {
    auto [gated, raised] = linear_fused(x, gate.weight(), up.weight());
    return down(swiglu(gated, std::move(raised)));
  }
};

}  // namespace regard::nn
