#include "nn/block.h"

namespace regard::nn {

Tensor Block::operator()(const Tensor& x, const Step& step) const {
  Tensor h = attention_norms.join(x, attention(attention_norms.before(x), step));
  if (cross) h = cross_norms.join(h, (*cross)(cross_norms.before(h), step));
  const Tensor y = mlp_norms.join(h, mlp(mlp_norms.before(parallel ? x : h)));
  step.show(attention.layer, Site::residual, y);
  return y;
}

}  // namespace regard::nn
