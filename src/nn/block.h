// Block: the pre-norm Transformer layer, x + attention(norm(x)) and then h + mlp(norm(h)).
// The one definition that inference, training and inspection share.
#pragma once

#include "nn/attention.h"
#include "nn/mlp.h"
#include "nn/norm.h"
#include "nn/step.h"

namespace regard::nn {

struct Block {
  RmsNorm attention_norm;
  Attention attention;
  RmsNorm mlp_norm;
  Mlp mlp;

  Tensor operator()(const Tensor& x, const Step& step) const;  // [tokens, width]
};

}  // namespace regard::nn
