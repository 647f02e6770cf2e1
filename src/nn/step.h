// Step: what one pass through the layers shares. Layers pass it on and do not look inside; only
// the operations on the cache and the positions do.
#pragma once

#include <cstdint>
#include <span>

#include "attention/attention.h"
#include "tensor/tensor.h"

namespace regard::nn {

// Places inside a block where somebody may look.
enum class Site {
  query,     // [tokens, heads, dim], rotated: with the cache, all of a map's row
  key,       // [tokens, kv_heads, dim], rotated, before the cache rounds it
  value,     // [tokens, kv_heads, dim_v]
  attended,  // [tokens, heads, dim_v], before the output matrix
  residual,  // [tokens, width], after the block
};

// Is shown the tensors of a pass. Keeping one costs no copy: a shared tensor is not written again.
class Observer {
 public:
  virtual ~Observer() = default;
  virtual void see(int64_t layer, Site site, const Tensor& value) = 0;
};

struct Step {
  std::span<const int32_t> positions;  // [tokens], of each token in its own sequence
  std::span<const Segment> segments;
  KvCache* cache = nullptr;
  AttentionPlan* plan = nullptr;  // made from segments, the same for every layer
  Observer* observer = nullptr;

  void show(int64_t layer, Site site, const Tensor& value) const {
    if (observer != nullptr) observer->see(layer, site, value);
  }
};

}  // namespace regard::nn
