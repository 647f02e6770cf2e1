// The way back in time: gate gradients of all steps, then one product for each weight.
#include <algorithm>
#include <utility>

#include "recurrent/additive_rows.h"
#include "recurrent/sequence.h"

namespace regard::recurrence {
namespace {

template <class T>
T* writable(Tensor& x) {
  return x ? x.writable_numbers<T>().data() : nullptr;
}
template <class T>
const T* readable(const Tensor& x) {
  return x ? x.numbers<T>().data() : nullptr;
}

// What the way back writes.
struct Made {
  Tensor da;        // [time, batch, gates]
  Tensor db;        // of a GRU; of the others da
  Tensor dh, dc;    // [batch, hidden]
  Tensor dqueries;  // [time, batch, units]
  Tensor dcontext;  // [time, batch, width]
  Tensor dkeys;     // [batch, source, units]
  Tensor dscore;    // [batch, units]: each row's own sum
};

template <class T>
class Backward {
 public:
  Backward(const Sequence& s, const Tensor& dslots, Made& made)
      : s_(s),
        kernels_(cell_kernels<T>(s.cell)),
        h_({s.batch, s.hidden}, kDTypeOf<T>),
        dslots_(readable<T>(dslots)),
        slots_(readable<T>(s.slots)),
        cells_(readable<T>(s.cells)),
        kept_(readable<T>(s.kept)),
        da_(writable<T>(made.da)),
        db_(made.db ? writable<T>(made.db) : da_),
        dh_(writable<T>(made.dh)),
        dc_(writable<T>(made.dc)),
        through_(writable<T>(h_)) {
    state_.set(transposed(s.in[kStateWeight].view<T, 2>()));
    if (!s.attends()) return;
    context_.set(transposed(
        part<T>(s.in[kInputWeight], s.inputs + s.width, 0, s.gates(), s.inputs, s.width)));
    query_.set(transposed(s.in[kQuery].view<T, 2>()));
    scratch_ = Tensor({s.batch, s.source}, kDTypeOf<T>);
    dalpha_ = writable<T>(scratch_);
    dqueries_ = writable<T>(made.dqueries);
    dcontext_ = writable<T>(made.dcontext);
    dkeys_ = writable<T>(made.dkeys);
    dscore_ = writable<T>(made.dscore);
    queries_ = readable<T>(s.queries);
    alpha_ = readable<T>(s.alpha);
    keys_ = readable<T>(s.in[kKeys]);
    values_ = readable<T>(s.in[kValues]);
    score_ = readable<T>(s.in[kScore]);
  }

  void operator()(int64_t first, int64_t count) const {
    const View<T, 2> dh(dh_ + first * s_.hidden, {count, s_.hidden});
    const View<T, 2> through(through_ + first * s_.hidden, {count, s_.hidden});
    for (int64_t n = s_.time - 1; n >= 0; --n) {
      const int64_t t = s_.step(n);
      for (int64_t b = first; b < first + count; ++b) step(t, b);
      const int64_t at = (t * s_.batch + first) * s_.gates();
      state_(View<const T, 2>(db_ + at, {count, s_.gates()}), through);
      add(through, dh);
      if (!s_.attends()) continue;
      attend(t, first, count);
      query_(View<const T, 2>(dqueries_ + (t * s_.batch + first) * s_.units, {count, s_.units}),
             through);
      add(through, dh);
    }
  }

 private:
  int64_t slot(int64_t slot, int64_t b) const { return (slot * s_.batch + b) * s_.row(); }
  int64_t cell(int64_t slot, int64_t b) const { return (slot * s_.batch + b) * s_.hidden; }
  static void add(View<const T, 2> x, View<T, 2> to) {
    for (int64_t i = 0; i < x.size(); ++i) to.data[i] += x.data[i];
  }

  void step(int64_t t, int64_t b) const {
    const int64_t before = s_.slot_before(t), now = s_.slot(t), at = (t * s_.batch + b);
    const T* const dy = dslots_ + slot(now, b);
    T* const dh = dh_ + b * s_.hidden;
    T* const da = da_ + at * s_.gates();
    T* const db = db_ + at * s_.gates();
    if (!s_.live(t, b)) {
      for (int64_t i = 0; i < s_.hidden; ++i) dh[i] += dy[i];
      std::fill_n(da, s_.gates(), T{0});
      std::fill_n(db, s_.gates(), T{0});
      return;
    }
    const bool has_c = s_.has_c();
    kernels_.backward({s_.hidden, kept_ + at * s_.keeps(), slots_ + slot(before, b),
                       has_c ? cells_ + cell(before, b) : nullptr, slots_ + slot(now, b),
                       has_c ? cells_ + cell(now, b) : nullptr, dy, dh,
                       has_c ? dc_ + b * s_.hidden : nullptr, da, db});
  }

  void attend(int64_t t, int64_t first, int64_t count) const {
    const int64_t at = t * s_.batch + first;
    const View<T, 2> dcontext(dcontext_ + at * s_.width, {count, s_.width});
    context_(View<const T, 2>(da_ + at * s_.gates(), {count, s_.gates()}), dcontext);
    for (int64_t b = first; b < first + count; ++b) {
      T* const dquery = dqueries_ + (t * s_.batch + b) * s_.units;
      T* const dc = dcontext[b - first].data;
      const int64_t keys = s_.live(t, b) ? s_.keys_of(b) : 0;
      if (keys == 0) {
        std::fill_n(dquery, s_.units, T{0});
        std::fill_n(dc, s_.width, T{0});
        continue;
      }
      const T* const outside = dslots_ + slot(s_.slot(t), b) + s_.hidden;
      for (int64_t i = 0; i < s_.width; ++i) dc[i] += outside[i];
      T* const dalpha = dalpha_ + b * s_.source;
      weighed_values_gradient(WeighedRow<T>{keys, s_.width, values_ + b * s_.source * s_.width}, dc,
                              dalpha);
      softmax_row_gradient(keys, alpha_ + (b * s_.time + t) * s_.source, dalpha);
      additive_scores_gradient(
          AdditiveRow<T>{keys, s_.units, queries_ + (t * s_.batch + b) * s_.units,
                         keys_ + b * s_.source * s_.units, score_},
          dalpha, dquery, dkeys_ + b * s_.source * s_.units, dscore_ + b * s_.units);
    }
  }

  const Sequence& s_;
  CellKernels<T> kernels_;
  Tensor h_;  // scratch [batch, hidden]: what comes through W_hh or W_s
  const T *dslots_, *slots_, *cells_, *kept_;
  T *da_, *db_, *dh_, *dc_, *through_;
  Factor<T> state_, context_, query_;
  Tensor scratch_;
  T *dalpha_ = nullptr, *dqueries_ = nullptr, *dcontext_ = nullptr, *dkeys_ = nullptr,
    *dscore_ = nullptr;
  const T *queries_ = nullptr, *alpha_ = nullptr, *keys_ = nullptr, *values_ = nullptr,
          *score_ = nullptr;
};

template <class T>
Tensor zeros_of(std::initializer_list<int64_t> shape) {
  Tensor made(Tensor::Extents(shape), kDTypeOf<T>);
  clear<T>(made);
  return made;
}

template <class T>
Made made_ready(const Sequence& s, const Tensor& dslots) {
  const DType type = kDTypeOf<T>;
  Made made;
  made.da = Tensor({s.time, s.batch, s.gates()}, type);
  if (s.cell == Cell::gru) made.db = Tensor({s.time, s.batch, s.gates()}, type);
  made.dh = zeros_of<T>({s.batch, s.hidden});
  if (s.has_c()) {
    made.dc = Tensor({s.batch, s.hidden}, type);
    const auto from = part<T>(dslots, s.row(), (s.time + 1) * s.batch, s.batch, 0, s.hidden);
    for (int64_t b = 0; b < s.batch; ++b) {
      std::copy_n(from[b].data, s.hidden, writable<T>(made.dc) + b * s.hidden);
    }
  }
  if (s.attends()) {
    made.dqueries = Tensor({s.time, s.batch, s.units}, type);
    made.dcontext = Tensor({s.time, s.batch, s.width}, type);
    made.dkeys = zeros_of<T>({s.batch, s.source, s.units});
    made.dscore = zeros_of<T>({s.batch, s.units});
  }
  return made;
}

// Weights, x and values from the gradients of all steps.
template <class T>
void products(const Sequence& s, const Made& made, Tensor (&to)[kInputs]) {
  const DType type = kDTypeOf<T>;
  const int64_t rows = s.time * s.batch, all = s.inputs + s.width;
  const auto da = part<T>(made.da, s.gates(), 0, rows, 0, s.gates());
  const auto db = made.db ? part<T>(made.db, s.gates(), 0, rows, 0, s.gates()) : da;
  const auto h_before = part<T>(s.slots, s.row(), (1 - s.outputs()) * s.batch, rows, 0, s.hidden);

  to[kX] = Tensor(s.in[kX].shape(), type);
  product(da, part<T>(s.in[kInputWeight], all, 0, s.gates(), 0, s.inputs),
          writable_part<T>(to[kX], s.inputs, 0, rows, 0, s.inputs));
  to[kInputWeight] = Tensor({s.gates(), all}, type);
  to[kInputBias] = Tensor({s.gates()}, type);
  product(transposed(da), part<T>(s.in[kX], s.inputs, 0, rows, 0, s.inputs),
          writable_part<T>(to[kInputWeight], all, 0, s.gates(), 0, s.inputs), nullptr,
          writable<T>(to[kInputBias]));
  to[kStateWeight] = Tensor({s.gates(), s.hidden}, type);
  to[kStateBias] = Tensor({s.gates()}, type);
  product(transposed(db), h_before, to[kStateWeight].writable<T, 2>(), nullptr,
          writable<T>(to[kStateBias]));
  if (!s.attends()) return;
  product(transposed(da), part<T>(s.slots, s.row(), s.outputs() * s.batch, rows, s.hidden, s.width),
          writable_part<T>(to[kInputWeight], all, 0, s.gates(), s.inputs, s.width));
  to[kQuery] = Tensor({s.units, s.hidden}, type);
  product(transposed(part<T>(made.dqueries, s.units, 0, rows, 0, s.units)), h_before,
          to[kQuery].writable<T, 2>());
  to[kValues] = Tensor({s.batch, s.source, s.width}, type);
  for (int64_t b = 0; b < s.batch; ++b) {  // αᵀ dcontext
    const auto alpha = part<T>(s.alpha, s.source, b * s.time, s.time, 0, s.source);
    const View<const T, 2> dcontext(readable<T>(made.dcontext) + b * s.width, {s.time, s.width},
                                    {s.batch * s.width, 1});
    product(transposed(alpha), dcontext,
            writable_part<T>(to[kValues], s.width, b * s.source, s.source, 0, s.width));
  }
}

}  // namespace

template <class T>
void gradients(const Sequence& s, const Tensor& dslots, Tensor (&to)[kInputs]) {
  Made made = made_ready<T>(s, dslots);
  over_batch(s.batch, Backward<T>(s, dslots, made));
  products<T>(s, made, to);
  // The first state's slot is an output, too.
  const auto outside = part<T>(dslots, s.row(), s.first_slot() * s.batch, s.batch, 0, s.hidden);
  const auto dh = made.dh.writable<T, 2>();
  for (int64_t b = 0; b < s.batch; ++b) {
    for (int64_t i = 0; i < s.hidden; ++i) dh(b, i) += outside(b, i);
  }
  to[kFirstH] = std::move(made.dh);
  to[kFirstC] = std::move(made.dc);
  if (!s.attends()) return;
  to[kKeys] = std::move(made.dkeys);
  to[kScore] = zeros_of<T>({s.units});
  T* const score = writable<T>(to[kScore]);
  const T* const own = readable<T>(made.dscore);
  for (int64_t b = 0; b < s.batch; ++b) {
    for (int64_t i = 0; i < s.units; ++i) score[i] += own[b * s.units + i];
  }
}

template void gradients<float>(const Sequence& s, const Tensor& dslots, Tensor (&to)[kInputs]);
template void gradients<double>(const Sequence& s, const Tensor& dslots, Tensor (&to)[kInputs]);

}  // namespace regard::recurrence
