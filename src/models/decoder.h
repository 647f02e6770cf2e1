// Decoder: a causal language model as a value: embedding, blocks, head. Families differ only in how
// they fill it when a file is loaded.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "models/encoder.h"
#include "nn/block.h"
#include "nn/ends.h"
#include "nn/step.h"

namespace regard::models {

struct DecoderConfig {
  std::string architecture;
  int64_t layers = 0;
  int64_t width = 0;  // of the residual stream
  int64_t heads = 0;
  int64_t kv_heads = 0;
  int64_t dim = 0;    // of a query or key head
  int64_t dim_v = 0;  // of a value head
  int64_t vocabulary = 0;
  int64_t context = 0;  // most tokens of a sequence
  // Mask, score program and scale of each kind of layer; a block's attention.kind counts them.
  std::vector<AttentionOptions> kinds;
  std::vector<CapturedLeaf> learned = {};  // arrays of the kinds' options that training changes
  // Of the layers that look at an encoder's output: the kind behind those.
  std::optional<AttentionOptions> cross = {};
  int32_t start = 0;  // with an encoder: the token that a text begins with
  // Which kinds are causal softmax of the scaled scores and nothing else.
  std::vector<bool> plain;

  AttentionShape attention_shape() const noexcept { return {heads, kv_heads, dim, dim_v}; }
};

struct Decoder {
  DecoderConfig config;
  std::vector<std::shared_ptr<RopeTable>> rotations;  // shared with the blocks
  nn::InputEmbedding embedding;
  std::vector<nn::Block> blocks;
  nn::Head head;
  // Whose output cross-attention looks at. A model that is an encoder alone has no blocks.
  std::shared_ptr<const Encoder> encoder = {};

  // Makes positions [0, count) known to the layers; before a pass that uses them.
  void reserve(int64_t positions) const {
    for (const auto& table : rotations) table->reserve(positions);
  }

  // Texts longer than this are turned by other factors, all their tokens; 0 = there is no such
  // length (RopeTable::set_far).
  int64_t near() const noexcept { return rotations.empty() ? 0 : rotations.front()->near(); }

  // What the blocks make of the tokens: [tokens, width].
  Tensor hidden(std::span<const int32_t> tokens, const nn::Step& step) const;

  // hidden [rows, width] -> [rows, vocabulary]
  Tensor logits(const Tensor& hidden) const { return head(hidden); }

  // Packed weights that one decoded token reads; the embedding counts when it is the head too.
  int64_t weight_bytes() const noexcept;
};

}  // namespace regard::models
