// The operations on tensors by their names in C++.
#include "ops/ops.h"

#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string_view.h>
#include <nanobind/stl/vector.h>

#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "base/check.h"
#include "captured.h"
#include "learning/batch_norm.h"
#include "learning/cast.h"
#include "learning/dropout.h"
#include "learning/losses.h"
#include "learning/reductions.h"
#include "segments.h"
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
      {"relu", Activation::relu},         {"tanh", Activation::tanh},
      {"sigmoid", Activation::sigmoid},   {"identity", Activation::identity},
  };
  for (const auto& [known, function] : kNames) {
    if (name == known) return function;
  }
  fail(ErrorKind::invalid_argument,
       "activate: '{}' is no activation; there are silu, gelu, gelu_tanh, relu, tanh, sigmoid and "
       "identity",
       name);
}

Over over_of(std::string_view name) {
  if (name == "all") return Over::all;
  if (name == "rows") return Over::rows;
  require(name == "columns", "over is '{}', must be 'all', 'rows' or 'columns'", name);
  return Over::columns;
}

DType plain_dtype(std::string_view name) {
  for (const DType dtype : {DType::f32, DType::f64, DType::f16, DType::bf16}) {
    if (name == info(dtype).name) return dtype;
  }
  fail(ErrorKind::invalid_argument, "cast: '{}' is no dtype; there are f32, f64, f16 and bf16",
       name);
}

using Unary = Tensor (*)(const Tensor&);
using Binary = Tensor (*)(const Tensor&, const Tensor&);

void bind_unary(nb::module_& module, const char* name, Unary function) {
  module.def(
      name, [function](const Tensor& x) { return on_pool([&] { return function(x); }); }, "x"_a);
}
void bind_binary(nb::module_& module, const char* name, Binary function) {
  module.def(
      name,
      [function](const Tensor& a, const Tensor& b) {
        return on_pool([&] { return function(a, b); });
      },
      "a"_a, "b"_a);
}

Tensor turn(const Tensor& x, const RopeTable& table, const Ids& positions, bool pairs) {
  return on_pool(
      [&] { return rope(x, table, positions, pairs ? RopeLayout::pairs : RopeLayout::halves); });
}

std::pair<Tensor, Tensor> entropy_of(const Tensor& logits, const Ids& targets,
                                     const std::vector<float>& weights, float smoothing,
                                     double normaliser) {
  return on_pool([&] {
    CrossEntropy made = cross_entropy(
        logits, targets, {.weights = weights, .smoothing = smoothing, .normaliser = normaliser});
    return std::pair(std::move(made.loss), std::move(made.rows));
  });
}

Tensor attend(const Tensor& q, const Tensor& k, const Tensor& v,
              const std::vector<OwnedSegment>& owned, const AttentionOptions& options,
              const std::vector<std::pair<Captured, Tensor>>& captured) {
  const std::vector<Segment> segments = look_at(owned);
  std::vector<CapturedLeaf> learned;
  for (const auto& [array, leaf] : captured) learned.push_back({array.array(), leaf});
  return on_pool([&] { return attention(q, k, v, segments, options, learned); });
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
  bind_binary(module, "add", [](const Tensor& a, const Tensor& b) { return add(a, b); });
  bind_binary(module, "sub", [](const Tensor& a, const Tensor& b) { return sub(a, b); });
  bind_binary(module, "mul", [](const Tensor& a, const Tensor& b) { return mul(a, b); });
  bind_binary(module, "matmul", [](const Tensor& a, const Tensor& b) { return matmul(a, b); });
  bind_binary(module, "mean_squared_error",
              [](const Tensor& a, const Tensor& b) { return mean_squared_error(a, b); });
  bind_unary(module, "softmax", [](const Tensor& x) { return softmax(x); });
  bind_unary(module, "log_softmax", [](const Tensor& x) { return log_softmax(x); });
  bind_unary(module, "log_sum_exp", [](const Tensor& x) { return log_sum_exp(x); });
  bind_unary(module, "transpose", [](const Tensor& x) { return transpose(x); });
  module.def(
      "activate_gated",
      [](std::string_view function, const Tensor& gate, const Tensor& up) {
        return on_pool([&] { return activate_gated(activation_of(function), gate, up); });
      },
      "function"_a, "gate"_a, "up"_a);
  module.def(
      "sum",
      [](const Tensor& x, std::string_view over) {
        return on_pool([&] { return sum(x, over_of(over)); });
      },
      "x"_a, "over"_a = "all");
  module.def(
      "mean",
      [](const Tensor& x, std::string_view over) {
        return on_pool([&] { return mean(x, over_of(over)); });
      },
      "x"_a, "over"_a = "all");
  module.def(
      "concat_rows",
      [](const std::vector<Tensor>& parts) { return on_pool([&] { return concat_rows(parts); }); },
      "parts"_a);
  module.def(
      "concat_columns",
      [](const std::vector<Tensor>& parts) {
        return on_pool([&] { return concat_columns(parts); });
      },
      "parts"_a);
  module.def(
      "columns",
      [](const Tensor& x, int64_t first, int64_t count) {
        return on_pool([&] { return columns(x, first, count); });
      },
      "x"_a, "first"_a, "count"_a);
  module.def(
      "permute",
      [](const Tensor& x, const std::vector<int>& axes) {
        return on_pool([&] { return permute(x, axes); });
      },
      "x"_a, "axes"_a);
  module.def(
      "scatter_add",
      [](const Tensor& x, const Tensor& rows, const std::vector<int64_t>& indices,
         const Tensor& weights) {
        return on_pool([&] { return scatter_add(x, rows, indices, weights); });
      },
      "x"_a, "rows"_a, "indices"_a, "weights"_a);
  module.def(
      "dropout",
      [](const Tensor& x, float rate, uint64_t seed, uint64_t key) {
        return on_pool([&] { return dropout(x, rate, {seed, key}); });
      },
      "x"_a, "rate"_a, "seed"_a, "key"_a);
  module.def(
      "cast",
      [](const Tensor& x, std::string_view dtype) {
        return on_pool([&] { return cast(x, plain_dtype(dtype)); });
      },
      "x"_a, "dtype"_a);
  module.def("cross_entropy", &entropy_of, "logits"_a, "targets"_a,
             "weights"_a = std::vector<float>{}, "smoothing"_a = 0.0f, "normaliser"_a = 0.0);
  nb::class_<RunningStatistics>(module, "RunningStatistics")
      .def(
          "__init__",
          [](RunningStatistics* self, int64_t width, float momentum) {
            new (self) RunningStatistics(RunningStatistics::of_width(width));
            self->momentum = momentum;
          },
          "width"_a, "momentum"_a = 0.1f)
      .def_ro("mean", &RunningStatistics::mean)
      .def_ro("variance", &RunningStatistics::variance);
  module.def(
      "batch_norm",
      [](const Tensor& x, const Tensor& gain, const Tensor& shift, RunningStatistics& running,
         float epsilon, bool training) {
        return on_pool([&] {
          return batch_norm(x, gain, shift, running, epsilon,
                            training ? Phase::train : Phase::eval);
        });
      },
      "x"_a, "gain"_a, "shift"_a, "running"_a, "epsilon"_a, "training"_a);
  module.def("rope", &turn, "x"_a, "table"_a, "positions"_a, "pairs"_a = false);
  module.def("attention", &attend, "q"_a, "k"_a, "v"_a, "segments"_a, "options"_a, "captured"_a);
}

}  // namespace regard::python
