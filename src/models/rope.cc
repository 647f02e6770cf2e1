#include "models/rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/check.h"
#include "base/printable.h"
#include "simd/f64_math.h"

namespace regard::models {
namespace {

constexpr double kTurn = 2 * std::numbers::pi;

// Llama 3.1: wavelengths within low_freq .. high_freq of the first training's context are divided
// by a mixture of 1 and factor, longer ones by factor.
std::vector<float> llama3_factors(const HfConfig& config, const HfRope& rope, int64_t dim,
                                  int64_t context) {
  if (!rope.factor || !rope.low_freq || !rope.high_freq || !(*rope.high_freq > *rope.low_freq)) {
    config.refuse("rope_parameters", "llama3 needs factor and low_freq_factor < high_freq_factor");
  }
  const auto original = static_cast<double>(rope.original_context.value_or(context));
  std::vector<float> factors;
  for (const double frequency : f64::falling_powers(rope.theta, dim / 2)) {
    const double turns = original * frequency / kTurn;  // within the context
    const double share =
        std::clamp((turns - *rope.low_freq) / (*rope.high_freq - *rope.low_freq), 0.0, 1.0);
    factors.push_back(static_cast<float>(1 / ((1 - share) / *rope.factor + share)));
  }
  return factors;
}

Yarn read_yarn(const HfConfig& config, const HfRope& rope, int64_t context) {
  if (!rope.original_context) {
    config.refuse("rope_parameters", "yarn needs original_max_position_embeddings");
  }
  Yarn yarn;
  yarn.original_context = *rope.original_context;
  yarn.factor = static_cast<float>(rope.factor.value_or(
      static_cast<double>(context) / static_cast<double>(yarn.original_context)));
  yarn.beta_fast = static_cast<float>(rope.beta_fast.value_or(32));
  yarn.beta_slow = static_cast<float>(rope.beta_slow.value_or(1));
  yarn.whole = rope.truncate.value_or(true);
  const auto growth = [&](double by) {
    return yarn.factor <= 1 ? 1.0 : 1 + 0.1 * by * f64::log(double{yarn.factor});
  };
  if (rope.attention_factor) {
    yarn.attention = static_cast<float>(*rope.attention_factor / growth(1));
  } else if (rope.mscale.value_or(0) != 0 && rope.mscale_all_dim.value_or(0) != 0) {
    yarn.attention =
        static_cast<float>(growth(*rope.mscale) / growth(*rope.mscale_all_dim) / growth(1));
  }
  return yarn;
}

void read_long(const HfConfig& config, const HfRope& rope, int64_t context, RopeSettings& made) {
  const auto floats = [&](const char* key, const std::vector<double>& numbers) {
    if (std::ssize(numbers) != made.dim / 2) {
      config.refuse(key, fmt::format("has {} entries, the rotated part of a head {} frequencies",
                                     numbers.size(), made.dim / 2));
    }
    return std::vector<float>(numbers.begin(), numbers.end());
  };
  made.factors = floats("rope_parameters.short_factor", rope.short_factor);
  made.far_factors = floats("rope_parameters.long_factor", rope.long_factor);
  made.near = rope.original_context.value_or(
      config.find_int("original_max_position_embeddings", 1, kMostContext).value_or(context));
  const double factor =
      rope.factor.value_or(static_cast<double>(context) / static_cast<double>(made.near));
  double amplitude = 1;
  if (factor > 1) {
    amplitude = std::sqrt(1 + f64::log(factor) / f64::log(static_cast<double>(made.near)));
  }
  made.amplitude = static_cast<float>(rope.attention_factor.value_or(amplitude));
}

// YaRN, eq. 20 to 23: frequencies of more than beta_fast turns within the first context stay, those
// of fewer than beta_slow are divided by factor, between them the ramp is linear.
std::vector<float> yarn_factors(const RopeSettings& rope) {
  const Yarn& yarn = *rope.yarn;
  const auto dim = static_cast<double>(rope.dim);
  const auto place = [&](float turns) {
    const double wave = static_cast<double>(yarn.original_context) / (double{turns} * kTurn);
    return dim * f64::log(wave) / (2 * f64::log(double{rope.base}));
  };
  double low = place(yarn.beta_fast);
  double high = place(yarn.beta_slow);
  if (yarn.whole) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, dim - 1);
  if (low == high) high += 0.001;
  std::vector<float> factors;
  for (int64_t i = 0; i < rope.dim / 2; ++i) {
    const double divided = std::clamp((static_cast<double>(i) - low) / (high - low), 0.0, 1.0);
    factors.push_back(static_cast<float>(1 / (divided / double{yarn.factor} + (1 - divided))));
  }
  return factors;
}

}  // namespace

RopeSettings read_rope(const HfConfig& config, int64_t dim, int64_t context, double default_theta,
                       std::string_view layer_type) {
  const HfRope rope = config.rope(default_theta, layer_type);
  RopeSettings made;
  made.base = static_cast<float>(rope.theta);
  made.dim = static_cast<int64_t>(static_cast<double>(dim) * rope.partial.value_or(1.0));
  if (rope.type == "linear") {
    if (!rope.factor) config.refuse("rope_parameters", "linear needs factor");
    made.scale = static_cast<float>(*rope.factor);
  } else if (rope.type == "yarn") {
    made.yarn = read_yarn(config, rope, context);
  } else if (rope.type == "llama3") {
    made.factors = llama3_factors(config, rope, made.dim, context);
  } else if (rope.type == "longrope" || rope.type == "su") {
    read_long(config, rope, context, made);
  } else if (rope.type != "default" && rope.type != "dynamic") {
    config.refuse("rope_parameters.rope_type",
                  fmt::format("is \"{}\"; default, linear, dynamic, yarn, llama3 and longrope are "
                              "known",
                              printable(rope.type)));
  }
  return made;
}

std::shared_ptr<RopeTable> rope_table(const RopeSettings& rope) {
  if (rope.dim == 0) return nullptr;
  if (rope.yarn) {
    const double growth =
        rope.yarn->factor <= 1 ? 1.0 : 1 + 0.1 * f64::log(double{rope.yarn->factor});
    return std::make_shared<RopeTable>(rope.dim, double{rope.base}, yarn_factors(rope), 1.0,
                                       double{rope.yarn->attention} * growth);
  }
  auto table = std::make_shared<RopeTable>(rope.dim, double{rope.base}, rope.factors,
                                           double{rope.scale}, double{rope.amplitude});
  if (!rope.far_factors.empty()) table->set_far(rope.far_factors, rope.near);
  return table;
}

}  // namespace regard::models
