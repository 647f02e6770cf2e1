// Mlp: down(f(up(x))), or gated, down(f(gate(x)) · up(x)). GLU Variants Improve Transformer
// (Shazeer 2020), eq. 2 and 5.
#pragma once

#include "nn/linear.h"

namespace regard::nn {

struct Mlp {
  Linear gate = {};  // without a matrix: not gated
  Linear up = {}, down = {};
  Activation activation = Activation::silu;

  Tensor operator()(const Tensor& x) const {
    if (!gate) return down(activate(activation, up(x)));
    auto [gated, raised] = linear_fused(x, gate.weight(), up.weight());
    return down(activate_gated(activation, gated, std::move(raised)));
  }

  int64_t bytes() const noexcept { return gate.bytes() + up.bytes() + down.bytes(); }
};

}  // namespace regard::nn
