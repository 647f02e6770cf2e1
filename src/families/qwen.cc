// Qwen2 (biases on Q, K and V) and Qwen3 (a norm on each query and key head). Yang et al. 2024,
// 2025.
#include "families/config_writer.h"
#include "families/families.h"

namespace regard::families {
namespace {

// Layers from max_window_layers on have the window, if it is used at all.
void read_qwen_windows(const HfConfig& config, Settings& settings) {
  if (!config.find_bool("use_sliding_window").value_or(false)) return;
  const int64_t first = config.find_int("max_window_layers", 0, models::kMostLayers).value_or(28);
  std::vector<bool> pattern;
  for (int64_t layer = 0; layer < settings.layers; ++layer) pattern.push_back(layer >= first);
  read_windows(config, settings, pattern);
}

void read_qwen2(const HfConfig& config, Settings& settings) {
  read_common(config, settings);
  read_qwen_windows(config, settings);
}

void read_qwen3(const HfConfig& config, Settings& settings) {
  read_common(config, settings);
  settings.dim = settings.dim_v = config.find_int("head_dim", 1, models::kMostDim).value_or(128);
  settings.rope = models::read_rope(config, settings.dim, settings.context);
  settings.attention_bias = config.find_bool("attention_bias").value_or(false);
  read_qwen_windows(config, settings);
}

void qwen2_defaults(Settings& settings) {
  settings.attention_bias = true;
  settings.output_bias = false;
}

void qwen3_defaults(Settings& settings) { settings.head_norms = true; }

void write_qwen(const Settings& s, nlohmann::json& config) {
  write_common(s, config);
  write_windows(s, config);
  config["use_sliding_window"] = s.window > 0;
}

void write_qwen2(const Settings& s, nlohmann::json& config) {
  write_qwen(s, config);
  config["architectures"] = {"Qwen2ForCausalLM"};
}

void write_qwen3(const Settings& s, nlohmann::json& config) {
  write_qwen(s, config);
  config["architectures"] = {"Qwen3ForCausalLM"};
  config["attention_bias"] = s.attention_bias;
}

}  // namespace

const Family& qwen2() {
  static const Family family{.architecture = "qwen2",
                             .model_types = {"qwen2"},
                             .prefixes = {},
                             .tensors = llama_rules(),
                             .ignored = {},
                             .defaults = qwen2_defaults,
                             .read_config = read_qwen2,
                             .write_config = write_qwen2};
  return family;
}

const Family& qwen3() {
  static const Family family{
      .architecture = "qwen3",
      .model_types = {"qwen3"},
      .prefixes = {},
      .tensors =
          llama_rules() +
          std::vector<TensorRule>{{"model.layers.{}.self_attn.q_norm", "blk.{}.attn_q_norm"},
                                  {"model.layers.{}.self_attn.k_norm", "blk.{}.attn_k_norm"}},
      .ignored = {},
      .defaults = qwen3_defaults,
      .read_config = read_qwen3,
      .write_config = write_qwen3};
  return family;
}

}  // namespace regard::families
