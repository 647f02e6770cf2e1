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

// Axes of Borrowed::view().
enum { kBatch, kTokens, kHeads, kDim };

// A batch of sequences of one length. All have the same mask, so where heads follow each other at
// one distance throughout the batch, they are batch · heads heads of a single sequence: head h of
// sequence b becomes b · heads + h, and reads key/value head b · kv_heads + h / group. That makes
// one plan and keeps all threads busy however small a sequence is.
bool folds(const OutputView<4>& a) {
  return a.shape[kBatch] == 1 || a.shape[kHeads] == 1 ||
         a.strides[kBatch] == a.shape[kHeads] * a.strides[kHeads];
}
View<float, 3> folded(const OutputView<4>& a) {
  const int64_t step = a.shape[kHeads] == 1 ? a.strides[kBatch] : a.strides[kHeads];
  return {static_cast<float*>(a.data),
          {a.shape[kTokens], a.shape[kBatch] * a.shape[kHeads], a.shape[kDim]},
          {a.strides[kTokens], step, a.strides[kDim]}};
}

// A view without its last axis.
View<float, 2> without_dim(const View<float, 3>& a) {
  return {a.data, {a.shape[0], a.shape[1]}, {a.strides[0], a.strides[1]}};
}

void check_batch(const Borrowed& q, const Borrowed& k, const Borrowed& v) {
  for (const Borrowed* other : {&k, &v}) {
    require(other->view().shape[kBatch] == q.view().shape[kBatch], "{}: {} has batch {}, q has {}",
            q.call(), other->name(), other->view().shape[kBatch], q.view().shape[kBatch]);
  }
}

// dim: the last axis that the output must have.
void check_output(const Borrowed& output, const Borrowed& q, int64_t dim,
                  std::initializer_list<const Borrowed*> inputs) {
  View<float, 4>::Extents wanted = q.view().shape;
  wanted[kDim] = dim;
  require(output.view().shape == wanted, "{}: {} is {}, must be {}", q.call(), output.name(),
          in_words(output.view().shape, output.axes()), in_words(wanted, output.axes()));
  for (const Borrowed* input : inputs) check_apart(output, *input);
}

void check_types(std::initializer_list<const Borrowed*> arrays) {
  for (const Borrowed* array : arrays) {
    if (array->dtype() != "float32") {
      refuse_type("{}: {} is {}, must be float32", array->call(), array->name(), array->dtype());
    }
  }
}

// The library's rules, stated with the sizes of one sequence: without a row nothing is computed.
void check_inputs(const Borrowed& q, const Borrowed& k, const Borrowed& v,
                  const AttentionOptions& options) {
  check_types({&q, &k, &v});
  check_batch(q, k, v);
  const View<float, 3> no_rows = q.as<float>()[0].rows(0, 0);
  View<float, 3> no_out = no_rows;
  no_out.shape[2] = v.view().shape[kDim];
  attention(no_rows, k.as<float>()[0], v.as<float>()[0], no_out, options);
}

void run(const Borrowed& q, const Borrowed& k, const Borrowed& v, const Borrowed& out,
         const Borrowed* lse, const AttentionOptions& options) {
  for (const Borrowed* array : {&q, &k, &v, &out}) {
    require(array->view().data != nullptr || array->view().size() == 0,
            "{}: {} is a shape without numbers", q.call(), array->name());
  }
  check_inputs(q, k, v, options);
  check_types({&out});
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
    call([i](const OutputView<4>& a) { return a.as<float>()[i]; });
  }
}

std::string explain_batch(const Borrowed& q, const Borrowed& k, const Borrowed& v,
                          const AttentionOptions& options) {
  check_inputs(q, k, v, options);
  std::vector<int64_t> shape = q.shape();
  shape[q.axes().find('d')] = v.view().shape[kDim];
  const Borrowed out({q.call(), "out"}, q.axes(), shape);  // as made when the caller gives none
  const int64_t batch = q.view().shape[kBatch];
  if (folds(q.view()) && folds(k.view()) && folds(v.view()) && folds(out.view())) {
    const std::string text = explain(folded(q.view()), folded(k.view()), folded(v.view()), options);
    if (batch == 1) return text;
    return fmt::format("batch of {} as one sequence with {} times as many heads\n{}", batch, batch,
                       text);
  }
  return fmt::format("batch of {}, one sequence after another:\n{}", batch,
                     explain(q.as<float>()[0], k.as<float>()[0], v.as<float>()[0], options));
}

}  // namespace

void bind_attention(nb::module_& module) {
  nb::class_<Borrowed>(module, "Borrowed", "An array as the library sees it, never copied.")
      .def(
          "__init__",
          [](Borrowed* self, nb::handle source, std::string call, std::string name,
             std::string axes, bool writable, bool bits_of_bf16) {
            new (self) Borrowed(source, {std::move(call), std::move(name)}, std::move(axes),
                                writable ? Access::write : Access::read, bits_of_bf16);
          },
          "source"_a.none(), "call"_a, "name"_a, "axes"_a, "writable"_a = false,
          "bits_of_bf16"_a = false)
      .def_prop_ro("shape",
                   [](const Borrowed& array) -> nb::typed<nb::tuple, int64_t, nb::ellipsis> {
                     return nb::tuple(nb::cast(array.shape()));
                   })
      .def_prop_ro("dtype", &Borrowed::dtype);
  module.def(
      "shaped",
      [](std::vector<int64_t> shape, std::string call, std::string name, std::string axes) {
        return Borrowed({std::move(call), std::move(name)}, std::move(axes), std::move(shape));
      },
      "shape"_a, "call"_a, "name"_a, "axes"_a, "A shape without numbers, for explain().");
  module.def("check_layout", &check_layout, "axes"_a, "Refuses what names no axes.");

  module.def("attention", &run, "q"_a, "k"_a, "v"_a, "out"_a, "lse"_a.none(), "options"_a,
             nb::call_guard<nb::gil_scoped_release>(), "Fills out, and lse if there is one.");
  module.def("explain", &explain_batch, "q"_a, "k"_a, "v"_a, "options"_a,
             nb::call_guard<nb::gil_scoped_release>(), "What attention() does with such arrays.");
}

}  // namespace regard::python
