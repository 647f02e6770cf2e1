#include "train/optimiser.h"

#include <algorithm>
#include <cmath>
#include <span>

#include "base/check.h"
#include "kernels/adam.h"
#include "regard/half.h"
#include "tensor/pool.h"

namespace regard::train {
namespace {

Tensor zeros_like(const Tensor& x) {
  Tensor made = Tensor::like(x);
  std::ranges::fill(made.writable_numbers<float>(), 0.0f);
  return made;
}

Tensor copy_of(const Tensor& x) {
  return Tensor::of(x.numbers<float>().data(), {x.size()}).reshape(x.shape());
}

}  // namespace

Optimiser::Optimiser(nn::Parameters& parameters, const OptimiserConfig& config, bool bf16)
    : parameters_(parameters), config_(config) {
  for (const nn::Parameter& one : parameters) {
    const bool rounded = bf16 && one.leaf.rank() > 1;
    states_.push_back({.name = one.name,
                       .master = rounded ? copy_of(one.leaf) : one.leaf,
                       .first = zeros_like(one.leaf),
                       .second = zeros_like(one.leaf),
                       .rounded = rounded});
  }
  round();
}

void Optimiser::round() {
  std::size_t i = 0;
  for (nn::Parameter& one : parameters_) {
    const State& state = states_[i++];
    if (!state.rounded) continue;
    std::ranges::transform(state.master.numbers<float>(),
                           one.leaf.writable_numbers<float>().begin(),
                           [](float x) { return to_f32(to_bf16(x)); });
  }
}

double Optimiser::norm() const {
  std::vector<Tensor> gradients;
  std::vector<std::span<const float>> numbers;
  for (const nn::Parameter& one : parameters_) {
    gradients.push_back(one.leaf.gradient());
    if (gradients.back()) numbers.push_back(gradients.back().numbers<float>());
  }
  const double all = global_norm(numbers, current_pool());
  if (std::isfinite(all)) return all;
  // The last of them, for gradients come from the head.
  std::string culprit;
  std::size_t i = 0;
  for (const nn::Parameter& one : parameters_) {
    const Tensor& gradient = gradients[i++];
    if (gradient &&
        !std::ranges::all_of(gradient.numbers<float>(), [](float x) { return std::isfinite(x); })) {
      culprit = one.name;
    }
  }
  fail(ErrorKind::failed, "the gradient of {} is not finite",
       culprit.empty() ? "all weights together" : culprit);
}

void Optimiser::step(int64_t step, double rate, double norm) {
  // As torch's clip_grad_norm_ has it.
  const double shrink = config_.clip > 0 ? std::min(1.0, config_.clip / (norm + 1e-6)) : 1;
  std::size_t i = 0;
  for (nn::Parameter& one : parameters_) {
    State& state = states_[i++];
    const Tensor gradient = one.leaf.gradient();
    if (!gradient) continue;
    const AdamW how{.learning_rate = static_cast<float>(rate),
                    .beta1 = static_cast<float>(config_.beta1),
                    .beta2 = static_cast<float>(config_.beta2),
                    .epsilon = static_cast<float>(config_.epsilon),
                    .decay = one.decay ? static_cast<float>(config_.decay) : 0,
                    .gradient_scale = static_cast<float>(shrink),
                    .step = step + 1};
    Tensor& numbers = state.rounded ? state.master : one.leaf;
    adamw(how, numbers.writable_numbers<float>(), gradient.numbers<float>(),
          state.first.writable_numbers<float>(), state.second.writable_numbers<float>(),
          current_pool());
  }
  parameters_.clear_gradients();
  round();
}

}  // namespace regard::train
