// T5, and its version 1.1, of which Flan-T5 is one: encoder and decoder, distances in buckets,
// scores that are not scaled. Raffel et al. 2020, §2.1; Shazeer 2020 for the gated MLP.
#include <cmath>

#include "base/printable.h"
#include "families/config_writer.h"
#include "families/families.h"

namespace regard::families {
namespace {

constexpr int64_t kUsualT5Context = 512;

void defaults(Settings& settings) {
  settings.form = models::Form::encoder_decoder;
  settings.norm = nn::Norm::Kind::rms;
  settings.activation = Activation::relu;
  settings.gated = false;
  settings.rope.dim = 0;
}

void read(const HfConfig& config, Settings& s) {
  s.layers = config.get_int("num_layers", 1, models::kMostLayers);
  s.encoder.decoder_layers =
      config.find_int("num_decoder_layers", 1, models::kMostLayers).value_or(s.layers);
  s.width = config.get_int("d_model", 1, models::kMostWidth);
  s.heads = s.kv_heads = config.get_int("num_heads", 1, models::kMostHeads);
  s.dim = s.dim_v = config.get_int("d_kv", 1, models::kMostDim);
  s.inner.assign(static_cast<std::size_t>(s.layers), config.get_int("d_ff", 1, models::kMostWidth));
  s.vocabulary = config.get_int("vocab_size", 1, INT32_MAX);
  // Distances have no end; what transformers' tokenizers take is n_positions.
  s.context = config.find_int("n_positions", 1, models::kMostContext).value_or(kUsualT5Context);
  s.epsilon = static_cast<float>(config.find_f64("layer_norm_epsilon", 0, 1).value_or(1e-6));
  s.encoder.buckets = config.find_int("relative_attention_num_buckets", 4, 65536).value_or(32);
  s.encoder.farthest = config.find_int("relative_attention_max_distance", 2, 65536).value_or(128);
  s.encoder.decoder_start =
      config.find_int("decoder_start_token_id", 0, s.vocabulary - 1).value_or(0);

  const std::string mlp = config.find_string("feed_forward_proj").value_or("relu");
  s.gated = mlp.starts_with("gated-");
  const std::string function = s.gated ? mlp.substr(6) : mlp;
  if (function == "relu") {
    s.activation = Activation::relu;
  } else if (function == "silu") {
    s.activation = Activation::silu;
  } else if (function == "gelu_new" || mlp == "gated-gelu") {
    s.activation = Activation::gelu_tanh;
  } else if (function == "gelu") {
    s.activation = Activation::gelu_erf;
  } else {
    config.refuse("feed_forward_proj",
                  "is \"" + printable(mlp) +
                      "\"; relu, gelu, gelu_new and silu are known, and gated- in front of them");
  }
  // transformers shows by a head that is not tied that the version is 1.1, which does not scale.
  s.tied = config.find_bool("scale_decoder_outputs")
               .value_or(config.find_bool("tie_word_embeddings").value_or(true));
  if (s.tied) s.logit_scale = 1 / std::sqrt(static_cast<float>(s.width));
}

void write(const Settings& s, nlohmann::json& config) {
  std::string mlp = activation_name(s.activation);
  if (s.gated) mlp = s.activation == Activation::gelu_tanh ? "gated-gelu" : "gated-" + mlp;
  config.update({{"architectures", {"T5ForConditionalGeneration"}},
                 {"is_encoder_decoder", true},
                 {"num_layers", s.layers},
                 {"num_decoder_layers", s.encoder.decoder_layers},
                 {"d_model", s.width},
                 {"num_heads", s.heads},
                 {"d_kv", s.dim},
                 {"d_ff", s.inner.front()},
                 {"vocab_size", s.vocabulary},
                 {"n_positions", s.context},
                 {"layer_norm_epsilon", decimal(s.epsilon)},
                 {"relative_attention_num_buckets", s.encoder.buckets},
                 {"relative_attention_max_distance", s.encoder.farthest},
                 {"decoder_start_token_id", s.encoder.decoder_start},
                 {"feed_forward_proj", mlp}});
  if (s.logit_scale != 1) config["scale_decoder_outputs"] = true;
}

}  // namespace

const Family& t5() {
  static const Family family{
      .architecture = "t5",
      .model_types = {"t5"},
      .prefixes = {},
      .tensors = {{"shared", "token_embd"},
                  {"lm_head", "output"},
                  {"encoder.final_layer_norm", "enc.output_norm"},
                  {"encoder.block.{}.layer.0.layer_norm", "enc.blk.{}.attn_norm"},
                  {"encoder.block.{}.layer.0.SelfAttention.q", "enc.blk.{}.attn_q"},
                  {"encoder.block.{}.layer.0.SelfAttention.k", "enc.blk.{}.attn_k"},
                  {"encoder.block.{}.layer.0.SelfAttention.v", "enc.blk.{}.attn_v"},
                  {"encoder.block.{}.layer.0.SelfAttention.o", "enc.blk.{}.attn_o"},
                  {"encoder.block.{}.layer.0.SelfAttention.relative_attention_bias",
                   "enc.blk.{}.attn_rel_b"},
                  {"encoder.block.{}.layer.1.layer_norm", "enc.blk.{}.ffn_norm"},
                  {"encoder.block.{}.layer.1.DenseReluDense.wi", "enc.blk.{}.ffn_up"},
                  {"encoder.block.{}.layer.1.DenseReluDense.wi_0", "enc.blk.{}.ffn_gate"},
                  {"encoder.block.{}.layer.1.DenseReluDense.wi_1", "enc.blk.{}.ffn_up"},
                  {"encoder.block.{}.layer.1.DenseReluDense.wo", "enc.blk.{}.ffn_down"},
                  {"decoder.final_layer_norm", "dec.output_norm"},
                  {"decoder.block.{}.layer.0.layer_norm", "dec.blk.{}.attn_norm"},
                  {"decoder.block.{}.layer.0.SelfAttention.q", "dec.blk.{}.attn_q"},
                  {"decoder.block.{}.layer.0.SelfAttention.k", "dec.blk.{}.attn_k"},
                  {"decoder.block.{}.layer.0.SelfAttention.v", "dec.blk.{}.attn_v"},
                  {"decoder.block.{}.layer.0.SelfAttention.o", "dec.blk.{}.attn_o"},
                  {"decoder.block.{}.layer.0.SelfAttention.relative_attention_bias",
                   "dec.blk.{}.attn_rel_b"},
                  {"decoder.block.{}.layer.1.layer_norm", "dec.blk.{}.cross_attn_norm"},
                  {"decoder.block.{}.layer.1.EncDecAttention.q", "dec.blk.{}.cross_attn_q"},
                  {"decoder.block.{}.layer.1.EncDecAttention.k", "dec.blk.{}.cross_attn_k"},
                  {"decoder.block.{}.layer.1.EncDecAttention.v", "dec.blk.{}.cross_attn_v"},
                  {"decoder.block.{}.layer.1.EncDecAttention.o", "dec.blk.{}.cross_attn_o"},
                  {"decoder.block.{}.layer.2.layer_norm", "dec.blk.{}.ffn_norm"},
                  {"decoder.block.{}.layer.2.DenseReluDense.wi", "dec.blk.{}.ffn_up"},
                  {"decoder.block.{}.layer.2.DenseReluDense.wi_0", "dec.blk.{}.ffn_gate"},
                  {"decoder.block.{}.layer.2.DenseReluDense.wi_1", "dec.blk.{}.ffn_up"},
                  {"decoder.block.{}.layer.2.DenseReluDense.wo", "dec.blk.{}.ffn_down"}},
      .ignored = {"encoder.embed_tokens.weight", "decoder.embed_tokens.weight",
                  // Never used: T5's first files have it all the same.
                  "decoder.block.{}.layer.1.EncDecAttention.relative_attention_bias.weight"},
      .defaults = defaults,
      .read_config = read,
      .write_config = write};
  return family;
}

}  // namespace regard::families
