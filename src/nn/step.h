// Step: what one pass through the layers shares. Layers pass it on and do not look inside; only
// the operations on the cache and the positions do.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "learning/dropout.h"
#include "nn/init.h"
#include "ops/ops.h"

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
  const KvCache* memory = nullptr;             // of cross-attention: has all keys already
  std::span<const CapturedLeaf> learned = {};  // arrays of the plan's options that training changes
};

// What a layer of rate `dropout` may drop, each with random numbers of its own.
enum class Dropped : uint8_t { embedding, weights, attention, cross_weights, cross, mlp };

struct Step {
  std::span<const int32_t> positions;  // [tokens], of each token in its own sequence
  std::span<const AttentionStep> kinds;
  // The row of the rotations' tables for each token, where it is not its position (LongRoPE).
  std::span<const int32_t> turns = {};
  Observer* observer = nullptr;
  // Of cross-attention without a cache: the states it looks at, [their tokens, width].
  const Tensor* source = nullptr;
  // Of training: what dropout's random numbers of this step are keyed on; nothing: none drops.
  std::optional<uint64_t> random = {};
  // Keeps what the step points at, for layers that are computed again when gradients are.
  std::shared_ptr<const void> owner = {};

  void show(int64_t layer, Site site, const Tensor& value) const {
    if (observer != nullptr) observer->see(layer, site, value);
  }

  // Is the rate one that drops in this step?
  bool drops(float rate) const noexcept { return random && rate > 0; }
  // Of a weight program's random numbers.
  uint64_t seed(int64_t layer, Dropped what) const noexcept {
    return derived_seed(*random, "dropout", place(layer, what));
  }
  // x, or in training x with each number dropped at that rate and the others 1 / (1 - rate) as
  // large (Srivastava et al. 2014).
  Tensor drop(Tensor x, float rate, int64_t layer, Dropped what) const {
    return drops(rate) ? dropout(std::move(x), rate, {*random, place(layer, what)}) : x;
  }

 private:
  static uint64_t place(int64_t layer, Dropped what) noexcept {
    constexpr uint64_t kPlaces = 8;
    return static_cast<uint64_t>(layer) * kPlaces + static_cast<uint64_t>(what);
  }
};

}  // namespace regard::nn
