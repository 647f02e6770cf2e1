// The way forward, and what the tape keeps of it.
#include "recurrent/recurrent.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <initializer_list>
#include <memory>
#include <type_traits>
#include <utility>

#include "base/check.h"
#include "ops/rows.h"
#include "recurrent/additive_rows.h"
#include "recurrent/sequence.h"
#include "tensor/tape.h"

namespace regard {
namespace recurrence {

void product(View<const float, 2> a, View<const float, 2> b, View<float, 2> c, const float* bias,
             float* row_sums) {
  multiply(Product{.a = a, .b = b, .c = c, .bias = bias, .row_sums = row_sums}, current_pool());
}
void product(View<const double, 2> a, View<const double, 2> b, View<double, 2> c,
             const double* bias, double* row_sums) {
  multiply(a, b, c, false);
  for (int64_t r = 0; r < c.shape[0]; ++r) {
    for (int64_t i = 0; bias != nullptr && i < c.shape[1]; ++i) c(r, i) += bias[i];
    if (row_sums == nullptr) continue;
    row_sums[r] = 0;
    for (int64_t i = 0; i < a.shape[1]; ++i) row_sums[r] += a(r, i);
  }
}

namespace {

template <class T>
const T* numbers_or_null(const Tensor& x) {
  return x ? x.numbers<T>().data() : nullptr;
}

// Copies rows [first, first + count) of a first state, or zeros.
template <class T>
void put_first(const Tensor& from, View<T, 2> to) {
  const T* const numbers = numbers_or_null<T>(from);
  for (int64_t b = 0; b < to.shape[0]; ++b) {
    T* const row = to[b].data;
    if (numbers != nullptr) {
      std::copy_n(numbers + b * to.shape[1], to.shape[1], row);
    } else {
      std::fill_n(row, to.shape[1], T{0});
    }
  }
}

template <class T>
struct Factors {
  Factor<T> context, state, query;
};

// One thread's rows through all of time.
template <class T>
class Forward {
 public:
  Forward(Sequence& s, const Factors<T>& factors)
      : s_(s),
        factors_(factors),
        kernels_(cell_kernels<T>(s.cell)),
        state_({s.batch, s.gates()}, kDTypeOf<T>),
        slots_(s.slots.writable_numbers<T>().data()),
        kept_(s.kept.writable_numbers<T>().data()),
        state_gates_(state_.template writable_numbers<T>().data()),
        bias_(numbers_or_null<T>(s.in[kStateBias])) {
    if (s.has_c()) cells_ = s.cells.writable_numbers<T>().data();
    if (!s.attends()) return;
    queries_ = s.queries.writable_numbers<T>().data();
    alpha_ = s.alpha.writable_numbers<T>().data();
    keys_ = s.in[kKeys].numbers<T>().data();
    values_ = s.in[kValues].numbers<T>().data();
    score_ = s.in[kScore].numbers<T>().data();
  }

  void operator()(int64_t first, int64_t count) const {
    for (int64_t n = 0; n < s_.time; ++n) {
      const int64_t t = s_.step(n);
      const View<const T, 2> before(slot(s_.slot_before(t), first), {count, s_.hidden},
                                    {s_.row(), 1});
      if (s_.attends()) attend(t, first, before);
      factors_.state(before, View<T, 2>(state_gates_ + first * s_.gates(), {count, s_.gates()}),
                     bias_);
      for (int64_t b = first; b < first + count; ++b) step(t, b);
    }
  }

 private:
  T* slot(int64_t slot, int64_t b) const { return slots_ + (slot * s_.batch + b) * s_.row(); }
  T* cell(int64_t slot, int64_t b) const {
    return s_.has_c() ? cells_ + (slot * s_.batch + b) * s_.hidden : nullptr;
  }

  // Contexts of step t into its slot, and their part of the gates.
  void attend(int64_t t, int64_t first, View<const T, 2> before) const {
    const int64_t count = before.shape[0];
    T* const queries = queries_ + (t * s_.batch + first) * s_.units;
    factors_.query(before, View<T, 2>(queries, {count, s_.units}));
    for (int64_t b = first; b < first + count; ++b) {
      T* const context = slot(s_.slot(t), b) + s_.hidden;
      const int64_t keys = s_.live(t, b) ? s_.keys_of(b) : 0;
      if (keys == 0) {
        std::fill_n(context, s_.width, T{0});
        continue;
      }
      T* const alpha = alpha_ + (b * s_.time + t) * s_.source;
      additive_scores(AdditiveRow<T>{keys, s_.units, queries + (b - first) * s_.units,
                                     keys_ + b * s_.source * s_.units, score_},
                      alpha);
      softmax_row(keys, alpha);
      weighed_values(WeighedRow<T>{keys, s_.width, values_ + b * s_.source * s_.width}, alpha,
                     context);
    }
    const View<T, 2> gates(state_gates_ + first * s_.gates(), {count, s_.gates()});
    factors_.context(
        View<const T, 2>(slot(s_.slot(t), first) + s_.hidden, {count, s_.width}, {s_.row(), 1}),
        gates);
    for (int64_t b = 0; b < count; ++b) {
      T* const kept = kept_ + (t * s_.batch + first + b) * s_.keeps();
      for (int64_t i = 0; i < s_.gates(); ++i) kept[i] += gates(b, i);
    }
  }

  void step(int64_t t, int64_t b) const {
    const T* const before = slot(s_.slot_before(t), b);
    const T* const c_before = cell(s_.slot_before(t), b);
    T* const h = slot(s_.slot(t), b);
    T* const c = cell(s_.slot(t), b);
    if (!s_.live(t, b)) {
      std::copy_n(before, s_.hidden, h);
      if (s_.has_c()) std::copy_n(c_before, s_.hidden, c);
      return;
    }
    kernels_.forward({s_.hidden, kept_ + (t * s_.batch + b) * s_.keeps(),
                      state_gates_ + b * s_.gates(), before, c_before, h, c});
  }

  const Sequence& s_;
  const Factors<T>& factors_;
  CellKernels<T> kernels_;
  Tensor state_;  // scratch [batch, gates]: W_hh h + b_hh
  T *slots_, *kept_, *state_gates_;
  const T* bias_;
  T *cells_ = nullptr, *queries_ = nullptr, *alpha_ = nullptr;
  const T *keys_ = nullptr, *values_ = nullptr, *score_ = nullptr;
};

template <class T>
void input_gates(Sequence& s, const RecurrentPanels* panels) {
  const int64_t rows = s.time * s.batch;
  const auto x = part<T>(s.in[kX], s.inputs, 0, rows, 0, s.inputs);
  const auto to = writable_part<T>(s.kept, s.keeps(), 0, rows, 0, s.gates());
  const T* const bias = numbers_or_null<T>(s.in[kInputBias]);
  if constexpr (std::is_same_v<T, float>) {
    if (panels != nullptr) {
      const MatmulTarget target{&panels->input.packed, to, bias};
      return matmul(x, {&target, 1}, current_pool());
    }
  }
  const auto w = part<T>(s.in[kInputWeight], s.inputs + s.width, 0, s.gates(), 0, s.inputs);
  product(x, transposed(w), to, bias);
}

template <class T>
Factors<T> factors_of(const Sequence& s, const RecurrentPanels* panels) {
  Factors<T> made;
  if constexpr (std::is_same_v<T, float>) {
    if (panels != nullptr) return {panels->context, panels->state, panels->query};
  }
  made.state.set(s.in[kStateWeight].view<T, 2>());
  if (!s.attends()) return made;
  made.query.set(s.in[kQuery].view<T, 2>());
  made.context.set(
      part<T>(s.in[kInputWeight], s.inputs + s.width, 0, s.gates(), s.inputs, s.width));
  return made;
}

template <class T>
void forward(Sequence& s, const RecurrentPanels* panels) {
  const DType type = kDTypeOf<T>;
  s.slots = Tensor({s.slot_count(), s.batch, s.row()}, type);
  s.kept = Tensor({s.time, s.batch, s.keeps()}, type);
  const int64_t first = s.first_slot() * s.batch;
  put_first(s.in[kFirstH], writable_part<T>(s.slots, s.row(), first, s.batch, 0, s.hidden));
  if (s.attends()) {
    put_first(Tensor(), writable_part<T>(s.slots, s.row(), first, s.batch, s.hidden, s.width));
    s.queries = Tensor({s.time, s.batch, s.units}, type);
    s.alpha = Tensor({s.batch, s.time, s.source}, type);
    clear<T>(s.alpha);
  }
  if (s.has_c()) {
    s.cells = Tensor({s.time + 1, s.batch, s.hidden}, type);
    put_first(s.in[kFirstC], writable_part<T>(s.cells, s.hidden, first, s.batch, 0, s.hidden));
  }
  input_gates<T>(s, panels);
  const Factors<T> factors = factors_of<T>(s, panels);
  const Forward<T> work(s, factors);
  over_batch(s.batch, work);
  if (!s.has_c()) return;
  const int64_t last = (s.time + 1) * s.batch;
  const auto c = writable_part<T>(s.slots, s.row(), last, s.batch, 0, s.row());
  const auto from = part<T>(s.cells, s.hidden, s.last_slot() * s.batch, s.batch, 0, s.hidden);
  for (int64_t b = 0; b < s.batch; ++b) {
    std::fill_n(c[b].data, s.row(), T{0});
    std::copy_n(from[b].data, s.hidden, c[b].data);
  }
}

void require_shape(const char* what, const Tensor& x, std::initializer_list<int64_t> wanted) {
  bool same = x.rank() == static_cast<int>(wanted.size());
  for (int axis = 0; same && axis < x.rank(); ++axis) same = x.shape(axis) == wanted.begin()[axis];
  require(same, "recur: {} is {}, not [{}]", what, x, fmt::join(wanted, ", "));
}

std::vector<int64_t> checked_lengths(const char* what, std::span<const int64_t> given,
                                     int64_t batch, int64_t longest) {
  if (given.empty()) return std::vector<int64_t>(static_cast<std::size_t>(batch), longest);
  require(std::ssize(given) == batch, "recur: {} {} for a batch of {}", given.size(), what, batch);
  for (const int64_t length : given) {
    require(length >= 0 && length <= longest, "recur: {} have {}, not 0 to {}", what, length,
            longest);
  }
  return {given.begin(), given.end()};
}

Sequence made_ready(Cell cell, const Tensor& x, const RecurrentWeights& weights,
                    const RecurrentState& first, const RecurrentOptions& options) {
  require(x.rank() == 3, "recur: x is {}, not [time, batch, inputs]", x);
  require(weights.weight_hh.rank() == 2, "recur: weight_hh is {}, not a matrix", weights.weight_hh);
  Sequence s;
  s.cell = cell;
  s.reverse = options.reverse;
  s.time = x.shape(0), s.batch = x.shape(1), s.inputs = x.shape(2);
  s.hidden = weights.weight_hh.shape(1);
  require(s.time > 0 && s.batch > 0 && s.inputs > 0 && s.hidden > 0,
          "recur: x {} and weight_hh {} must have no empty axis", x, weights.weight_hh);
  s.lengths = checked_lengths("lengths", options.lengths, s.batch, s.time);
  if (const AdditiveAttention* const a = options.attention; a != nullptr) {
    require(a->keys.rank() == 3 && a->values.rank() == 3,
            "recur: keys {} and values {} must be [batch, source, ...]", a->keys, a->values);
    s.source = a->keys.shape(1), s.units = a->keys.shape(2), s.width = a->values.shape(2);
    require(s.source > 0 && s.units > 0 && s.width > 0,
            "recur: keys {} and values {} must have no empty axis", a->keys, a->values);
    require_shape("keys", a->keys, {s.batch, s.source, s.units});
    require_shape("values", a->values, {s.batch, s.source, s.width});
    require_shape("query", a->query, {s.units, s.hidden});
    require_shape("score", a->score, {s.units});
    s.source_lengths = checked_lengths("source lengths", a->lengths, s.batch, s.source);
    s.in[kKeys] = a->keys.detach(), s.in[kValues] = a->values.detach();
    s.in[kQuery] = a->query.detach(), s.in[kScore] = a->score.detach();
  }
  require_shape("weight_ih", weights.weight_ih, {s.gates(), s.inputs + s.width});
  require_shape("weight_hh", weights.weight_hh, {s.gates(), s.hidden});
  if (weights.bias_ih) require_shape("bias_ih", weights.bias_ih, {s.gates()});
  if (weights.bias_hh) require_shape("bias_hh", weights.bias_hh, {s.gates()});
  if (first.h) require_shape("the first h", first.h, {s.batch, s.hidden});
  if (first.c) require_shape("the first c", first.c, {s.batch, s.hidden});
  require(!first.c || s.has_c(), "recur: a first c, but only an LSTM has one");
  const auto keep = [](const Tensor& given) { return given ? given.detach() : Tensor(); };
  s.in[kX] = x.detach();
  s.in[kInputWeight] = weights.weight_ih.detach(), s.in[kStateWeight] = weights.weight_hh.detach();
  s.in[kInputBias] = keep(weights.bias_ih), s.in[kStateBias] = keep(weights.bias_hh);
  s.in[kFirstH] = keep(first.h), s.in[kFirstC] = keep(first.c);
  return s;
}

}  // namespace
}  // namespace recurrence

std::shared_ptr<const RecurrentPanels> recurrent_panels(const RecurrentWeights& weights,
                                                        const AdditiveAttention* attention) {
  const auto made = std::make_shared<RecurrentPanels>();
  const auto all = weights.weight_ih.view<float, 2>();
  const int64_t width = attention != nullptr ? attention->values.shape(2) : 0;
  const int64_t inputs = all.shape[1] - width;
  made->input.set(View<const float, 2>(all.data, {all.shape[0], inputs}, all.strides));
  made->state.set(weights.weight_hh.view<float, 2>());
  if (attention != nullptr) {
    made->context.set(View<const float, 2>(all.data + inputs, {all.shape[0], width}, all.strides));
    made->query.set(attention->query.view<float, 2>());
  }
  return made;
}

Recurrence recur(Cell cell, const Tensor& x, const RecurrentWeights& weights,
                 const RecurrentState& first, const RecurrentOptions& options) {
  using namespace recurrence;
  static const AdditiveAttention none;
  const AdditiveAttention& a = options.attention != nullptr ? *options.attention : none;
  const bool wide = in_f64(
      "recur", {&x, &weights.weight_ih, &weights.weight_hh, &weights.bias_ih, &weights.bias_hh,
                &first.h, &first.c, &a.keys, &a.values, &a.query, &a.score});
  auto s = std::make_shared<Sequence>(made_ready(cell, x, weights, first, options));
  wide ? forward<double>(*s, nullptr) : forward<float>(*s, options.panels);
  Tensor slots = s->slots;
  const std::initializer_list<const Tensor*> inputs = {&x,
                                                       &weights.weight_ih,
                                                       &weights.weight_hh,
                                                       &weights.bias_ih,
                                                       &weights.bias_hh,
                                                       &first.h,
                                                       &first.c,
                                                       &a.keys,
                                                       &a.values,
                                                       &a.query,
                                                       &a.score};
  if (recording(inputs)) {
    slots = record(std::move(slots), inputs, [s, wide](const Tensor& dslots, InputGradients& to) {
      Tensor made[kInputs];
      wide ? gradients<double>(*s, dslots, made) : gradients<float>(*s, dslots, made);
      for (int i = 0; i < kInputs; ++i) {
        if (made[i] && to.wants(i)) to.add(i, std::move(made[i]));
      }
    });
  }
  Recurrence made;
  made.steps = slots.rows(s->outputs(), s->time);
  made.weights = s->alpha;
  const auto at = [&](int64_t slot) { return slots.rows(slot, 1).reshape({s->batch, s->hidden}); };
  if (!s->attends()) {
    made.last.h = at(s->last_slot());
    if (s->has_c()) made.last.c = at(s->time + 1);
  } else if (s->has_c()) {
    made.last.c = s->cells.rows(s->last_slot(), 1).reshape({s->batch, s->hidden});
  }
  return made;
}

}  // namespace regard
