#include "families/common.h"

#include <fmt/format.h>

#include "base/printable.h"
#include "models/rope.h"

namespace regard::families {

using namespace models;

Activation read_activation(const HfConfig& config, std::string_view key, std::string_view usual) {
  const std::string name = config.find_string(key).value_or(std::string(usual));
  if (name == "silu" || name == "swish") return Activation::silu;
  if (name == "gelu") return Activation::gelu_erf;
  if (name == "gelu_new" || name == "gelu_pytorch_tanh" || name == "gelu_fast") {
    return Activation::gelu_tanh;
  }
  if (name == "relu") return Activation::relu;
  config.refuse(key, fmt::format("is \"{}\"; silu, gelu, gelu_new, gelu_pytorch_tanh and relu are "
                                 "known",
                                 printable(name)));
}

void read_common(const HfConfig& config, Settings& s, double default_theta,
                 std::string_view layer_type) {
  s.layers = config.get_int("num_hidden_layers", 1, kMostLayers);
  s.width = config.get_int("hidden_size", 1, kMostWidth);
  s.heads = config.get_int("num_attention_heads", 1, kMostHeads);
  s.kv_heads = config.find_int("num_key_value_heads", 1, kMostHeads).value_or(s.heads);
  s.inner.assign(static_cast<std::size_t>(s.layers),
                 config.get_int("intermediate_size", 1, kMostWidth));
  s.context = config.get_int("max_position_embeddings", 1, kMostContext);
  s.vocabulary = config.get_int("vocab_size", 1, INT32_MAX);
  const auto dim = config.find_int("head_dim", 1, kMostDim);
  if (!dim && s.width % s.heads != 0) {
    config.refuse("hidden_size",
                  fmt::format("is {}, no multiple of num_attention_heads ({})", s.width, s.heads));
  }
  s.dim = s.dim_v = dim.value_or(s.width / s.heads);
  s.epsilon = static_cast<float>(config.find_f64("rms_norm_eps", 0, 1).value_or(1e-6));
  s.activation = read_activation(config, "hidden_act", "silu");
  s.tied = config.find_bool("tie_word_embeddings").value_or(s.tied);
  s.rope = read_rope(config, s.dim, s.context, default_theta, layer_type);
}

void read_windows(const HfConfig& config, Settings& s, const std::vector<bool>& usual_pattern) {
  s.window = config.find_int("sliding_window", 1, kMostContext).value_or(0);
  s.local = usual_pattern;
  if (const auto types = config.find_layer_strings("layer_types", s.layers)) {
    s.local.clear();
    for (const std::string& type : *types) {
      if (type != "sliding_attention" && type != "full_attention") {
        config.refuse("layer_types", fmt::format("holds \"{}\"; sliding_attention and "
                                                 "full_attention are known",
                                                 printable(type)));
      }
      s.local.push_back(type == "sliding_attention");
    }
  }
  bool any = s.local.empty();
  for (const bool local : s.local) any = any || local;
  if (!any) s.window = 0;
  if (s.window == 0) s.local.clear();
}

void only(const HfConfig& config, std::string_view key, bool wanted) {
  if (config.find_bool(key).value_or(wanted) == wanted) return;
  config.refuse(key, fmt::format("is {}, which is not supported", !wanted));
}

void never(const HfConfig& config, std::string_view key) {
  if (config.has(key)) config.refuse(key, "is set, which is not supported");
}

std::vector<TensorRule> llama_rules(Transform query, Transform key) {
  return {{"model.embed_tokens", "token_embd"},
          {"model.norm", "output_norm"},
          {"lm_head", "output"},
          {"model.layers.{}.input_layernorm", "blk.{}.attn_norm"},
          {"model.layers.{}.self_attn.q_proj", "blk.{}.attn_q", query},
          {"model.layers.{}.self_attn.k_proj", "blk.{}.attn_k", key},
          {"model.layers.{}.self_attn.v_proj", "blk.{}.attn_v"},
          {"model.layers.{}.self_attn.o_proj", "blk.{}.attn_output"},
          {"model.layers.{}.post_attention_layernorm", "blk.{}.ffn_norm"},
          {"model.layers.{}.mlp.gate_proj", "blk.{}.ffn_gate"},
          {"model.layers.{}.mlp.up_proj", "blk.{}.ffn_up"},
          {"model.layers.{}.mlp.down_proj", "blk.{}.ffn_down"}};
}

std::vector<TensorRule> operator+(std::vector<TensorRule> rules,
                                  const std::vector<TensorRule>& more) {
  rules.insert(rules.end(), more.begin(), more.end());
  return rules;
}

}  // namespace regard::families
