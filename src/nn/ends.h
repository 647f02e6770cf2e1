// The two ends of a model: ids become rows, rows become logits.
#pragma once

#include <span>
#include <utility>

#include "nn/linear.h"
#include "nn/norm.h"

namespace regard::nn {

// norm(scale · tokens(id) + positions(position)); what a family does not have is left out.
struct InputEmbedding {
  Embedding tokens = {};
  Embedding positions = {};  // learned
  float scale = 1;
  Norm norm = {};

  Tensor operator()(std::span<const int32_t> ids, std::span<const int32_t> at) const {
    Tensor x = tokens(ids);
    if (scale != 1) x = regard::scale(std::move(x), scale);
    if (positions) x = positions(at) + std::move(x);
    return norm(std::move(x));
  }
};

// cap(matrix(norm(x)))
struct Head {
  Norm norm = {};
  Linear matrix = {};
  float soft_cap = 0;  // of the logits; 0 = none

  Tensor operator()(const Tensor& x) const {
    Tensor logits = matrix(norm(x));
    return soft_cap > 0 ? softcap(std::move(logits), soft_cap) : logits;
  }
};

}  // namespace regard::nn
