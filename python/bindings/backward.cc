// attention_backward() over batches and ragged batches, without the interpreter's lock.
#include "backward.h"

#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/vector.h>

#include <vector>

#include "calls.h"
#include "captured.h"
#include "regard/attention.h"

namespace regard::python {
namespace {

using namespace nb::literals;

using Gradient = nb::ndarray<float, nb::c_contig, nb::device::cpu>;

void run_backward(const Borrowed& q, const Borrowed& k, const Borrowed& v, const Borrowed& out,
                  const Borrowed* lse, const Borrowed& dout, const Borrowed& dq, const Borrowed& dk,
                  const Borrowed& dv, const AttentionOptions& options, const Segments& segments,
                  const std::vector<Captured>& arrays, const std::vector<Gradient>& gradients) {
  check_inputs(q, k, v);
  const int64_t dim_v = v.view().shape[kDim];
  for (const Borrowed* array : {&out, &dout}) check_output(*array, q, dim_v, {});
  if (lse != nullptr) check_output(*lse, q, 1, {});
  check_output(dq, q, q.view().shape[kDim], {});
  check_output(dk, k, k.view().shape[kDim], {});
  check_output(dv, v, dim_v, {});
  std::vector<ArrayGradient> wanted;
  for (std::size_t i = 0; i < arrays.size(); ++i) {
    wanted.push_back({arrays[i].array(), gradients[i].data(), {}});
  }
  View<const float, 3> sums;
  if (lse != nullptr) sums = without_dim(lse->as<float>());
  if (segments) {
    const View<const float, 2> of_one{
        sums.data, {sums.shape[1], sums.shape[2]}, {sums.strides[1], sums.strides[2]}};
    attention_backward(sequence(q), sequence(k), sequence(v), sequence(out), of_one, sequence(dout),
                       output_sequence(dq), output_sequence(dk), output_sequence(dv),
                       look_at(*segments), options, wanted);
  } else {
    attention_backward(q.view(), k.view(), v.view(), out.view(), sums, dout.view(), dq.view(),
                       dk.view(), dv.view(), options, wanted);
  }
}

}  // namespace

void bind_backward(nb::module_& module) {
  module.def("attention_backward", &run_backward, "q"_a, "k"_a, "v"_a, "out"_a, "lse"_a.none(),
             "dout"_a, "dq"_a, "dk"_a, "dv"_a, "options"_a, "segments"_a.none(), "arrays"_a,
             "gradients"_a, nb::call_guard<nb::gil_scoped_release>(),
             "Fills dq, dk, dv and the gradients of arrays.");
}

}  // namespace regard::python
