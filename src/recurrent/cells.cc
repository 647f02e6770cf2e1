// Recurrent cells in sixteen lanes of hidden units.
#include "recurrent/cells.h"

#include <algorithm>

#include "simd/highway.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "recurrent/cells.cc"
#include <hwy/foreach_target.h>

#include "simd/math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace regard::HWY_NAMESPACE {

// Sixteen units, or the last few.
struct Units {
  int64_t first;
  int count;
  HWY_INLINE HWY_ATTR F32x16 get(const float* from) const {
    return count == 16 ? load(from + first) : load_first(from + first, count);
  }
  HWY_INLINE HWY_ATTR void put(const F32x16& x, float* to) const {
    if (count == 16) return store(x, to + first);
    store_first(x, to + first, count);
  }
};

template <class Body>
HWY_INLINE HWY_ATTR void over_units(int64_t hidden, const Body& body) {
  for (int64_t i = 0; i < hidden; i += 16) {
    body(Units{i, static_cast<int>(std::min<int64_t>(16, hidden - i))});
  }
}

REGARD_INLINE F32x16 one_minus(const F32x16& x) { return sub(broadcast(1.0f), x); }
REGARD_INLINE F32x16 sigmoid_slope(const F32x16& s) { return mul(s, one_minus(s)); }
REGARD_INLINE F32x16 tanh_slope(const F32x16& t) { return fnma(t, t, broadcast(1.0f)); }

struct ForwardRnn {
  const CellForward<float>& row;
  bool rectified;
  HWY_INLINE HWY_ATTR void operator()(const Units& units) const {
    const F32x16 sum = add(units.get(row.kept), units.get(row.state));
    units.put(rectified ? select(less(sum, zero()), zero(), sum) : tanh(sum), row.h);
  }
};
struct ForwardGru {
  const CellForward<float>& row;
  HWY_INLINE HWY_ATTR void operator()(const Units& units) const {
    const int64_t n = row.hidden;
    const F32x16 reset = sigmoid(add(units.get(row.kept), units.get(row.state)));
    const F32x16 keep = sigmoid(add(units.get(row.kept + n), units.get(row.state + n)));
    const F32x16 inner = units.get(row.state + 2 * n);
    const F32x16 fresh = tanh(fma(reset, inner, units.get(row.kept + 2 * n)));
    units.put(reset, row.kept);
    units.put(keep, row.kept + n);
    units.put(fresh, row.kept + 2 * n);
    units.put(inner, row.kept + 3 * n);
    units.put(fma(keep, sub(units.get(row.h_before), fresh), fresh), row.h);
  }
};
struct ForwardLstm {
  const CellForward<float>& row;
  HWY_INLINE HWY_ATTR F32x16 sum(const Units& units, int64_t gate) const {
    return add(units.get(row.kept + gate * row.hidden), units.get(row.state + gate * row.hidden));
  }
  HWY_INLINE HWY_ATTR void operator()(const Units& units) const {
    const int64_t n = row.hidden;
    const F32x16 in = sigmoid(sum(units, 0)), forget = sigmoid(sum(units, 1));
    const F32x16 fresh = tanh(sum(units, 2)), out = sigmoid(sum(units, 3));
    const F32x16 cell = fma(forget, units.get(row.c_before), mul(in, fresh));
    units.put(in, row.kept);
    units.put(forget, row.kept + n);
    units.put(fresh, row.kept + 2 * n);
    units.put(out, row.kept + 3 * n);
    units.put(cell, row.c);
    units.put(mul(out, tanh(cell)), row.h);
  }
};

struct BackwardRnn {
  const CellBackward<float>& row;
  bool rectified;
  HWY_INLINE HWY_ATTR void operator()(const Units& units) const {
    const F32x16 dh = add(units.get(row.dh), units.get(row.dy)), h = units.get(row.h);
    units.put(rectified ? zero_where(not_less(zero(), h), dh) : mul(dh, tanh_slope(h)), row.da);
    units.put(zero(), row.dh);
  }
};
struct BackwardGru {
  const CellBackward<float>& row;
  HWY_INLINE HWY_ATTR void operator()(const Units& units) const {
    const int64_t n = row.hidden;
    const F32x16 dh = add(units.get(row.dh), units.get(row.dy));
    const F32x16 reset = units.get(row.kept), keep = units.get(row.kept + n);
    const F32x16 fresh = units.get(row.kept + 2 * n), inner = units.get(row.kept + 3 * n);
    const F32x16 dfresh = mul(mul(dh, one_minus(keep)), tanh_slope(fresh));
    const F32x16 dkeep = mul(mul(dh, sub(units.get(row.h_before), fresh)), sigmoid_slope(keep));
    const F32x16 dreset = mul(mul(dfresh, inner), sigmoid_slope(reset));
    for (float* const to : {row.da, row.db}) {
      units.put(dreset, to);
      units.put(dkeep, to + n);
    }
    units.put(dfresh, row.da + 2 * n);
    units.put(mul(dfresh, reset), row.db + 2 * n);
    units.put(mul(dh, keep), row.dh);
  }
};
struct BackwardLstm {
  const CellBackward<float>& row;
  HWY_INLINE HWY_ATTR void operator()(const Units& units) const {
    const int64_t n = row.hidden;
    const F32x16 dh = add(units.get(row.dh), units.get(row.dy));
    const F32x16 in = units.get(row.kept), forget = units.get(row.kept + n);
    const F32x16 fresh = units.get(row.kept + 2 * n), out = units.get(row.kept + 3 * n);
    const F32x16 seen = tanh(units.get(row.c));
    const F32x16 dc = fma(mul(dh, out), tanh_slope(seen), units.get(row.dc));
    units.put(mul(mul(dc, fresh), sigmoid_slope(in)), row.da);
    units.put(mul(mul(dc, units.get(row.c_before)), sigmoid_slope(forget)), row.da + n);
    units.put(mul(mul(dc, in), tanh_slope(fresh)), row.da + 2 * n);
    units.put(mul(mul(dh, seen), sigmoid_slope(out)), row.da + 3 * n);
    units.put(mul(dc, forget), row.dc);
    units.put(zero(), row.dh);
  }
};

void forward_rnn_tanh(const CellForward<float>& row) {
  over_units(row.hidden, ForwardRnn{row, false});
}
void forward_rnn_relu(const CellForward<float>& row) {
  over_units(row.hidden, ForwardRnn{row, true});
}
void forward_gru(const CellForward<float>& row) { over_units(row.hidden, ForwardGru{row}); }
void forward_lstm(const CellForward<float>& row) { over_units(row.hidden, ForwardLstm{row}); }
void backward_rnn_tanh(const CellBackward<float>& row) {
  over_units(row.hidden, BackwardRnn{row, false});
}
void backward_rnn_relu(const CellBackward<float>& row) {
  over_units(row.hidden, BackwardRnn{row, true});
}
void backward_gru(const CellBackward<float>& row) { over_units(row.hidden, BackwardGru{row}); }
void backward_lstm(const CellBackward<float>& row) { over_units(row.hidden, BackwardLstm{row}); }

}  // namespace regard::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace regard {

template <>
CellKernels<float> cell_kernels(Cell cell) {
  switch (cell) {
    case Cell::rnn_relu:
      return {REGARD_DISPATCH(forward_rnn_relu), REGARD_DISPATCH(backward_rnn_relu)};
    case Cell::gru:
      return {REGARD_DISPATCH(forward_gru), REGARD_DISPATCH(backward_gru)};
    case Cell::lstm:
      return {REGARD_DISPATCH(forward_lstm), REGARD_DISPATCH(backward_lstm)};
    default:
      return {REGARD_DISPATCH(forward_rnn_tanh), REGARD_DISPATCH(backward_rnn_tanh)};
  }
}

}  // namespace regard
#endif  // HWY_ONCE
