// A recurrence in parts, shared by both directions of the tape: sizes, tensors and products.
//
// States of all steps lie in one tensor of slots [slots, batch, hidden + width]: the first state,
// then a slot a step (in reverse: steps, then the first state), and of an LSTM the last c.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "matmul/product.h"
#include "recurrent/recurrent.h"
#include "tensor/pool.h"

namespace regard::recurrence {

// Inputs of the node, in the order in which the tape has them.
enum Input : int { kX, kInputWeight, kStateWeight, kInputBias, kStateBias, kFirstH, kFirstC };
enum AttentionInput : int { kKeys = 7, kValues, kQuery, kScore, kInputs };

struct Sequence {
  Cell cell;
  bool reverse = false;
  int64_t time = 0, batch = 0, inputs = 0, hidden = 0;
  int64_t source = 0, units = 0, width = 0;  // 0 without attention
  std::vector<int64_t> lengths, source_lengths;
  Tensor in[kInputs];  // detached

  Tensor slots;    // [slots, batch, hidden + width]
  Tensor kept;     // [time, batch, kept_of hidden]
  Tensor cells;    // [time + 1, batch, hidden]: c in slots
  Tensor queries;  // [time, batch, units]
  Tensor alpha;    // [batch, time, source]

  bool attends() const { return units > 0; }
  bool has_c() const { return cell == Cell::lstm; }
  int64_t gates() const { return gates_of(cell) * hidden; }
  int64_t keeps() const { return kept_of(cell) * hidden; }
  int64_t row() const { return hidden + width; }
  int64_t slot_count() const { return time + 1 + (has_c() ? 1 : 0); }
  int64_t step(int64_t n) const { return reverse ? time - 1 - n : n; }  // the n-th in order
  int64_t slot(int64_t t) const { return reverse ? t : t + 1; }
  int64_t slot_before(int64_t t) const { return reverse ? t + 1 : t; }
  int64_t first_slot() const { return reverse ? time : 0; }
  int64_t last_slot() const { return reverse ? 0 : time; }
  int64_t outputs() const { return reverse ? 0 : 1; }  // the slot of step 0
  bool live(int64_t t, int64_t b) const { return t < lengths[static_cast<std::size_t>(b)]; }
  int64_t keys_of(int64_t b) const { return source_lengths[static_cast<std::size_t>(b)]; }
};

// Numbers of a tensor as rows of `width`, from row `row` and column `column` on.
template <class T>
View<const T, 2> part(const Tensor& x, int64_t width, int64_t row, int64_t rows, int64_t column,
                      int64_t columns) {
  return {x.numbers<T>().data() + row * width + column, {rows, columns}, {width, 1}};
}
template <class T>
View<T, 2> writable_part(Tensor& x, int64_t width, int64_t row, int64_t rows, int64_t column,
                         int64_t columns) {
  return {x.writable_numbers<T>().data() + row * width + column, {rows, columns}, {width, 1}};
}
template <class T>
void clear(Tensor& x) {
  for (T& number : x.writable_numbers<T>()) number = 0;
}

// One fixed right factor of many small products y = x Wᵀ + bias, on the calling thread.
template <class T>
struct Factor;
template <>
struct Factor<float> {
  PackedMatrix packed = {};

  void set(View<const float, 2> w) { packed = PackedMatrix::pack(PlainMatrix(w), current_pool()); }
  void operator()(View<const float, 2> x, View<float, 2> y, const float* bias = nullptr) const {
    static thread_local ThreadPool alone(1);
    const MatmulTarget target{&packed, y, bias};
    matmul(x, {&target, 1}, alone);
  }
};
template <>
struct Factor<double> {
  View<const double, 2> w = {};

  void set(View<const double, 2> matrix) { w = matrix; }
  void operator()(View<const double, 2> x, View<double, 2> y, const double* bias = nullptr) const {
    multiply(x, transposed(w), y, false);
    if (bias == nullptr) return;
    for (int64_t r = 0; r < y.shape[0]; ++r) {
      for (int64_t i = 0; i < y.shape[1]; ++i) y(r, i) += bias[i];
    }
  }
};

// c = a b (+ bias), with the sums of a's rows on the way, on the pool of the operations.
void product(View<const float, 2> a, View<const float, 2> b, View<float, 2> c,
             const float* bias = nullptr, float* row_sums = nullptr);
void product(View<const double, 2> a, View<const double, 2> b, View<double, 2> c,
             const double* bias = nullptr, double* row_sums = nullptr);

// Rows of the batch, as many ranges as there are threads: work(first, count).
template <class Work>
void over_batch(int64_t batch, const Work& work) {
  ThreadPool& pool = current_pool();
  const int64_t tasks = std::min<int64_t>(pool.threads(), batch);
  pool.parallel_for(tasks, [&](int64_t task, int) {
    const int64_t first = batch * task / tasks;
    work(first, batch * (task + 1) / tasks - first);
  });
}

// The gradients of the inputs that `wanted` names, from that of the slots. dslots [slots, batch,
// hidden + width].
template <class T>
void gradients(const Sequence& s, const Tensor& dslots, Tensor (&to)[kInputs]);

}  // namespace regard::recurrence

namespace regard {

// weight_ih in two parts, of x and of the context; weight_hh; W_s.
struct RecurrentPanels {
  recurrence::Factor<float> input, context, state, query;
};

}  // namespace regard
