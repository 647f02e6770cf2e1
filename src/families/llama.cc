// Llama 1 to 3, SmolLM, TinyLlama; Mistral, with its window; Mixtral, with its experts. In GGUF
// they are one architecture, whose rows of Q and K are in the order of adjacent pairs.
// Touvron et al. 2023, §2.2; Jiang et al. 2023; Jiang et al. 2024.
#include "families/config_writer.h"
#include "families/families.h"

namespace regard::families {
namespace {

void defaults(Settings& settings) { settings.pairs = true; }

void read_llama(const HfConfig& config, Settings& settings) {
  read_common(config, settings);
  settings.attention_bias = config.find_bool("attention_bias").value_or(false);
  settings.mlp_bias = config.find_bool("mlp_bias").value_or(false);
}

void read_mistral(const HfConfig& config, Settings& settings) {
  read_common(config, settings);
  read_windows(config, settings, {});
}

void read_mixtral(const HfConfig& config, Settings& settings) {
  read_common(config, settings, 1e6);
  read_windows(config, settings, {});
  settings.experts = config.get_int("num_local_experts", 1, models::kMostExperts);
  settings.experts_used = config.get_int("num_experts_per_tok", 1, models::kMostExperts);
}

std::vector<TensorRule> rules() {
  return llama_rules(Transform::query_pairs, Transform::key_pairs);
}

void write_llama(const Settings& s, nlohmann::json& config) {
  write_common(s, config);
  config["architectures"] = {"LlamaForCausalLM"};
  config["attention_bias"] = s.attention_bias;
  config["mlp_bias"] = s.mlp_bias;
}

void write_mistral(const Settings& s, nlohmann::json& config) {
  write_common(s, config);
  config["architectures"] = {"MistralForCausalLM"};
  write_window(s, config);
}

void write_mixtral(const Settings& s, nlohmann::json& config) {
  write_common(s, config);
  config["architectures"] = {"MixtralForCausalLM"};
  write_window(s, config);
  config["num_local_experts"] = s.experts;
  config["num_experts_per_tok"] = s.experts_used;
}

}  // namespace

const Family& llama() {
  static const Family family{.architecture = "llama",
                             .model_types = {"llama"},
                             .prefixes = {},
                             .tensors = rules(),
                             .ignored = {"model.layers.{}.self_attn.rotary_emb.inv_freq"},
                             .defaults = defaults,
                             .read_config = read_llama,
                             .write_config = write_llama};
  return family;
}

const Family& mistral() {
  static const Family family{.architecture = "llama",
                             .model_types = {"mistral"},
                             .prefixes = {},
                             .tensors = rules(),
                             .ignored = {"model.layers.{}.self_attn.rotary_emb.inv_freq"},
                             .defaults = defaults,
                             .read_config = read_mistral,
                             .write_config = write_mistral};
  return family;
}

const Family& mixtral() {
  static const Family family{
      .architecture = "llama",
      .model_types = {"mixtral"},
      .prefixes = {},
      .tensors =
          rules() +
          std::vector<TensorRule>{{"model.layers.{}.block_sparse_moe.gate", "blk.{}.ffn_gate_inp"},
                                  {"model.layers.{}.block_sparse_moe.experts.{}.w1",
                                   "blk.{}.ffn_gate_exps", Transform::stacked},
                                  {"model.layers.{}.block_sparse_moe.experts.{}.w3",
                                   "blk.{}.ffn_up_exps", Transform::stacked},
                                  {"model.layers.{}.block_sparse_moe.experts.{}.w2",
                                   "blk.{}.ffn_down_exps", Transform::stacked}},
      .ignored = {"model.layers.{}.self_attn.rotary_emb.inv_freq"},
      .defaults = defaults,
      .read_config = read_mixtral,
      .write_config = write_mixtral};
  return family;
}

}  // namespace regard::families
