// Alignment of all queries at once with the keys of their sources, where queries do not depend on
// contexts; with Bahdanau's recurrence inside: recurrent/recurrent.h.
#pragma once

#include <cstdint>
#include <span>

#include "tensor/tensor.h"

namespace regard {

// e[b, t, j] = v · tanh(queries[b, t] + keys[b, j]), -inf from the source's length on.
//   queries [batch, time, units]   keys [batch, source, units]   v [units]
//   -> [batch, time, source]
// With W_s s and W_h h for queries and keys it is Bahdanau's score (2015), and with the two halves
// of W_a Luong's `concat` (Luong, Pham and Manning 2015, eq. 8). lengths empty: all are whole.
Tensor additive_scores(const Tensor& queries, const Tensor& keys, const Tensor& v,
                       std::span<const int64_t> lengths = {});

// e[b, t, j] = queries[b, t] · keys[b, j], -inf from the source's length on: Luong's `dot`, and
// `general` with W_a in keys or queries.
//   queries [batch, time, width]   keys [batch, source, width]
Tensor dot_scores(const Tensor& queries, const Tensor& keys, std::span<const int64_t> lengths = {});

struct Aligned {
  Tensor context;  // [batch, time, width]
  Tensor weights;  // α [batch, time, source]: rows sum to 1, exactly 0 from the length on; a source
                   // without keys gives zeros
};
// α = softmax(scores), context = α values; values [batch, source, width].
Aligned align(const Tensor& scores, const Tensor& values);

}  // namespace regard
