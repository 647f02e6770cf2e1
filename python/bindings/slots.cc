// Normalisers and similarities by their names in C++, and the options that hold them.
#include "slots.h"

#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/string_view.h>

#include <optional>
#include <string_view>

#include "base/check.h"
#include "captured.h"
#include "regard/attention_options.h"

namespace regard::python {
namespace {

namespace nb = nanobind;
using namespace nb::literals;

Expr causal_mask(std::string_view align) {
  if (align == "bottom_right") return causal(Align::bottom_right);
  require(align == "top_left", "causal: align is '{}', must be 'bottom_right' or 'top_left'",
          align);
  return causal(Align::top_left);
}

Normaliser gumbel(float temperature, uint64_t seed, std::string_view sample) {
  if (sample == "soft") return gumbel_softmax(temperature, seed, Normaliser::Sample::soft);
  if (sample == "hard") return gumbel_softmax(temperature, seed, Normaliser::Sample::hard);
  require(sample == "straight_through",
          "gumbel_softmax: sample is '{}', must be 'soft', 'hard' or 'straight_through'", sample);
  return gumbel_softmax(temperature, seed, Normaliser::Sample::straight_through);
}

}  // namespace

void bind_slots(nb::module_& module) {
  module.def("causal", &causal_mask, "align"_a, "Causal masks by the name of their alignment.");

  module.def("dropout", &dropout, "rate"_a, "seed"_a, "Weights that are dropped at random.");

  nb::class_<Normaliser>(module, "Normaliser",
                         "How scores become weights: regard.softmax() and its kin make one.")
      .def_prop_ro("is_softmax",
                   [](const Normaliser& n) { return n.kind == Normaliser::Kind::softmax; })
      .def_static("softmax", &softmax)
      .def_static(
          "softmax_with_sink", [](float sink) { return softmax_with_sink(sink); }, "sink"_a)
      .def_static(
          "softmax_with_sinks", [](const Captured& s) { return softmax_with_sink(s.array()); },
          "sinks"_a)
      .def_static(
          "sigmoid", [](float bias) { return sigmoid(bias); }, "bias"_a)
      .def_static("relu", &relu)
      .def_static("sparsemax", &sparsemax)
      .def_static("entmax15", &entmax15)
      .def_static("hardmax", &hardmax)
      .def_static("gumbel_softmax", &gumbel, "temperature"_a, "seed"_a, "sample"_a);

  nb::class_<Similarity>(module, "Similarity",
                         "How a query and a key become a score: regard.dot() and its kin make one.")
      .def_static("dot", &dot)
      .def_static("cosine", &cosine)
      .def_static("negative_distance", &negative_distance)
      .def_static(
          "bilinear", [](const Captured& w) { return bilinear(w.array()); }, "w"_a)
      .def_static(
          "additive", [](const Captured& v) { return additive(v.array()); }, "v"_a);

  nb::class_<AttentionOptions>(module, "Options", "All slots of one call.")
      .def(
          "__init__",
          [](AttentionOptions* self, const Expr& mask, const Expr& score,
             const Normaliser& normaliser, const Expr& weight, const Similarity& similarity,
             std::optional<float> scale, int threads) {
            new (self) AttentionOptions{.mask = mask,
                                        .score = score,
                                        .normaliser = normaliser,
                                        .weight = weight,
                                        .similarity = similarity,
                                        .scale = scale,
                                        .threads = threads};
          },
          "mask"_a, "score"_a, "normaliser"_a, "weight"_a, "similarity"_a, "scale"_a.none(),
          "threads"_a);
}

}  // namespace regard::python
