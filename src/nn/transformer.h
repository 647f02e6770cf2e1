// Transformer: a stack of blocks made from a few sizes, with leaves that training changes: an
// encoder, a decoder, or both halves of an encoder-decoder. Its blocks are those of the families'
// checkpoints. Attention Is All You Need (Vaswani et al. 2017), figure 1.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "nn/block.h"
#include "nn/ends.h"
#include "nn/make.h"
#include "nn/pass.h"

namespace regard::nn {

// How tokens know where they stand.
enum class Positions : uint8_t {
  none,
  learned,     // a row of a table is added to each embedding
  sinusoidal,  // sines and cosines are: Vaswani et al. 2017
  rope,        // queries and keys are turned: Su et al. 2021
  alibi,       // scores fall with the distance: Press et al. 2022
  relative,    // a learned number of (head, distance) is added to scores: Shaw et al. 2018
  buckets,     // of (bucket of distances, head): T5, Raffel et al. 2020
};

struct TransformerConfig {
  int64_t vocabulary = 0;  // 0: no tokens, the caller embeds
  int64_t width = 0;       // of the residual stream
  int64_t layers = 0;
  int64_t heads = 1;
  int64_t kv_heads = 0;   // 0: as many as heads
  int64_t dim = 0;        // of a query or key head; 0: width / heads
  int64_t dim_v = 0;      // of a value head; 0: dim
  int64_t inner = 0;      // of the MLP; 0: 4 width
  int64_t context = 512;  // most tokens of a text, for positions that are stored

  Norm::Kind norm = Norm::Kind::layer;
  float epsilon = 1e-5f;
  bool post_norm = false;  // behind each sum, as in 2017, not in front of each part
  Activation activation = Activation::gelu_tanh;
  bool gated = false;
  bool bias = true;  // of linear layers and LayerNorm
  bool causal = true;
  int64_t window = 0;  // keys that a query sees, itself included; 0: all
  bool cross = false;  // blocks look at a source, too: a decoder of an encoder-decoder
  bool tied = true;    // the head is the embedding
  bool head = true;    // there is one

  Positions positions = Positions::learned;
  double rope_base = 10000;
  int64_t buckets = 32;    // of distances
  int64_t farthest = 128;  // distance that is told from greater ones

  float dropout = 0;            // of embeddings and of what each part adds
  float attention_dropout = 0;  // of weights
  bool checkpoint = false;      // blocks keep their inputs only, and are computed again
};

struct Transformer {
  TransformerConfig config;
  std::vector<Kind> kinds;  // one, that of self-attention; with a source its kind is `cross`
  Kind cross = {};
  InputEmbedding embedding;
  std::vector<Block> blocks;
  Norm norm;  // in front of the head: pre-norm blocks leave their sum as it is
  Head head;

  // ids [tokens of the texts] -> [tokens, width]. source: states of an encoder and its texts.
  Tensor hidden(std::span<const int32_t> ids, const Texts& texts, const PassOptions& options = {},
                std::optional<Source> source = {}) const;
  // The same of x [tokens, width], embedded but not yet placed.
  Tensor hidden(Tensor x, const Texts& texts, const PassOptions& options = {},
                std::optional<Source> source = {}) const;
  // hidden [tokens, width] -> [tokens, vocabulary]
  Tensor logits(const Tensor& hidden) const { return head(hidden); }

 private:
  Tensor through(Tensor x, const Pass& pass) const;
  std::shared_ptr<Pass> pass(const Texts& texts, const PassOptions& options,
                             std::optional<Source> source) const;
};

// Leaves are called `prefix` and what they are: "blk.0.attn_q.weight". tokens: a table to share.
// Throws Error naming the size that breaks a rule.
Transformer make_transformer(const TransformerConfig& config, const Maker& make,
                             const std::string& prefix = "", const Embedding& tokens = {});

struct EncoderDecoder {
  Transformer encoder, decoder;

  // Of the decoder's rows: [tokens of `targets`, vocabulary].
  Tensor logits(std::span<const int32_t> source_ids, const Texts& sources,
                std::span<const int32_t> target_ids, const Texts& targets,
                const PassOptions& options = {}) const;
};

// Both have the sizes of config; the encoder sees all of its text. One table of tokens for all.
EncoderDecoder make_encoder_decoder(TransformerConfig config, const Maker& make);

}  // namespace regard::nn
