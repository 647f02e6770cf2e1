// attention() over batches of sequences of one length, without the interpreter's lock.
#include "regard/attention.h"

#include <fmt/format.h>
#include <nanobind/nanobind.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/string_view.h>
#include <nanobind/stl/vector.h>

#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "arrays.h"
#include "attention.h"
#include "base/check.h"

namespace regard::python {
namespace {

using namespace nb::literals;

// Axes of Array::view().
enum { kBatch, kTokens, kHeads, kDim };

Expr causal_mask(std::string_view align) {
  if (align == "bottom_right") return causal(Align::bottom_right);
  require(align == "top_left", "attention: align is '{}', must be 'bottom_right' or 'top_left'",
          align);
  return causal(Align::top_left);
}

std::string text_of(const Expr& mask) { return mask.empty() ? "True" : to_string(mask); }

AttentionOptions options_of(const Expr& mask, std::optional<float> scale, int threads) {
  AttentionOptions options;
  options.mask = mask;
  options.scale = scale;
  options.threads = threads;
  return options;
}

// A batch of sequences of one length. All have the same mask, so where heads follow each other at
// one distance throughout the batch, they are batch · heads heads of a single sequence: head h of
// sequence b becomes b · heads + h, and reads key/value head b · kv_heads + h / group. That makes
// one plan and keeps all threads busy however small a sequence is.
bool folds(const View<float, 4>& a) {
  return a.shape[kBatch] == 1 || a.shape[kHeads] == 1 ||
         a.strides[kBatch] == a.shape[kHeads] * a.strides[kHeads];
}
View<float, 3> folded(const View<float, 4>& a) {
  const int64_t step = a.shape[kHeads] == 1 ? a.strides[kBatch] : a.strides[kHeads];
  return {a.data,
          {a.shape[kTokens], a.shape[kBatch] * a.shape[kHeads], a.shape[kDim]},
          {a.strides[kTokens], step, a.strides[kDim]}};
}

// A view without its last axis.
View<float, 2> without_dim(const View<float, 3>& a) {
  return {a.data, {a.shape[0], a.shape[1]}, {a.strides[0], a.strides[1]}};
}

void check_batch(const Array& q, const Array& k, const Array& v) {
  for (const Array* other : {&k, &v}) {
    require(other->view().shape[kBatch] == q.view().shape[kBatch],
            "attention: {} has batch {}, q has {}", other->name(), other->view().shape[kBatch],
            q.view().shape[kBatch]);
  }
}

// dim: the last axis that the output must have.
void check_output(const Array& output, const Array& q, int64_t dim,
                  std::initializer_list<const Array*> inputs) {
  View<float, 4>::Extents wanted = q.view().shape;
  wanted[kDim] = dim;
  require(output.view().shape == wanted, "attention: {} is {}, must be {}", output.name(),
          in_words(output.view().shape, output.axes()), in_words(wanted, output.axes()));
  for (const Array* input : inputs) check_apart(output, *input);
}

// The library's rules, stated with the sizes of one sequence: without a row nothing is computed.
void check_inputs(const Array& q, const Array& k, const Array& v, const AttentionOptions& options) {
  check_batch(q, k, v);
  const View<float, 3> no_rows = q.view()[0].rows(0, 0);
  View<float, 3> no_out = no_rows;
  no_out.shape[2] = v.view().shape[kDim];
  attention(no_rows, k.view()[0], v.view()[0], no_out, options);
}

void run(const Array& q, const Array& k, const Array& v, const Array& out, const Array* lse,
         const AttentionOptions& options) {
  for (const Array* array : {&q, &k, &v, &out}) {
    require(array->view().data != nullptr || array->view().size() == 0,
            "attention: {} is a shape without numbers", array->name());
  }
  check_inputs(q, k, v, options);
  check_output(out, q, v.view().shape[kDim], {&q, &k, &v});
  if (lse != nullptr) check_output(*lse, q, 1, {&q, &k, &v, &out});

  const auto call = [&](const auto& part) {
    attention(part(q.view()), part(k.view()), part(v.view()), part(out.view()), options,
              lse != nullptr ? without_dim(part(lse->view())) : View<float, 2>());
  };
  if (folds(q.view()) && folds(k.view()) && folds(v.view()) && folds(out.view()) &&
      (lse == nullptr || folds(lse->view()))) {
    call(folded);
    return;
  }
  for (int64_t i = 0; i < q.view().shape[kBatch]; ++i) {
    call([i](const View<float, 4>& a) { return a[i]; });
  }
}

std::string explain_batch(const Array& q, const Array& k, const Array& v,
                          const AttentionOptions& options) {
  check_inputs(q, k, v, options);
  std::vector<int64_t> shape = q.shape();
  shape[q.axes().find('d')] = v.view().shape[kDim];
  const Array out("out", q.axes(), shape);  // as it is made when the caller gives none
  const int64_t batch = q.view().shape[kBatch];
  if (folds(q.view()) && folds(k.view()) && folds(v.view()) && folds(out.view())) {
    const std::string text = explain(folded(q.view()), folded(k.view()), folded(v.view()), options);
    if (batch == 1) return text;
    return fmt::format("batch of {} as one sequence with {} times as many heads\n{}", batch, batch,
                       text);
  }
  return fmt::format("batch of {}, one sequence after another:\n{}", batch,
                     explain(q.view()[0], k.view()[0], v.view()[0], options));
}

}  // namespace

void bind_attention(nb::module_& module) {
  nb::class_<Expr>(module, "Mask",
                   "Which keys a query row may use. regard.full() and regard.causal() make one.")
      .def("__repr__", &text_of);
  module.def("full", &full, "The mask that allows every key.");
  module.def("causal", &causal_mask, "align"_a, "Causal masks by the name of their alignment.");

  nb::class_<Array>(module, "Array", "An array as the library sees it: borrowed, never copied.")
      .def(
          "__init__",
          [](Array* self, nb::handle source, std::string name, std::string axes, bool writable) {
            new (self) Array(source, std::move(name), std::move(axes),
                             writable ? Access::write : Access::read);
          },
          "source"_a.none(), "name"_a, "axes"_a, "writable"_a = false)
      .def_prop_ro("shape", [](const Array& array) -> nb::typed<nb::tuple, int64_t, nb::ellipsis> {
        return nb::tuple(nb::cast(array.shape()));
      });
  module.def(
      "shaped",
      [](std::vector<int64_t> shape, std::string name, std::string axes) {
        return Array(std::move(name), std::move(axes), std::move(shape));
      },
      "shape"_a, "name"_a, "axes"_a, "A shape without numbers, for explain().");
  module.def("check_layout", &check_layout, "axes"_a, "Refuses what names no axes.");

  module.def(
      "attention",
      [](const Array& q, const Array& k, const Array& v, const Array& out, const Array* lse,
         const Expr& mask, std::optional<float> scale,
         int threads) { run(q, k, v, out, lse, options_of(mask, scale, threads)); },
      "q"_a, "k"_a, "v"_a, "out"_a, "lse"_a.none(), "mask"_a, "scale"_a.none(), "threads"_a,
      nb::call_guard<nb::gil_scoped_release>(), "Fills out, and lse if there is one.");
  module.def(
      "explain",
      [](const Array& q, const Array& k, const Array& v, const Expr& mask,
         std::optional<float> scale,
         int threads) { return explain_batch(q, k, v, options_of(mask, scale, threads)); },
      "q"_a, "k"_a, "v"_a, "mask"_a, "scale"_a.none(), "threads"_a,
      nb::call_guard<nb::gil_scoped_release>(), "What attention() does with such arrays.");
}

}  // namespace regard::python
