// What calls of the operator share: views of one sequence, and checks that speak of layouts.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <vector>

#include "arrays.h"
#include "base/check.h"
#include "segments.h"

namespace regard::python {

using Segments = std::optional<std::vector<OwnedSegment>>;

// Axes of Borrowed::view().
enum { kBatch, kTokens, kHeads, kDim };

// [batch, tokens, heads] of [batch, tokens, heads, 1].
template <class T>
View<T, 3> without_dim(const View<T, 4>& a) {
  return {a.data,
          {a.shape[kBatch], a.shape[kTokens], a.shape[kHeads]},
          {a.strides[kBatch], a.strides[kTokens], a.strides[kHeads]}};
}

// One sequence: what lies behind the batch axis.
inline InputView<3> sequence(const Borrowed& array) {
  const InputView<4> a = array.view();
  return {a.data,
          a.dtype,
          {a.shape[kTokens], a.shape[kHeads], a.shape[kDim]},
          {a.strides[kTokens], a.strides[kHeads], a.strides[kDim]}};
}
inline OutputView<3> output_sequence(const Borrowed& array) {
  const InputView<3> a = sequence(array);
  return {const_cast<void*>(a.data), a.dtype, a.shape, a.strides};
}

inline void check_inputs(const Borrowed& q, const Borrowed& k, const Borrowed& v) {
  for (const Borrowed* array : {&q, &k, &v}) {
    if (array->holds_int32()) {
      refuse_type("{}: {} is int32, must be float64, float32, float16 or bfloat16", array->call(),
                  array->name());
    }
    require(array->view().shape[kBatch] == q.view().shape[kBatch], "{}: {} has batch {}, {} has {}",
            q.call(), array->name(), array->view().shape[kBatch], q.name(), q.view().shape[kBatch]);
  }
}

inline void check_numbers(std::initializer_list<const Borrowed*> arrays) {
  for (const Borrowed* array : arrays) {
    require(array->view().data != nullptr || array->view().size() == 0,
            "{}: {} is a shape without numbers", array->call(), array->name());
  }
}

// dim: the last axis that the output must have.
inline void check_output(const Borrowed& output, const Borrowed& like, int64_t dim,
                         std::initializer_list<const Borrowed*> inputs) {
  if (output.holds_int32()) {
    refuse_type("{}: {} is int32, must be float64, float32, float16 or bfloat16", output.call(),
                output.name());
  }
  std::array<int64_t, 4> wanted = like.view().shape;
  wanted[kDim] = dim;
  require(output.view().shape == wanted, "{}: {} is {}, must be {}", output.call(), output.name(),
          in_words(output.view().shape, output.axes()), in_words(wanted, output.axes()));
  for (const Borrowed* input : inputs) check_apart(output, *input);
}

}  // namespace regard::python
