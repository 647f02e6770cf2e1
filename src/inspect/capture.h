// Capture: one prompt run once, with what it takes to compute any row of any map again: the rotated
// queries, and the cache with the keys and values that the kernel read. No map is ever stored.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "attention/attention.h"
#include "models/decoder.h"
#include "regard/model.h"
#include "runtime/batch.h"
#include "tensor/tensor.h"

namespace regard::inspect {

struct CaptureOptions {
  int64_t layer = -1;   // keep the queries of this layer only; -1 = of all
  RunOptions run = {};  // chunk, page and kv as in generation, so that the numbers are the same
};

class Capture {
 public:
  // Runs the ids from position 0. The model must outlive the capture.
  // Throws Error unless 1 <= ids <= the model's context, every id is in its vocabulary, the layer
  // is one of it and the options are legal.
  Capture(const models::Decoder& model, std::span<const TokenId> ids, ThreadPool& pool,
          const CaptureOptions& options = {});
  Capture(const Capture&) = delete;
  Capture& operator=(const Capture&) = delete;

  const models::Decoder& model() const noexcept { return model_; }
  std::span<const TokenId> ids() const noexcept { return sequence_.ids; }
  int64_t tokens() const noexcept { return static_cast<int64_t>(sequence_.ids.size()); }
  bool has(int64_t layer) const noexcept { return layer_ == -1 || layer_ == layer; }

  // The row of a query against keys 0 .. query, by the kernel, as the layer's kind of attention has
  // it: scores are those behind the score program, -inf where masked. Thread-safe.
  // Throws Error when there is no such layer, head or query, or the layer was not kept.
  RowOfMap row(int64_t layer, int64_t head, int64_t query) const;

  // The values of one kv head as the cache stores them, widened: [tokens, dim_v].
  std::vector<float> values(int64_t layer, int64_t kv_head) const;

  // Which kv head a query head reads.
  int64_t kv_head(int64_t head) const noexcept {
    return head / (model_.config.heads / model_.config.kv_heads);
  }

 private:
  class Keeper;
  struct Pass {
    int64_t first_query;
    Tensor queries;  // [rows, heads, dim]
  };

  const models::Decoder& model_;
  int64_t layer_;
  Batch batch_;
  Sequence sequence_;
  std::vector<std::vector<Pass>> passes_;  // of each layer, in order
};

}  // namespace regard::inspect
