// Multi-head attention: over the paged cache, over this step's own tokens, or over an encoder's
// output. Mask, score program and scale belong to the plan of its kind. Gradients pass where there
// is no cache.
#pragma once

#include <cstdint>
#include <memory>

#include "nn/linear.h"
#include "nn/norm.h"
#include "nn/step.h"

namespace regard::nn {

// How the heads of a kind of layer are turned; without a table they are not.
struct Rotation {
  std::shared_ptr<const RopeTable> table = {};
  RopeLayout layout = RopeLayout::halves;

  Tensor operator()(Tensor x, const Step& step) const {
    if (!table) return x;
    return rope(std::move(x), table, step.turns.empty() ? step.positions : step.turns, layout);
  }
};

struct Attention {
  int64_t layer = 0;  // which part of the cache is ours
  int64_t kind = 0;   // which of the step's kinds is ours
  int64_t heads = 1;
  int64_t kv_heads = 1;
  int64_t dim = 1;
  int64_t dim_v = 1;
  Linear query = {}, key = {}, value = {}, output = {};
  Norm query_norm = {}, key_norm = {};  // of each head, before it is turned
  Rotation rotate = {};
  bool cross = false;  // keys and values are those it was made to remember, or of the step's source
  float dropout = 0;   // of weights, in training

  Tensor operator()(const Tensor& x, const Step& step) const;  // [tokens, width]

  // Of cross-attention: keys and values of an encoder's output, memory [its tokens, width], go into
  // the cache that steps read; a segment's are its keys, all of them new.
  void remember(const Tensor& memory, std::span<const Segment> segments, KvCache& cache) const;

  int64_t bytes() const noexcept {
    return query.bytes() + key.bytes() + value.bytes() + output.bytes();
  }
};

}  // namespace regard::nn
