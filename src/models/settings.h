// Settings: what a model's files say besides its tensors, in the form that GGUF keeps it, so that a
// folder of safetensors and the GGUF made of it are the same model to the bit. A family reads them
// from config.json; gguf_keys.h reads and writes them as keys.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "kernels/elementwise.h"
#include "nn/norm.h"
#include "regard/model.h"

namespace regard::models {

// Limits on what a file may claim before its tensors are looked at.
inline constexpr int64_t kMostWidth = int64_t{1} << 24;
inline constexpr int64_t kMostContext = int64_t{1} << 30;
inline constexpr int64_t kMostHeads = int64_t{1} << 16;
inline constexpr int64_t kMostDim = 1024;  // of the attention kernels
inline constexpr int64_t kMostLayers = 4096;
inline constexpr int64_t kMostExperts = 4096;

// YaRN (Peng et al. 2023): high frequencies stay, low ones are divided by factor.
struct Yarn {
  float factor = 1;
  int64_t original_context = 0;
  float beta_fast = 32;
  float beta_slow = 1;
  float attention = 1;  // cosines and sines grow by this times 1 + 0.1 ln factor
  bool whole = true;    // the ramp begins and ends at whole frequencies
};

// How the heads of a kind of layer are turned.
struct RopeSettings {
  int64_t dim = 0;  // so many leading numbers of a head; 0 = none
  float base = 10000;
  float scale = 1;                 // positions are divided by it
  std::vector<float> factors;      // [dim / 2] divisors of the frequencies, or empty
  std::optional<Yarn> yarn;        // instead of scale
  std::vector<float> far_factors;  // LongRoPE: those of texts longer than `near`, or empty
  int64_t near = 0;
  float amplitude = 1;  // of cosines and sines
};

// What parts a model has.
enum class Form { decoder, encoder, encoder_decoder };

// What only encoders have.
struct EncoderSettings {
  int64_t token_types = 0;     // rows of token_types; a text's tokens are of the first
  int64_t first_position = 0;  // rows of position_embd in front of a text's first: RoBERTa's files
  Pooling pooling = Pooling::mean;
  bool normalise = true;    // embeddings have length 1
  int64_t most_tokens = 0;  // of a text, where that is less than the context; 0: it is not

  // T5 (Raffel et al. 2020), §2.1.
  int64_t buckets = 0;  // of distances
  int64_t farthest = 128;
  int64_t decoder_layers = 0;
  int64_t decoder_start = 0;  // the token in front of what the decoder writes
};

struct Settings {
  Form form = Form::decoder;
  EncoderSettings encoder = {};
  std::string architecture;  // GGUF's name of the family
  int64_t layers = 0;
  int64_t width = 0;  // of the residual stream
  int64_t heads = 0;
  int64_t kv_heads = 0;
  int64_t dim = 0;                  // of a query or key head
  int64_t dim_v = 0;                // of a value head
  std::vector<int64_t> inner = {};  // of each layer's MLP
  int64_t vocabulary = 0;
  int64_t context = 0;  // most tokens of a sequence

  nn::Norm::Kind norm = nn::Norm::Kind::rms;
  float epsilon = 1e-5f;
  Activation activation = Activation::silu;
  bool gated = true;

  RopeSettings rope = {};
  std::optional<RopeSettings> local_rope = {};  // of layers with a window, where it differs
  bool pairs = false;  // rows of Q and K are in the order of adjacent pairs (GGUF's llama)
  float alibi = 0;     // slopes 2^(-alibi k / heads), Press et al. 2022; 0 = none
  bool learned_positions = false;

  int64_t window = 0;            // keys that a local layer's query sees, itself included; 0 = none
  std::vector<bool> local = {};  // which layers have the window; empty = all, if there is one

  float attention_scale = 0;  // 0 = 1/√dim
  float score_cap = 0;        // of scores and of logits; 0 = none
  float logit_cap = 0;
  float logit_scale = 1;  // what the head is given is multiplied by it
  float embedding_scale = 1;
  bool embedding_norm = false;
  bool head_norms = false;        // a norm on each query and key head
  bool sandwich = false;          // norms behind attention and MLP, too
  bool norm_is_residual = false;  // what a norm gives is what the part is added to (BLOOM)

  // Biases that must be there; where others are found they count, too.
  bool attention_bias = false;
  bool output_bias = true;  // attention_bias holds for attention's output, too
  bool mlp_bias = false;
  bool tied = false;  // the head is the embedding, whatever else the files hold

  int64_t experts = 0;  // 0 = one MLP
  int64_t experts_used = 0;

  bool is_local(int64_t layer) const {
    return window > 0 && (local.empty() || local[static_cast<std::size_t>(layer)]);
  }
};

// Throws Error(unreadable) naming the file unless the sizes fit each other.
void check(const Settings& settings, const std::string& file);

}  // namespace regard::models
