// The operations on tensors by their names in C++.
#include "ops/ops.h"

#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string_view.h>
#include <nanobind/stl/vector.h>

#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "base/check.h"
#include "tensor.h"

namespace regard::python {
namespace {

namespace nb = nanobind;
using namespace nb::literals;

using Ids = std::vector<int32_t>;

Tensor or_empty(const std::optional<Tensor>& x) { return x ? *x : Tensor(); }

Activation activation_of(std::string_view name) {
  constexpr std::pair<std::string_view, Activation> kNames[] = {
      {"silu", Activation::silu},         {"gelu", Activation::gelu_erf},
      {"gelu_erf", Activation::gelu_erf}, {"gelu_tanh", Activation::gelu_tanh},
      {"relu", Activation::relu},
  };
  for (const auto& [known, function] : kNames) {
    if (name == known) return function;
  }
  fail(ErrorKind::invalid_argument,
       "activate: '{}' is no activation; there are silu, gelu, gelu_tanh and relu", name);
}

}  // namespace

void bind_ops(nb::module_& parent) {
  nb::module_ module = parent.def_submodule("ops", "Operations on tensors.");
  module.def(
      "linear",
      [](const Tensor& x, const Tensor& weight, const std::optional<Tensor>& bias) {
        const Tensor shift = or_empty(bias);
        return on_pool([&] { return linear(x, {nullptr, &weight, &shift}); });
      },
      "x"_a, "weight"_a, "bias"_a.none() = nb::none());
  module.def(
      "embedding",
      [](const Tensor& table, const Ids& ids) {
        return on_pool([&] { return embedding(table, ids); });
      },
      "table"_a, "ids"_a);
  module.def(
      "gather",
      [](const Tensor& x, const std::vector<int64_t>& indices) {
        return on_pool([&] { return gather(x, indices); });
      },
      "x"_a, "indices"_a);
  module.def(
      "add", [](const Tensor& a, const Tensor& b) { return on_pool([&] { return add(a, b); }); },
      "a"_a, "b"_a);
  module.def(
      "rms_norm",
      [](const Tensor& x, const Tensor& gain, float epsilon) {
        return on_pool([&] { return rms_norm(x, gain, epsilon); });
      },
      "x"_a, "gain"_a, "epsilon"_a = 1e-5f);
  module.def(
      "layer_norm",
      [](const Tensor& x, const Tensor& gain, const std::optional<Tensor>& shift, float epsilon) {
        const Tensor by = or_empty(shift);
        return on_pool([&] { return layer_norm(x, gain, by, epsilon); });
      },
      "x"_a, "gain"_a, "shift"_a.none() = nb::none(), "epsilon"_a = 1e-5f);
  module.def(
      "log_sum_exp", [](const Tensor& x) { return on_pool([&] { return log_sum_exp(x); }); },
      "x"_a);
  module.def(
      "activate",
      [](std::string_view function, const Tensor& x) {
        return on_pool([&] { return activate(activation_of(function), x); });
      },
      "function"_a, "x"_a);
  module.def(
      "scale",
      [](const Tensor& x, float factor) { return on_pool([&] { return scale(x, factor); }); },
      "x"_a, "factor"_a);
  module.def(
      "softcap",
      [](const Tensor& x, float cap) { return on_pool([&] { return softcap(x, cap); }); }, "x"_a,
      "cap"_a);
}

}  // namespace regard::python
