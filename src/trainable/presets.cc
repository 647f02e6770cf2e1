#include "trainable/presets.h"

#include <algorithm>
#include <array>
#include <string>

#include <nlohmann/json.hpp>

#include "base/check.h"
#include "base/printable.h"

namespace regard::models {
namespace {

struct Sizes {
  std::string_view name;
  int64_t layers, width, heads, context;
};

constexpr std::array kPresets{
    Sizes{"gpt2", 12, 768, 12, 1024},        Sizes{"gpt2-medium", 24, 1024, 16, 1024},
    Sizes{"gpt2-large", 36, 1280, 20, 1024}, Sizes{"gpt2-xl", 48, 1600, 25, 1024},
    Sizes{"gpt3-125m", 12, 768, 12, 2048},   Sizes{"gpt3-175b", 96, 12288, 96, 2048}};
constexpr int64_t kVocabulary = 50257;

}  // namespace

HfConfig preset(std::string_view name) {
  const auto found = std::ranges::find(kPresets, name, &Sizes::name);
  if (found == kPresets.end()) {
    std::string known;
    for (const Sizes& one : kPresets) {
      known += (known.empty() ? "" : ", ") + std::string(one.name);
    }
    fail(ErrorKind::invalid_argument, "preset: there is no \"{}\"; {} are known", printable(name),
         known);
  }
  const nlohmann::json config = {{"model_type", "gpt2"},          {"n_layer", found->layers},
                                 {"n_embd", found->width},        {"n_head", found->heads},
                                 {"n_positions", found->context}, {"vocab_size", kVocabulary}};
  return HfConfig::parse(config.dump(), "preset " + std::string(name));
}

int64_t count_numbers(const Settings& s) {
  require(s.experts == 0 && s.form == Form::decoder,
          "count_numbers: {} is no decoder of plain MLPs", s.architecture);
  const auto matrix = [](int64_t outputs, int64_t inputs, bool bias) {
    return outputs * inputs + (bias ? outputs : 0);
  };
  const auto norm = [&](int64_t width) {
    if (s.norm == nn::Norm::Kind::none) return int64_t{0};
    return s.norm == nn::Norm::Kind::layer ? 2 * width : width;
  };
  const int64_t q = s.heads * s.dim, k = s.kv_heads * s.dim, v = s.kv_heads * s.dim_v;
  int64_t sum = s.vocabulary * s.width + norm(s.width);
  if (!s.tied) sum += s.vocabulary * s.width;
  if (s.learned_positions) sum += s.context * s.width;
  if (s.embedding_norm) sum += norm(s.width);
  for (const int64_t inner : s.inner) {
    for (const int64_t outputs : {q, k, v}) sum += matrix(outputs, s.width, s.attention_bias);
    sum += matrix(s.width, s.heads * s.dim_v, s.attention_bias && s.output_bias);
    sum += (s.gated ? 2 : 1) * matrix(inner, s.width, s.mlp_bias);
    sum += matrix(s.width, inner, s.mlp_bias);
    sum += (s.sandwich ? 4 : 2) * norm(s.width);
    if (s.head_norms) sum += 2 * norm(s.dim);
  }
  return sum;
}

}  // namespace regard::models
