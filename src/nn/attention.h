// Multi-head attention with rotary positions over the paged cache.
#pragma once

#include <cstdint>
#include <memory>

#include "nn/linear.h"
#include "nn/step.h"

namespace regard::nn {

// How the heads of a model are turned; the same table for all its layers.
struct Rotation {
  std::shared_ptr<const RopeTable> table;
  RopeLayout layout = RopeLayout::halves;

  Tensor operator()(Tensor x, const Step& step) const {
    return rope(std::move(x), *table, step.positions, layout);
  }
};

struct Attention {
  int64_t layer = 0;  // which part of the cache is ours
  int64_t heads = 1;
  int64_t kv_heads = 1;
  int64_t dim = 1;
  int64_t dim_v = 1;
  Linear query, key, value, output;
  Rotation rotate;

  Tensor operator()(const Tensor& x, const Step& step) const;  // [tokens, width]
};

}  // namespace regard::nn
