// BLOOM: ALiBi, a norm behind the embedding, Q, K and V of each head side by side in one matrix.
// BigScience Workshop 2022.
#include "families/config_writer.h"
#include "families/families.h"

namespace regard::families {
namespace {

void defaults(Settings& settings) {
  settings.norm = nn::Norm::Kind::layer;
  settings.activation = Activation::gelu_tanh;
  settings.gated = false;
  settings.embedding_norm = true;
  settings.attention_bias = settings.mlp_bias = true;
  settings.alibi = 8;
  settings.rope.dim = 0;
}

void read(const HfConfig& config, Settings& s) {
  constexpr int64_t kContext = 2048;  // of the published models; the settings do not say it
  s.layers = config.get_int("n_layer", 1, models::kMostLayers);
  s.width = config.has("hidden_size") ? config.get_int("hidden_size", 1, models::kMostWidth)
                                      : config.get_int("n_embed", 1, models::kMostWidth);
  s.heads = s.kv_heads = config.has("n_head")
                             ? config.get_int("n_head", 1, models::kMostHeads)
                             : config.get_int("num_attention_heads", 1, models::kMostHeads);
  if (s.width % s.heads != 0) config.refuse("hidden_size", "is no multiple of n_head");
  s.dim = s.dim_v = s.width / s.heads;
  s.inner.assign(static_cast<std::size_t>(s.layers), 4 * s.width);
  s.context = config.find_int("seq_length", 1, models::kMostContext).value_or(kContext);
  s.vocabulary = config.get_int("vocab_size", 1, INT32_MAX);
  s.epsilon = static_cast<float>(config.find_f64("layer_norm_epsilon", 0, 1).value_or(1e-5));
  s.norm_is_residual = config.find_bool("apply_residual_connection_post_layernorm").value_or(false);
  s.tied = config.find_bool("tie_word_embeddings").value_or(true);
}

void write(const Settings& s, nlohmann::json& config) {
  config.update({{"architectures", {"BloomForCausalLM"}},
                 {"n_layer", s.layers},
                 {"hidden_size", s.width},
                 {"n_head", s.heads},
                 {"seq_length", s.context},
                 {"vocab_size", s.vocabulary},
                 {"layer_norm_epsilon", decimal(s.epsilon)},
                 {"apply_residual_connection_post_layernorm", s.norm_is_residual}});
}

}  // namespace

const Family& bloom() {
  static const Family family{.architecture = "bloom",
                             .model_types = {"bloom"},
                             .prefixes = {"transformer."},
                             .tensors = {{"word_embeddings", "token_embd"},
                                         {"word_embeddings_layernorm", "token_embd_norm"},
                                         {"ln_f", "output_norm"},
                                         {"lm_head", "output"},
                                         {"h.{}.input_layernorm", "blk.{}.attn_norm"},
                                         {"h.{}.self_attention.query_key_value", "blk.{}.attn_qkv",
                                          Transform::heads_apart},
                                         {"h.{}.self_attention.dense", "blk.{}.attn_output"},
                                         {"h.{}.post_attention_layernorm", "blk.{}.ffn_norm"},
                                         {"h.{}.mlp.dense_h_to_4h", "blk.{}.ffn_up"},
                                         {"h.{}.mlp.dense_4h_to_h", "blk.{}.ffn_down"}},
                             .ignored = {},
                             .defaults = defaults,
                             .read_config = read,
                             .write_config = write};
  return family;
}

}  // namespace regard::families
