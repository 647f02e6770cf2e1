// Recurrent cells as the formulas, for checks of gradients.
#include <cmath>

#include "recurrent/cells.h"

namespace regard {
namespace {

double sigma(double x) { return 1 / (1 + std::exp(-x)); }

template <bool kRectified>
void forward_rnn(const CellForward<double>& row) {
  for (int64_t i = 0; i < row.hidden; ++i) {
    const double sum = row.kept[i] + row.state[i];
    row.h[i] = !kRectified ? std::tanh(sum) : sum < 0 ? 0 : sum;
  }
}
template <bool kRectified>
void backward_rnn(const CellBackward<double>& row) {
  for (int64_t i = 0; i < row.hidden; ++i) {
    const double dh = row.dh[i] + row.dy[i], h = row.h[i];
    row.da[i] = !kRectified ? dh * (1 - h * h) : h > 0 ? dh : 0;
    row.dh[i] = 0;
  }
}

void forward_gru(const CellForward<double>& row) {
  const int64_t n = row.hidden;
  double* const kept = row.kept;
  for (int64_t i = 0; i < n; ++i) {
    const double r = sigma(kept[i] + row.state[i]);
    const double z = sigma(kept[n + i] + row.state[n + i]);
    const double inner = row.state[2 * n + i];
    const double fresh = std::tanh(kept[2 * n + i] + r * inner);
    kept[i] = r, kept[n + i] = z, kept[2 * n + i] = fresh, kept[3 * n + i] = inner;
    row.h[i] = (1 - z) * fresh + z * row.h_before[i];
  }
}
void backward_gru(const CellBackward<double>& row) {
  const int64_t n = row.hidden;
  for (int64_t i = 0; i < n; ++i) {
    const double dh = row.dh[i] + row.dy[i];
    const double r = row.kept[i], z = row.kept[n + i], fresh = row.kept[2 * n + i];
    const double dfresh = dh * (1 - z) * (1 - fresh * fresh);
    row.da[i] = row.db[i] = dfresh * row.kept[3 * n + i] * r * (1 - r);
    row.da[n + i] = row.db[n + i] = dh * (row.h_before[i] - fresh) * z * (1 - z);
    row.da[2 * n + i] = dfresh;
    row.db[2 * n + i] = dfresh * r;
    row.dh[i] = dh * z;
  }
}

void forward_lstm(const CellForward<double>& row) {
  const int64_t n = row.hidden;
  double* const kept = row.kept;
  for (int64_t i = 0; i < n; ++i) {
    const double in = sigma(kept[i] + row.state[i]);
    const double forget = sigma(kept[n + i] + row.state[n + i]);
    const double fresh = std::tanh(kept[2 * n + i] + row.state[2 * n + i]);
    const double out = sigma(kept[3 * n + i] + row.state[3 * n + i]);
    kept[i] = in, kept[n + i] = forget, kept[2 * n + i] = fresh, kept[3 * n + i] = out;
    row.c[i] = forget * row.c_before[i] + in * fresh;
    row.h[i] = out * std::tanh(row.c[i]);
  }
}
void backward_lstm(const CellBackward<double>& row) {
  const int64_t n = row.hidden;
  for (int64_t i = 0; i < n; ++i) {
    const double in = row.kept[i], forget = row.kept[n + i];
    const double fresh = row.kept[2 * n + i], out = row.kept[3 * n + i];
    const double dh = row.dh[i] + row.dy[i], seen = std::tanh(row.c[i]);
    const double dc = row.dc[i] + dh * out * (1 - seen * seen);
    row.da[i] = dc * fresh * in * (1 - in);
    row.da[n + i] = dc * row.c_before[i] * forget * (1 - forget);
    row.da[2 * n + i] = dc * in * (1 - fresh * fresh);
    row.da[3 * n + i] = dh * seen * out * (1 - out);
    row.dc[i] = dc * forget;
    row.dh[i] = 0;
  }
}

}  // namespace

template <>
CellKernels<double> cell_kernels(Cell cell) {
  switch (cell) {
    case Cell::rnn_relu:
      return {forward_rnn<true>, backward_rnn<true>};
    case Cell::gru:
      return {forward_gru, backward_gru};
    case Cell::lstm:
      return {forward_lstm, backward_lstm};
    default:
      return {forward_rnn<false>, backward_rnn<false>};
  }
}

}  // namespace regard
