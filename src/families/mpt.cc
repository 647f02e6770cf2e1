// MPT: ALiBi, LayerNorm without a shift, no biases, exact GELU. MosaicML 2023.
#include "families/config_writer.h"
#include "families/families.h"

namespace regard::families {
namespace {

void defaults(Settings& settings) {
  settings.norm = nn::Norm::Kind::layer;
  settings.activation = Activation::gelu_erf;
  settings.gated = false;
  settings.alibi = 8;
  settings.rope.dim = 0;
}

void read_attention(const HfConfig& config, Settings& s) {
  only(config, "alibi", true);
  only(config, "prefix_lm", false);
  only(config, "qk_ln", false);
  only(config, "attn_uses_sequence_id", false);
  never(config, "clip_qkv");
  if (config.find_string("attn_type").value_or("multihead_attention") != "multihead_attention") {
    config.refuse("attn_type", "is not multihead_attention, which alone is supported");
  }
  s.alibi = static_cast<float>(config.find_f64("alibi_bias_max", 1e-3, 64).value_or(8));
  if (config.has("softmax_scale")) {
    s.attention_scale = static_cast<float>(config.get_f64("softmax_scale", 1e-6, 1e6));
  }
}

void read(const HfConfig& config, Settings& s) {
  never(config, "logit_scale");
  s.layers = config.get_int("n_layers", 1, models::kMostLayers);
  s.width = config.get_int("d_model", 1, models::kMostWidth);
  s.heads = s.kv_heads = config.get_int("n_heads", 1, models::kMostHeads);
  if (s.width % s.heads != 0) config.refuse("d_model", "is no multiple of n_heads");
  s.dim = s.dim_v = s.width / s.heads;
  // transformers' layers do not look at expansion_ratio.
  if (config.find_f64("expansion_ratio", 0, 1e6).value_or(4) != 4) {
    config.refuse("expansion_ratio", "is not 4, which alone is supported");
  }
  s.inner.assign(static_cast<std::size_t>(s.layers), 4 * s.width);
  s.context = config.get_int("max_seq_len", 1, models::kMostContext);
  s.vocabulary = config.get_int("vocab_size", 1, INT32_MAX);
  s.epsilon = static_cast<float>(config.find_f64("layer_norm_epsilon", 0, 1).value_or(1e-5));
  if (const auto attention = config.find_object("attn_config")) read_attention(*attention, s);
  s.tied = config.find_bool("tie_word_embeddings").value_or(true);
}

void write(const Settings& s, nlohmann::json& config) {
  config.update({{"architectures", {"MptForCausalLM"}},
                 {"n_layers", s.layers},
                 {"d_model", s.width},
                 {"n_heads", s.heads},
                 {"expansion_ratio", 4},
                 {"max_seq_len", s.context},
                 {"vocab_size", s.vocabulary},
                 {"layer_norm_epsilon", decimal(s.epsilon)},
                 {"no_bias", true}});
  nlohmann::json attention = {{"attn_type", "multihead_attention"},
                              {"alibi", true},
                              {"alibi_bias_max", whole(double{s.alibi})}};
  if (s.attention_scale > 0) attention["softmax_scale"] = decimal(s.attention_scale);
  config["attn_config"] = std::move(attention);
}

}  // namespace

const Family& mpt() {
  static const Family family{.architecture = "mpt",
                             .model_types = {"mpt"},
                             .prefixes = {"transformer."},
                             .tensors = {{"wte", "token_embd"},
                                         {"norm_f", "output_norm"},
                                         {"lm_head", "output"},
                                         {"blocks.{}.norm_1", "blk.{}.attn_norm"},
                                         {"blocks.{}.attn.Wqkv", "blk.{}.attn_qkv"},
                                         {"blocks.{}.attn.out_proj", "blk.{}.attn_output"},
                                         {"blocks.{}.norm_2", "blk.{}.ffn_norm"},
                                         {"blocks.{}.ffn.up_proj", "blk.{}.ffn_up"},
                                         {"blocks.{}.ffn.down_proj", "blk.{}.ffn_down"}},
                             .ignored = {},
                             .defaults = defaults,
                             .read_config = read,
                             .write_config = write};
  return family;
}

}  // namespace regard::families
