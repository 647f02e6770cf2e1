#include "nn/block.h"

namespace regard::nn {

Tensor Block::operator()(const Tensor& x, const Step& step) const {
  const Tensor h = x + attention(attention_norm(x), step);
  const Tensor y = h + mlp(mlp_norm(h));
  step.show(attention.layer, Site::residual, y);
  return y;
}

}  // namespace regard::nn
