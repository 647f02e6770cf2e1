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
  embedding,  // [tokens, width], what the first block is given
  query,      // [tokens, heads, dim], rotated: with the cache, all of a map's row
  key,        // [tokens, kv_heads, dim], rotated, before the cache rounds it
  value,      // [tokens, kv_heads, dim_v]
  attended,   // [tokens, heads, dim_v], before the output matrix
  residual,   // [tokens, width], after the block
};

// Is shown the tensors of a pass. Keeping one costs no copy: a shared tensor is not written again.
class Observer {
 public:
  virtual ~Observer() = default;
  virtual void see(int64_t layer, Site site, const Tensor& value) = 0;
};

// How the layers of one kind attend in this step. Layers are of one kind when they share mask,
// score program, scale and where their keys come from: Gemma's local layers are one kind and its
// global ones another, a decoder's cross-attention is a third.
struct AttentionStep {
  std::span<const Segment> segments;  // of the queries; the plan was made from them
  AttentionPlan* plan = nullptr;
  // The keys that this step adds lie in the cache behind those it has; without a cache they are all
  // there are, as in an encoder.
  KvCache* cache = nullptr;
  const KvCache* memory = nullptr;  // of cross-attention: has all keys already
};

struct Step {
  std::span<const int32_t> positions;  // [tokens], of each token in its own sequence
  std::span<const AttentionStep> kinds;
  // The row of the rotations' tables for each token, where it is not its position (LongRoPE).
  std::span<const int32_t> turns = {};
  Observer* observer = nullptr;

  void show(int64_t layer, Site site, const Tensor& value) const {
    if (observer != nullptr) observer->see(layer, site, value);
  }
};

}  // namespace regard::nn
