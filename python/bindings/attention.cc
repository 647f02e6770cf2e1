// attention(), merge() and explain() over batches and ragged batches, without the interpreter's
// lock.
#include "attention.h"

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
#include "base/check.h"
#include "calls.h"
#include "regard/attention.h"
#include "segments.h"

namespace regard::python {
namespace {

using namespace nb::literals;

// What attention() fills besides out. The arrays live as long as the object does.
struct Extras {
  AttentionExtras views;

  void add(std::string_view name, const Borrowed& array) {
    const View<float, 4> a = array.as<float>();
    if (name == "lse") {
      views.lse = without_dim(a);
    } else if (name == "entropy") {
      views.entropy = without_dim(a);
    } else if (name == "key_sums") {  // [segments, heads, keys]
      views.key_sums = {a.data,
                        {a.shape[kBatch], a.shape[kHeads], a.shape[kDim]},
                        {a.strides[kBatch], a.strides[kHeads], a.strides[kDim]}};
    } else if (name == "top_weights") {
      views.top_weights = a;
    } else if (name == "top_keys") {
      views.top_keys = array.as<int32_t>();
    } else if (name == "similarities") {
      views.similarities = a;
    } else if (name == "scores") {
      views.scores = a;
    } else if (name == "masked") {
      views.masked = a;
    } else {
      require(name == "weights", "attention: there is no output called '{}'", name);
      views.weights = a;
    }
  }
};

void run(const Borrowed& q, const Borrowed& k, const Borrowed& v, const Borrowed& out,
         const AttentionOptions& options, const Extras& extras, const Segments& segments) {
  check_numbers({&q, &k, &v, &out});
  check_inputs(q, k, v);
  check_output(out, q, v.view().shape[kDim], {&q, &k, &v});
  if (segments) {
    attention(sequence(q), sequence(k), sequence(v), output_sequence(out), look_at(*segments),
              options, extras.views);
  } else {
    attention(q.view(), k.view(), v.view(), out.view(), options, extras.views);
  }
}

// Attention over the keys of a and of b: every sequence of a batch by itself.
void merge_parts(const Borrowed& out_a, const Borrowed& lse_a, const Borrowed& out_b,
                 const Borrowed& lse_b, const Borrowed& out, const Borrowed& lse) {
  for (const Borrowed* array : {&out_a, &lse_a, &out_b, &lse_b, &out, &lse}) {
    if (array->dtype() != "float32") {
      refuse_type("merge: {} is {}, must be float32", array->name(), array->dtype());
    }
    require(array->view().shape[kBatch] == out_a.view().shape[kBatch],
            "merge: {} has batch {}, out_a has {}", array->name(), array->view().shape[kBatch],
            out_a.view().shape[kBatch]);
  }
  const auto part = [](const Borrowed& array, int64_t n) -> View<float, 3> {
    return array.as<float>()[n];
  };
  const auto sums = [&](const Borrowed& array, int64_t n) -> View<float, 2> {
    const View<float, 3> a = part(array, n);
    return {a.data, {a.shape[0], a.shape[1]}, {a.strides[0], a.strides[1]}};
  };
  for (int64_t n = 0; n < out_a.view().shape[kBatch]; ++n) {
    merge(part(out_a, n), sums(lse_a, n), part(out_b, n), sums(lse_b, n), part(out, n),
          sums(lse, n));
  }
}

std::string explain_batch(const Borrowed& q, const Borrowed& k, const Borrowed& v,
                          const AttentionOptions& options) {
  check_inputs(q, k, v);
  const std::string text = explain(sequence(q), sequence(k), sequence(v), options);
  const int64_t batch = q.view().shape[kBatch];
  return batch == 1 ? text : fmt::format("batch of {} sequences, each:\n{}", batch, text);
}

void bind_arrays(nb::module_& module) {
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
}

}  // namespace

void bind_attention(nb::module_& module) {
  bind_arrays(module);
  nb::class_<Extras>(module, "Extras", "What attention() fills besides out.")
      .def(nb::init<>())
      .def("add", &Extras::add, "name"_a, "array"_a, nb::keep_alive<1, 3>());
  nb::class_<OwnedSegment>(module, "Segment", "One sequence of a ragged batch.")
      .def(
          "__init__",
          [](OwnedSegment* self, int64_t first_row, int64_t rows, int64_t first_key, int64_t keys,
             std::optional<int64_t> position, std::optional<int64_t> sequence_id,
             std::vector<int32_t> block_table) {
            new (self) OwnedSegment{{.first_row = first_row,
                                     .rows = rows,
                                     .keys = keys,
                                     .first_key = first_key,
                                     .position = position,
                                     .sequence = sequence_id},
                                    std::move(block_table)};
          },
          "first_row"_a, "rows"_a, "first_key"_a, "keys"_a, "position"_a.none(),
          "sequence"_a.none(), "block_table"_a)
      .def_prop_ro("keys", [](const OwnedSegment& s) { return s.segment.keys; })
      .def_prop_ro("rows", [](const OwnedSegment& s) { return s.segment.rows; });

  module.def("attention", &run, "q"_a, "k"_a, "v"_a, "out"_a, "options"_a, "extras"_a,
             "segments"_a.none(), nb::call_guard<nb::gil_scoped_release>(),
             "Fills out and the extras.");
  module.def("merge", &merge_parts, "out_a"_a, "lse_a"_a, "out_b"_a, "lse_b"_a, "out"_a, "lse"_a,
             nb::call_guard<nb::gil_scoped_release>(), "Fills out and lse.");
  module.def("explain", &explain_batch, "q"_a, "k"_a, "v"_a, "options"_a,
             nb::call_guard<nb::gil_scoped_release>(), "What attention() does with such arrays.");
}

}  // namespace regard::python
