#include "nn/block.h"

#include <array>

#include "tensor/tape.h"

namespace regard::nn {
namespace {

template <class Part>
Tensor around(const Norms& norms, const Tensor& x, const Tensor& seen, const Part& part) {
  const Tensor normed = norms.before(seen);
  return norms.join(x, normed, part(normed));
}

Tensor pass(const Block& block, const Tensor& x, const Step& step) {
  const int64_t layer = block.attention.layer;
  const auto drop = [&](Tensor y, Dropped what) {
    return step.drop(std::move(y), block.dropout, layer, what);
  };
  const auto attend = [&](const Tensor& y) {
    return drop(block.attention(y, step), Dropped::attention);
  };
  const auto attend_to_source = [&](const Tensor& y) {
    return drop((*block.cross)(y, step), Dropped::cross);
  };
  const auto mlp = [&](const Tensor& y) { return drop(block.mlp(y), Dropped::mlp); };
  Tensor h = around(block.attention_norms, x, x, attend);
  if (block.cross) h = around(block.cross_norms, h, h, attend_to_source);
  const Tensor y = around(block.mlp_norms, h, block.parallel ? x : h, mlp);
  step.show(layer, Site::residual, y);
  return y;
}

}  // namespace

Tensor Block::operator()(const Tensor& x, const Step& step) const {
  if (!checkpoint) return pass(*this, x, step);
  // Computed again when the block may be gone: a copy, which shares its leaves. Observers are shown
  // the first time only. The source is an input, so that its gradient ends where this block began.
  const auto again = [block = *this, step = Step(step)](std::span<const Tensor> in) mutable {
    if (in.size() > 1) step.source = &in[1];
    Tensor y = pass(block, in[0], step);
    step.observer = nullptr;
    return y;
  };
  if (step.source == nullptr) return checkpointed(again, std::array{x});
  return checkpointed(again, std::array{x, *step.source});
}

}  // namespace regard::nn
