// Cells: one step of one row of a recurrent layer, forwards and backwards. Products with weights
// are done by the caller. H = hidden units; equations and gate order are PyTorch's.
//
//   rnn    h = φ(a + b), φ = tanh or relu                      Elman 1990
//   gru    r, z = σ(a + b); n = tanh(a_n + r b_n); h = (1 - z) n + z h'       Cho et al. 2014
//   lstm   i, f, o = σ(a + b); g = tanh(a_g + b_g); c = f c' + i g; h = o tanh(c)
//                                             Hochreiter and Schmidhuber 1997, Gers et al. 2000
// with a = W_ih x + b_ih, b = W_hh h' + b_hh, gates in the order r, z, n and i, f, g, o, and a
// prime for the step before.
#pragma once

#include <cstdint>

namespace regard {

enum class Cell : uint8_t { rnn_tanh, rnn_relu, gru, lstm };

// Rows of weights for each hidden unit, and numbers that the way back needs of each.
constexpr int64_t gates_of(Cell cell) { return cell == Cell::lstm ? 4 : cell == Cell::gru ? 3 : 1; }
constexpr int64_t kept_of(Cell cell) { return cell == Cell::lstm || cell == Cell::gru ? 4 : 1; }

template <class T>
struct CellForward {
  int64_t hidden;
  T* kept;         // [kept_of H]; in: a. out: lstm i, f, g, o; gru r, z, n, b_n
  const T* state;  // [gates_of H]: b
  const T* h_before;
  const T* c_before;  // lstm only, as all of c
  T* h;
  T* c;
};

template <class T>
struct CellBackward {
  int64_t hidden;
  const T* kept;
  const T* h_before;
  const T* c_before;
  const T* h;
  const T* c;
  const T* dy;  // gradient of h from outside the recurrence
  T* dh;        // in: of h from the next step; out: of h_before, but for what comes through b
  T* dc;        // in: of c; out: of c_before
  T* da;        // [gates_of H]
  T* db;        // gru: [gates_of H]; of the others db is da
};

// f32 with the active target's kernels, the same bits on each; f64 is the formula.
template <class T>
struct CellKernels {
  void (*forward)(const CellForward<T>&);
  void (*backward)(const CellBackward<T>&);
};
template <class T>
CellKernels<T> cell_kernels(Cell cell);
template <>
CellKernels<float> cell_kernels(Cell cell);
template <>
CellKernels<double> cell_kernels(Cell cell);

}  // namespace regard
