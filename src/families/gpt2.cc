// GPT-2: learned positions, LayerNorm, GELU, matrices stored as [inputs, outputs]. Radford et al.
// 2019.
#include "families/config_writer.h"
#include "families/families.h"

namespace regard::families {
namespace {

void defaults(Settings& settings) {
  settings.norm = nn::Norm::Kind::layer;
  settings.activation = Activation::gelu_tanh;
  settings.gated = false;
  settings.learned_positions = true;
  settings.attention_bias = settings.mlp_bias = true;
  settings.rope.dim = 0;
}

void read(const HfConfig& config, Settings& s) {
  only(config, "scale_attn_weights", true);
  only(config, "scale_attn_by_inverse_layer_idx", false);
  only(config, "add_cross_attention", false);
  s.layers = config.get_int("n_layer", 1, models::kMostLayers);
  s.width = config.get_int("n_embd", 1, models::kMostWidth);
  s.heads = s.kv_heads = config.get_int("n_head", 1, models::kMostHeads);
  if (s.width % s.heads != 0) config.refuse("n_embd", "is no multiple of n_head");
  s.dim = s.dim_v = s.width / s.heads;
  s.inner.assign(static_cast<std::size_t>(s.layers),
                 config.find_int("n_inner", 1, models::kMostWidth).value_or(4 * s.width));
  s.context = config.get_int("n_positions", 1, models::kMostContext);
  s.vocabulary = config.get_int("vocab_size", 1, INT32_MAX);
  s.epsilon = static_cast<float>(config.find_f64("layer_norm_epsilon", 0, 1).value_or(1e-5));
  s.activation = read_activation(config, "activation_function", "gelu_new");
  s.tied = config.find_bool("tie_word_embeddings").value_or(true);
}

void write(const Settings& s, nlohmann::json& config) {
  config.update({{"architectures", {"GPT2LMHeadModel"}},
                 {"n_layer", s.layers},
                 {"n_embd", s.width},
                 {"n_head", s.heads},
                 {"n_inner", s.inner.front()},
                 {"n_positions", s.context},
                 {"vocab_size", s.vocabulary},
                 {"layer_norm_epsilon", decimal(s.epsilon)},
                 {"activation_function", activation_name(s.activation)}});
}

}  // namespace

const Family& gpt2() {
  static const Family family{
      .architecture = "gpt2",
      .model_types = {"gpt2"},
      .prefixes = {"transformer."},
      .tensors = {{"wte", "token_embd"},
                  {"wpe", "position_embd"},
                  {"ln_f", "output_norm"},
                  {"lm_head", "output"},
                  {"h.{}.ln_1", "blk.{}.attn_norm"},
                  {"h.{}.attn.c_attn", "blk.{}.attn_qkv", Transform::transposed},
                  {"h.{}.attn.c_proj", "blk.{}.attn_output", Transform::transposed},
                  {"h.{}.ln_2", "blk.{}.ffn_norm"},
                  {"h.{}.mlp.c_fc", "blk.{}.ffn_up", Transform::transposed},
                  {"h.{}.mlp.c_proj", "blk.{}.ffn_down", Transform::transposed}},
      .ignored = {"h.{}.attn.bias", "h.{}.attn.masked_bias"},  // the causal mask
      .defaults = defaults,
      .read_config = read,
      .write_config = write};
  return family;
}

}  // namespace regard::families
