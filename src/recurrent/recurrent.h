// Recurrent layers over whole sequences, each one operation, alone or with Bahdanau's attention
// inside. x is [time, batch, inputs]; weights, names and gate order are PyTorch's
// (recurrent/cells.h).
//
// W_ih x of all steps is one product; then each thread takes rows of the batch through all of time,
// so that steps need no meeting of threads. The way back in time writes gate gradients of all
// steps, and weights get theirs from one product over all of them. Bits depend neither on threads
// nor on neighbours in the batch. f32, or all f64: the formula.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "recurrent/cells.h"
#include "tensor/tensor.h"

namespace regard {

// G = gates_of(cell) · hidden.
struct RecurrentWeights {
  Tensor weight_ih;     // [G, inputs], with attention [G, inputs + width]
  Tensor weight_hh;     // [G, hidden]
  Tensor bias_ih = {};  // [G], or empty: zeros
  Tensor bias_hh = {};  // the same
};

struct RecurrentState {
  Tensor h = {};  // [batch, hidden]; empty: zeros
  Tensor c = {};  // the same, of an LSTM
};

// Bahdanau's attention over a source, for each step with the state before it:
//   α = softmax_j(score · tanh(query h' + keys_j)),  context = Σ_j α_j values_j
// and the cell's input is x with the context behind it.
struct AdditiveAttention {
  Tensor keys;                            // [batch, source, units]: W_h h_j, made once
  Tensor values;                          // [batch, source, width]
  Tensor query;                           // W_s [units, hidden]
  Tensor score;                           // v [units]
  std::span<const int64_t> lengths = {};  // of sources; empty: all are whole
};

// Weights packed once for many calls with a few steps: greedy decoding. Numbers are those at the
// time of making.
struct RecurrentPanels;
std::shared_ptr<const RecurrentPanels> recurrent_panels(const RecurrentWeights& weights,
                                                        const AdditiveAttention* attention);

struct RecurrentOptions {
  // Steps of each row; empty: all. A row that is finished keeps its state, with a context of zeros,
  // and its x gets no gradient.
  std::span<const int64_t> lengths = {};
  bool reverse = false;  // from each row's last step to its first
  const AdditiveAttention* attention = nullptr;
  const RecurrentPanels* panels = nullptr;
};

struct Recurrence {
  Tensor steps;  // [time, batch, hidden], with attention [time, batch, hidden + width]: h and
                 // the context beside it
  RecurrentState last;  // of each row after its last step; h is empty with attention
  Tensor weights;       // α [batch, time, source], apart from the tape; empty without attention
};

// Throws Error when shapes disagree, a length is outside 0 .. time, or a source's outside
// 0 .. source.
Recurrence recur(Cell cell, const Tensor& x, const RecurrentWeights& weights,
                 const RecurrentState& first = {}, const RecurrentOptions& options = {});

}  // namespace regard
