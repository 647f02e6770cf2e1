// Encoder: all tokens of a text look at each other, nothing is kept: BERT and its like, and the
// first half of T5. Families differ only in how they fill it when a file is loaded.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "nn/block.h"
#include "nn/ends.h"
#include "nn/step.h"
#include "regard/model.h"

namespace regard::models {

struct EncoderConfig {
  int64_t width = 0;
  int64_t heads = 0;
  int64_t dim = 0;
  int64_t dim_v = 0;
  int64_t vocabulary = 0;
  int64_t context = 0;                        // most tokens of a text
  std::string_view context_name = "context";  // what says so, for messages
  AttentionOptions options;                   // of all its layers
  std::vector<CapturedLeaf> learned = {};     // arrays of the options that training changes
  Pooling pooling = Pooling::mean;
  bool normalise = true;

  AttentionShape attention_shape() const noexcept { return {heads, heads, dim, dim_v}; }
};

struct Encoder {
  EncoderConfig config;
  nn::InputEmbedding embedding;
  std::vector<nn::Block> blocks;
  nn::Norm norm;  // behind the last block

  // The states of the tokens of many texts: [tokens, width]. The plan was made from the segments,
  // one a text; positions count within it.
  Tensor hidden(std::span<const int32_t> tokens, std::span<const int32_t> positions,
                std::span<const Segment> segments, AttentionPlan& plan,
                nn::Observer* observer = nullptr) const;

  // The same of a step that was made elsewhere.
  Tensor hidden(std::span<const int32_t> tokens, const nn::Step& step) const;

  int64_t bytes() const noexcept;  // of packed weights that a text reads
};

}  // namespace regard::models
