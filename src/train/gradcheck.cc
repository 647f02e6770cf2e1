#include "train/gradcheck.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/check.h"
#include "base/random.h"
#include "tensor/tape.h"
#include "train/prepare.h"

namespace regard::train {
namespace {

constexpr int64_t kVocabulary = 13;
constexpr std::array<int64_t, 2> kLengths = {6, 4};
constexpr uint64_t kDropout = 1;  // one draw for all passes

TrainConfig small(TrainConfig config) {
  ModelConfig& m = config.model;
  const int64_t groups = m.kv_heads > 0 ? m.heads / m.kv_heads : 1;
  m.layers = std::min<int64_t>(m.layers, 2);
  m.heads = groups <= 4 ? groups * (m.heads >= 2 * groups ? 2 : 1) : groups;
  m.kv_heads = m.heads / groups;
  m.width = 8 * m.heads;
  m.inner = m.inner > 0 || m.family != "bloom" ? 3 * m.width : 0;
  m.context = 0;
  m.deviation = 0.3;  // gradients of all sizes
  config.data.length = kLengths[0];
  return config;
}

// [tokens, kVocabulary] numbers in [-1, 1).
Tensor random_cotangent(uint64_t seed) {
  Tensor made({kLengths[0] + kLengths[1], kVocabulary}, DType::f64);
  uint64_t at = 0;
  for (double& x : made.writable_numbers<double>()) x = 2 * uniform(seed, at++) - 1;
  return made;
}

}  // namespace

std::vector<LeafError> gradcheck(TrainConfig config, int64_t samples) {
  require(config.model.start.empty(),
          "gradcheck: it makes a small model of model.family; leave model.start out");
  config = small(std::move(config));
  const auto seed = static_cast<uint64_t>(config.run.seed);
  models::Trainable model = new_model(config, kVocabulary, DType::f64);
  model.set_dropout(static_cast<float>(config.model.dropout),
                    static_cast<float>(config.model.attention_dropout));
  model.set_checkpoint(config.run.recompute);
  std::vector<int32_t> ids;
  for (int64_t i = 0; i < kLengths[0] + kLengths[1]; ++i) {
    ids.push_back(static_cast<int32_t>(7 * i % kVocabulary));
  }
  const nn::Texts texts = nn::Texts::packed(kLengths);
  const Tensor cotangent = random_cotangent(seed);
  const auto logits = [&] { return model.logits(ids, texts, {.random = kDropout}); };
  backward(logits(), cotangent);

  const auto weighed = [&] {
    const NoGradient quiet;
    const Tensor made = logits();
    long double sum = 0;
    const auto weights = cotangent.numbers<double>();
    for (std::size_t i = 0; i < weights.size(); ++i) {
      sum += static_cast<long double>(weights[i]) * made.numbers<double>()[i];
    }
    return sum;
  };
  std::vector<LeafError> errors;
  for (nn::Parameter& one : model.parameters) {
    const Tensor gradient = one.leaf.gradient();
    double largest = 1e-5, worst = 0;
    if (gradient) {
      for (const double x : gradient.numbers<double>()) largest = std::max(largest, std::abs(x));
    }
    for (int64_t n = 0; n < std::min(samples, one.leaf.size()); ++n) {
      const auto i = static_cast<std::size_t>(uniform(seed + 1, static_cast<uint64_t>(n)) *
                                              static_cast<double>(one.leaf.size()));
      const double x = one.leaf.numbers<double>()[i];
      const double step = 0x1p-10 * std::max(1.0, std::abs(x));
      const auto at = [&](double move) {
        one.leaf.writable_numbers<double>()[i] = x + move;
        return weighed();
      };
      const auto wanted = static_cast<double>(
          (8 * (at(step) - at(-step)) - (at(2 * step) - at(-2 * step))) / (12 * step));
      one.leaf.writable_numbers<double>()[i] = x;
      const double is = gradient ? gradient.numbers<double>()[i] : 0;
      worst = std::max(worst, std::abs(is - wanted) / largest);
    }
    errors.push_back({one.name, worst});
  }
  return errors;
}

}  // namespace regard::train
