// Gemma 2 (soft caps) and Gemma 3 (norms on query and key heads): layers with and without a window
// in turns, norms in front of and behind each part, gains stored as gain - 1, embeddings that grow
// with √width. Gemma Team 2024, 2025.
#include <cmath>

#include "families/config_writer.h"
#include "families/families.h"

namespace regard::families {
namespace {

// Every period-th layer sees all keys.
std::vector<bool> all_but_every(int64_t period, int64_t layers) {
  std::vector<bool> local;
  for (int64_t layer = 0; layer < layers; ++layer) local.push_back((layer + 1) % period != 0);
  return local;
}

void common_defaults(Settings& s, int64_t period, int64_t largest) {
  s.activation = Activation::gelu_tanh;
  s.embedding_scale = std::sqrt(static_cast<float>(s.width));
  s.sandwich = true;
  s.tied = true;
  s.local = all_but_every(period, s.layers);
  // The 27B's scores are divided by the width over the heads, which its GGUF does not say.
  if (s.layers == largest) {
    s.attention_scale = 1 / std::sqrt(static_cast<float>(s.width) / static_cast<float>(s.heads));
  }
}

void gemma2_defaults(Settings& s) {
  common_defaults(s, 2, 46);
  s.window = 4096;
  s.score_cap = 50;
  s.logit_cap = 30;
}

void gemma3_defaults(Settings& s) {
  common_defaults(s, 6, 62);
  s.head_norms = true;
  s.rope.base = 1e6f;
  s.local_rope.emplace().dim = s.rope.dim;
}

void read_gemma(const HfConfig& config, Settings& s, int64_t period) {
  s.activation = read_activation(config, "hidden_activation", "gelu_pytorch_tanh");
  s.attention_bias = config.find_bool("attention_bias").value_or(false);
  only(config, "use_bidirectional_attention", false);
  const double scalar = config.find_f64("query_pre_attn_scalar", 1e-6, 1e9).value_or(256);
  s.attention_scale =
      scalar == static_cast<double>(s.dim) ? 0 : static_cast<float>(1 / std::sqrt(scalar));
  const auto cap = [&](const char* key, float usual) {
    return config.has(key) ? static_cast<float>(config.get_f64(key, 1e-6, 1e9)) : usual;
  };
  s.score_cap = cap("attn_logit_softcapping", 0);
  s.logit_cap = cap("final_logit_softcapping", 0);
  s.embedding_scale = std::sqrt(static_cast<float>(s.width));
  read_windows(config, s, all_but_every(period, s.layers));
}

void read_gemma2(const HfConfig& config, Settings& s) {
  read_common(config, s);
  read_gemma(config, s, 2);
}

// What published files leave out of a text_config, as transformers fills it in.
const nlohmann::json& usual_gemma3() {
  static const nlohmann::json usual = {
      {"vocab_size", 262208},    {"hidden_size", 2304},      {"intermediate_size", 9216},
      {"num_hidden_layers", 26}, {"num_attention_heads", 8}, {"num_key_value_heads", 4},
      {"head_dim", 256},         {"sliding_window", 4096},   {"max_position_embeddings", 131072}};
  return usual;
}

// Of a model that sees images, too, the language model's part.
void read_gemma3(const HfConfig& whole, Settings& s) {
  if (whole.has("text_config")) {
    const HfConfig inner = whole.text();
    if (inner.find_string("model_type").value_or("gemma3_text") != "gemma3_text") {
      inner.refuse("model_type", "must be gemma3_text in a model of type gemma3");
    }
  }
  const HfConfig config = whole.text().over(usual_gemma3());
  read_common(config, s, 1e6, "full_attention");
  s.tied = whole.find_bool("tie_word_embeddings").value_or(s.tied);
  s.local_rope = models::read_rope(config, s.dim, s.context, 1e4, "sliding_attention");
  if (s.local_rope->scale != 1 || s.local_rope->yarn || !s.local_rope->factors.empty() ||
      s.local_rope->dim != s.rope.dim) {
    config.refuse("rope_parameters", "stretches the layers with a window, which is not supported");
  }
  read_gemma(
      config, s,
      config.find_int("sliding_window_pattern", 1, models::kMostLayers)
          .value_or(
              config.find_int("_sliding_window_pattern", 1, models::kMostLayers).value_or(6)));
}

std::vector<TensorRule> rules() {
  std::vector<TensorRule> rules = llama_rules();
  for (TensorRule& rule : rules) {
    if (rule.name == "blk.{}.ffn_norm") rule.name = "blk.{}.post_attention_norm";
    if (rule.name.find("norm") != std::string_view::npos) rule.transform = Transform::plus_one;
  }
  return rules +
         std::vector<TensorRule>{
             {"model.layers.{}.pre_feedforward_layernorm", "blk.{}.ffn_norm", Transform::plus_one},
             {"model.layers.{}.post_feedforward_layernorm", "blk.{}.post_ffw_norm",
              Transform::plus_one},
             {"model.layers.{}.self_attn.q_norm", "blk.{}.attn_q_norm", Transform::plus_one},
             {"model.layers.{}.self_attn.k_norm", "blk.{}.attn_k_norm", Transform::plus_one}};
}

void write_gemma(const Settings& s, nlohmann::json& config) {
  write_common(s, config);
  write_windows(s, config);
  config.erase("hidden_act");
  config["hidden_activation"] =
      s.activation == Activation::gelu_tanh ? "gelu_pytorch_tanh" : activation_name(s.activation);
  config["attention_bias"] = s.attention_bias;
  const auto cap = [](float value) {
    return value > 0 ? nlohmann::json(decimal(value)) : nlohmann::json();
  };
  config["attn_logit_softcapping"] = cap(s.score_cap);
  config["final_logit_softcapping"] = cap(s.logit_cap);
  // The scale is 1 / √scalar, and the scalar mostly a whole number.
  double scalar = static_cast<double>(s.dim);
  if (s.attention_scale > 0) scalar = 1 / (double{s.attention_scale} * double{s.attention_scale});
  if (static_cast<float>(1 / std::sqrt(std::round(scalar))) == s.attention_scale) {
    scalar = std::round(scalar);
  }
  config["query_pre_attn_scalar"] = whole(scalar);
}

void write_gemma2(const Settings& s, nlohmann::json& config) {
  write_gemma(s, config);
  config["architectures"] = {"Gemma2ForCausalLM"};
}

void write_gemma3(const Settings& s, nlohmann::json& config) {
  write_gemma(s, config);
  config["architectures"] = {"Gemma3ForCausalLM"};
  config["rope_parameters"] = {
      {"full_attention", config.at("rope_parameters")},
      {"sliding_attention", rope_parameters(s.local_rope.value_or(s.rope), s)}};
}

}  // namespace

const Family& gemma2() {
  static const Family family{.architecture = "gemma2",
                             .model_types = {"gemma2"},
                             .prefixes = {},
                             .tensors = rules(),
                             .ignored = {},
                             .defaults = gemma2_defaults,
                             .read_config = read_gemma2,
                             .write_config = write_gemma2};
  return family;
}

const Family& gemma3() {
  static const Family family{.architecture = "gemma3",
                             .model_types = {"gemma3_text", "gemma3"},
                             .prefixes = {"language_model."},
                             .tensors = rules(),
                             .ignored = {"vision_tower.", "multi_modal_projector."},
                             .defaults = gemma3_defaults,
                             .read_config = read_gemma3,
                             .write_config = write_gemma3};
  return family;
}

}  // namespace regard::families
