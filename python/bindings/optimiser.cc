// AdamW over a list of leaves for Python: moments stay here, numbers change where they lie.
#include <nanobind/stl/pair.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "base/check.h"
#include "kernels/adam.h"
#include "tensor.h"
#include "tensor/tape.h"

namespace regard::python {
namespace {

namespace nb = nanobind;
using namespace nb::literals;

Tensor zeros_like(const Tensor& x) {
  Tensor made = Tensor::like(x);
  std::ranges::fill(made.writable_numbers<float>(), 0.0f);
  return made;
}

class Optimiser {
 public:
  explicit Optimiser(std::vector<std::pair<Tensor, float>> leaves) : leaves_(std::move(leaves)) {
    for (const auto& [leaf, decay] : leaves_) {
      require(leaf.tracked() && leaf.node()->leaf && leaf.dtype() == DType::f32,
              "AdamW: {} is no leaf of f32", leaf);
      first_.push_back(zeros_like(leaf));
      second_.push_back(zeros_like(leaf));
    }
  }

  // Leaves without a gradient stay as they are. The norm of all gradients, before it was clipped.
  double step(AdamW options, double clip) {
    return on_pool([&] {
      std::vector<std::span<const float>> gradients;
      for (const auto& [leaf, decay] : leaves_) {
        if (leaf.gradient()) gradients.push_back(leaf.gradient().numbers<float>());
      }
      const double norm = global_norm(gradients, current_pool());
      if (clip > 0 && norm > clip) options.gradient_scale *= static_cast<float>(clip / norm);
      options.step = ++steps_;
      for (std::size_t i = 0; i < leaves_.size(); ++i) {
        auto& [leaf, decay] = leaves_[i];
        if (!leaf.gradient()) continue;
        options.decay = decay;
        adamw(options, leaf.writable_numbers<float>(), leaf.gradient().numbers<float>(),
              first_[i].writable_numbers<float>(), second_[i].writable_numbers<float>(),
              current_pool());
      }
      return norm;
    });
  }

  void clear_gradients() {
    for (auto& [leaf, decay] : leaves_) leaf.set_gradient({});
  }

 private:
  std::vector<std::pair<Tensor, float>> leaves_;
  std::vector<Tensor> first_, second_;  // moments
  int64_t steps_ = 0;
};

}  // namespace

void bind_optimiser(nb::module_& module) {
  nb::class_<Optimiser>(module, "Optimiser", "AdamW over a list of leaves.")
      .def(nb::init<std::vector<std::pair<Tensor, float>>>(), "leaves"_a)
      .def(
          "step",
          [](Optimiser& self, float rate, float beta1, float beta2, float epsilon, double clip) {
            return self.step(
                {.learning_rate = rate, .beta1 = beta1, .beta2 = beta2, .epsilon = epsilon}, clip);
          },
          "rate"_a, "beta1"_a, "beta2"_a, "epsilon"_a, "clip"_a)
      .def("clear_gradients", &Optimiser::clear_gradients);
}

}  // namespace regard::python
