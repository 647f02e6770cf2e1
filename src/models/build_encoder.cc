#include "models/build_encoder.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/check.h"
#include "regard/program.h"

namespace regard::models {
namespace {

// The parts of a block whose tensors' names begin with `prefix`.
class Maker {
 public:
  Maker(const Settings& settings, const Weights& weights, std::string prefix, int64_t layer)
      : s_(settings), weights_(weights), prefix_(std::move(prefix)), layer_(layer) {}

  nn::Attention attention(const char* part, const char* output) const {
    nn::Attention made;
    made.layer = layer_;
    made.heads = made.kv_heads = s_.heads;
    made.dim = s_.dim;
    made.dim_v = s_.dim_v;
    const Rows rows{.bias = s_.attention_bias};
    const auto name = [&](const char* end) { return prefix_ + part + end; };
    made.query = weights_.linear(name("_q"), s_.heads * s_.dim, s_.width, rows);
    made.key = weights_.linear(name("_k"), s_.heads * s_.dim, s_.width, rows);
    made.value = weights_.linear(name("_v"), s_.heads * s_.dim_v, s_.width, rows);
    made.output = weights_.linear(prefix_ + output, s_.width, s_.heads * s_.dim_v, rows);
    return made;
  }

  nn::Mlp mlp() const {
    const int64_t inner = s_.inner.front();
    const Rows rows{.bias = s_.mlp_bias};
    nn::Mlp made{.activation = s_.activation};
    if (s_.gated) made.gate = weights_.linear(prefix_ + "ffn_gate", inner, s_.width, rows);
    made.up = weights_.linear(prefix_ + "ffn_up", inner, s_.width, rows);
    made.down = weights_.linear(prefix_ + "ffn_down", s_.width, inner, rows);
    return made;
  }

  nn::Norm norm(const char* part) const {
    return weights_.norm(s_.norm, prefix_ + part, s_.width, s_.epsilon);
  }

 private:
  const Settings& s_;
  const Weights& weights_;
  std::string prefix_;
  int64_t layer_;
};

nn::Block post_norm_block(const Settings& s, const Weights& weights, int64_t layer) {
  const Maker maker(s, weights, fmt::format("blk.{}.", layer), layer);
  nn::Block block;
  block.attention = maker.attention("attn", "attn_output");
  block.attention_norms.behind = maker.norm("attn_output_norm");
  block.mlp.part = maker.mlp();
  block.mlp_norms.behind = maker.norm("layer_output_norm");
  return block;
}

nn::Block t5_block(const Settings& s, const Weights& weights, const char* stack, int64_t layer) {
  const Maker maker(s, weights, fmt::format("{}.blk.{}.", stack, layer), layer);
  nn::Block block;
  block.attention_norms.before = maker.norm("attn_norm");
  block.attention = maker.attention("attn", "attn_o");
  block.mlp_norms.before = maker.norm("ffn_norm");
  block.mlp.part = maker.mlp();
  return block;
}

// Where tokens stand and of which type they are, as one table: a text's tokens are all of the
// first type.
std::shared_ptr<const PackedMatrix> positions_and_type(const Settings& s, const Weights& weights) {
  std::vector<float> table = weights.numbers("position_embd.weight", s.context, s.width);
  if (s.encoder.token_types > 0) {
    const std::vector<float> types =
        weights.numbers("token_types.weight", s.encoder.token_types, s.width);
    for (int64_t i = 0; i < std::ssize(table); ++i) table[i] += types[i % s.width];
  }
  return weights.pack(table, s.context, s.width);
}

void refuse_more_layers(const Weights& weights, const char* stack, int64_t layers) {
  if (!weights.has(fmt::format("{}blk.{}.attn_q.weight", stack, layers))) return;
  fail(ErrorKind::unreadable, "{}: block_count is {}, but the file has a tensor of {}blk.{}",
       weights.source().name(), layers, stack, layers);
}

int64_t most_tokens(const Settings& s) {
  return s.encoder.most_tokens > 0 ? std::min(s.encoder.most_tokens, s.context) : s.context;
}

EncoderConfig encoder_config(const Settings& s) {
  EncoderConfig config;
  config.width = s.width;
  config.heads = s.heads;
  config.dim = s.dim;
  config.dim_v = s.dim_v;
  config.vocabulary = s.vocabulary;
  config.context = most_tokens(s);
  if (config.context < s.context) config.context_name = "max_seq_length";
  config.pooling = s.encoder.pooling;
  config.normalise = s.encoder.normalise;
  return config;
}

DecoderConfig decoder_config(const Settings& s, int64_t layers) {
  DecoderConfig config;
  config.architecture = s.architecture;
  config.layers = layers;
  config.width = s.width;
  config.heads = config.kv_heads = s.heads;
  config.dim = s.dim;
  config.dim_v = s.dim_v;
  config.vocabulary = s.vocabulary;
  config.context = most_tokens(s);
  return config;
}

}  // namespace

Expr bucket_bias(std::span<const float> table, int64_t heads, const EncoderSettings& settings,
                 bool bidirectional) {
  const std::vector<int32_t> bucket = program::t5_buckets(
      static_cast<int>(settings.buckets), static_cast<int>(settings.farthest), bidirectional);
  // relative_position() counts backwards: entry i - j + farthest.
  const std::size_t distances = bucket.size();
  std::vector<float> by_distance(static_cast<std::size_t>(heads) * distances);
  for (int64_t head = 0; head < heads; ++head) {
    for (std::size_t at = 0; at < distances; ++at) {
      by_distance[static_cast<std::size_t>(head) * distances + at] =
          table[static_cast<std::size_t>(bucket[distances - 1 - at] * heads + head)];
    }
  }
  return program::relative_position(
      Array::of("distance", std::move(by_distance), {heads, static_cast<int64_t>(distances)}));
}

Decoder build_encoder(const Settings& s, const Weights& weights) {
  require(!weights.learns(),
          "{}: a family with an encoder is not trained; nn::make_encoder_decoder() makes what is",
          s.architecture);
  refuse_more_layers(weights, "", s.layers);
  auto encoder = std::make_shared<Encoder>();
  encoder->config = encoder_config(s);
  encoder->embedding.tokens.table = weights.matrix("token_embd.weight", s.vocabulary, s.width);
  encoder->embedding.positions.table = positions_and_type(s, weights);
  encoder->embedding.norm = weights.norm(s.norm, "token_embd_norm", s.width, s.epsilon);
  for (int64_t layer = 0; layer < s.layers; ++layer) {
    encoder->blocks.push_back(post_norm_block(s, weights, layer));
  }
  Decoder model;
  model.config = decoder_config(s, 0);
  model.encoder = std::move(encoder);
  return model;
}

Decoder build_encoder_decoder(const Settings& s, const Weights& weights) {
  const int64_t layers = s.encoder.decoder_layers;
  refuse_more_layers(weights, "enc.", s.layers);
  refuse_more_layers(weights, "dec.", layers);
  // Where it learns, as the table itself, whose leaf joins `learned`.
  const auto bias = [&](const char* stack, bool bidirectional, std::vector<CapturedLeaf>& learned) {
    const std::string name = fmt::format("{}.blk.0.attn_rel_b.weight", stack);
    const EncoderSettings& e = s.encoder;
    if (!weights.learns()) {
      return bucket_bias(weights.numbers(name, e.buckets, s.heads), s.heads, e, bidirectional);
    }
    learned.push_back(capture(name, weights.matrix(name, e.buckets, s.heads).tensor));
    return program::t5_bias(learned.back().array, static_cast<int>(e.buckets),
                            static_cast<int>(e.farthest), bidirectional);
  };

  auto encoder = std::make_shared<Encoder>();
  encoder->config = encoder_config(s);
  encoder->config.options = {.score = bias("enc", true, encoder->config.learned), .scale = 1.0f};
  encoder->embedding.tokens.table = weights.matrix("token_embd.weight", s.vocabulary, s.width);
  encoder->norm = weights.norm(s.norm, "enc.output_norm", s.width, s.epsilon);
  for (int64_t layer = 0; layer < s.layers; ++layer) {
    encoder->blocks.push_back(t5_block(s, weights, "enc", layer));
  }

  Decoder model;
  model.config = decoder_config(s, layers);
  model.config.start = static_cast<int32_t>(s.encoder.decoder_start);
  model.config.kinds = {
      {.mask = causal(), .score = bias("dec", false, model.config.learned), .scale = 1.0f}};
  model.config.plain = {false};
  model.config.cross = AttentionOptions{.scale = 1.0f};
  model.embedding.tokens = encoder->embedding.tokens;
  const bool own_head = weights.stored() ? weights.has("output.weight") : !s.tied;
  model.head.matrix.matrix = own_head ? weights.matrix("output.weight", s.vocabulary, s.width)
                                      : encoder->embedding.tokens.table;
  // The head's factor is the final norm's: both multiply each row.
  model.head.norm = weights.norm(s.norm, "dec.output_norm", s.width, s.epsilon);
  if (weights.learns()) {
    model.head.factor = s.logit_scale;
  } else {
    for (float& gain : model.head.norm.gain.writable_numbers<float>()) gain *= s.logit_scale;
  }
  for (int64_t layer = 0; layer < layers; ++layer) {
    nn::Block block = t5_block(s, weights, "dec", layer);
    const Maker maker(s, weights, fmt::format("dec.blk.{}.", layer), layer);
    block.cross_norms.before = maker.norm("cross_attn_norm");
    block.cross = maker.attention("cross_attn", "cross_attn_o");
    block.cross->kind = 1;
    block.cross->cross = true;
    model.blocks.push_back(std::move(block));
  }
  model.encoder = std::move(encoder);
  return model;
}

}  // namespace regard::models
