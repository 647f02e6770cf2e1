#include "families/config_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>
#include <vector>

#include "models/rope.h"
#include "simd/f64_math.h"

namespace regard::families {

using namespace models;
using nlohmann::json;

double decimal(float number) {
  const std::string text = fmt::format("{}", number);
  double read = double{number};
  std::from_chars(text.data(), text.data() + text.size(), read);
  return read;
}

json whole(double number) {
  if (std::round(number) == number && std::abs(number) < 1e9) {
    return static_cast<int64_t>(number);
  }
  return number;
}

std::string activation_name(Activation activation) {
  switch (activation) {
    case Activation::silu:
      return "silu";
    case Activation::gelu_erf:
      return "gelu";
    case Activation::gelu_tanh:
      return "gelu_new";
    case Activation::relu:
      return "relu";
    case Activation::tanh:
      return "tanh";
    case Activation::sigmoid:
      return "sigmoid";
    case Activation::identity:
      return "linear";
  }
  return {};
}

namespace {

json numbers(const std::vector<float>& floats) {
  json list = json::array();
  for (const float number : floats) list.push_back(decimal(number));
  return list;
}

// Llama 3's factors by the numbers that models are published with; nothing if it is none of them.
std::optional<json> llama3(const RopeSettings& rope, const Settings& settings, const json& base) {
  constexpr int kLeastContext = 4, kMostContext = 20;  // powers of two
  const float factor = *std::max_element(rope.factors.begin(), rope.factors.end());
  for (int power = kLeastContext; power <= kMostContext; ++power) {
    json parameters = base;
    parameters.update({{"rope_type", "llama3"},
                       {"factor", decimal(factor)},
                       {"low_freq_factor", 1.0},
                       {"high_freq_factor", 4.0},
                       {"original_max_position_embeddings", int64_t{1} << power}});
    const HfConfig config = HfConfig::parse(json{{"rope_parameters", parameters}}.dump(), "");
    if (read_rope(config, settings.dim, settings.context).factors == rope.factors) {
      return parameters;
    }
  }
  return std::nullopt;
}

}  // namespace

json rope_parameters(const RopeSettings& rope, const Settings& settings) {
  json made = {{"rope_type", "default"}, {"rope_theta", decimal(rope.base)}};
  if (rope.dim != settings.dim) {
    const auto dim = static_cast<double>(settings.dim);
    double share = static_cast<double>(rope.dim) / dim;
    if (static_cast<int64_t>(share * dim) < rope.dim) share = std::nextafter(share, 1.0);
    made["partial_rotary_factor"] = share;
  }
  if (rope.yarn) {
    const Yarn& yarn = *rope.yarn;
    made.update({{"rope_type", "yarn"},
                 {"factor", decimal(yarn.factor)},
                 {"original_max_position_embeddings", yarn.original_context},
                 {"beta_fast", decimal(yarn.beta_fast)},
                 {"beta_slow", decimal(yarn.beta_slow)}});
    if (!yarn.whole) made["truncate"] = false;
    if (yarn.attention != 1) {
      const double growth = yarn.factor <= 1 ? 1.0 : 1 + 0.1 * f64::log(double{yarn.factor});
      made["attention_factor"] = double{yarn.attention} * growth;
    }
  } else if (!rope.factors.empty()) {
    const bool far = !rope.far_factors.empty();
    if (!far) {
      if (const auto found = llama3(rope, settings, made)) return *found;
    }
    made.update({{"rope_type", "longrope"},
                 {"short_factor", numbers(rope.factors)},
                 {"long_factor", numbers(far ? rope.far_factors : rope.factors)},
                 {"original_max_position_embeddings", far ? rope.near : settings.context},
                 {"attention_factor", decimal(rope.amplitude)}});
  } else if (rope.scale != 1) {
    made.update({{"rope_type", "linear"}, {"factor", decimal(rope.scale)}});
  }
  return made;
}

void write_common(const Settings& s, json& config) {
  config.update({{"num_hidden_layers", s.layers},
                 {"hidden_size", s.width},
                 {"num_attention_heads", s.heads},
                 {"num_key_value_heads", s.kv_heads},
                 {"head_dim", s.dim},
                 {"intermediate_size", s.inner.front()},
                 {"max_position_embeddings", s.context},
                 {"vocab_size", s.vocabulary},
                 {"rms_norm_eps", decimal(s.epsilon)},
                 {"hidden_act", activation_name(s.activation)},
                 {"rope_parameters", rope_parameters(s.rope, s)}});
}

void write_window(const Settings& s, json& config) {
  config["sliding_window"] = s.window > 0 ? json(s.window) : json();
}

void write_windows(const Settings& s, json& config) {
  write_window(s, config);
  json types = json::array();
  for (int64_t layer = 0; layer < s.layers; ++layer) {
    types.push_back(s.is_local(layer) ? "sliding_attention" : "full_attention");
  }
  config["layer_types"] = std::move(types);
}

}  // namespace regard::families
