#include "nn/block.h"

namespace regard::nn {
namespace {

template <class Part>
Tensor around(const Norms& norms, const Tensor& x, const Tensor& seen, const Part& part) {
  const Tensor normed = norms.before(seen);
  return norms.join(x, normed, part(normed));
}

}  // namespace

Tensor Block::operator()(const Tensor& x, const Step& step) const {
  const auto attend = [&](const Tensor& y) { return attention(y, step); };
  const auto attend_to_memory = [&](const Tensor& y) { return (*cross)(y, step); };
  Tensor h = around(attention_norms, x, x, attend);
  if (cross) h = around(cross_norms, h, h, attend_to_memory);
  const Tensor y = around(mlp_norms, h, parallel ? x : h, mlp);
  step.show(attention.layer, Site::residual, y);
  return y;
}

}  // namespace regard::nn
