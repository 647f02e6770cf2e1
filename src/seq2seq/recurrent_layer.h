// A recurrent layer over padded sequences, in one direction or in both.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "nn/make.h"
#include "recurrent/recurrent.h"

namespace regard::seq2seq {

enum class Returns : uint8_t { sequences, last };

struct RecurrentLayer {
  Cell cell = Cell::lstm;
  RecurrentWeights forward = {};
  RecurrentWeights backward = {};  // reads from the last step to the first; empty: one direction
  Returns returns = Returns::sequences;

  bool bidirectional() const noexcept { return static_cast<bool>(backward.weight_hh); }
  int64_t hidden() const noexcept { return forward.weight_hh.shape(1); }
  int64_t width() const noexcept { return hidden() * (bidirectional() ? 2 : 1); }

  struct Output {
    Tensor steps = {};         // [time, batch, width]; empty where only the last is returned
    RecurrentState last = {};  // [batch, width], the directions side by side
  };
  // x [time, batch, inputs]; lengths as of recur(); first [batch, hidden] of the forward direction.
  Output operator()(const Tensor& x, std::span<const int64_t> lengths = {},
                    const RecurrentState& first = {}) const;
};

// Named as in PyTorch: name.weight_ih_l0, name.weight_hh_l0, name.bias_ih_l0, name.bias_hh_l0, each
// with _reverse behind it for the other direction. Numbers are uniform within 1 / √hidden.
RecurrentWeights make_recurrent(const nn::Maker& make, const std::string& name, Cell cell,
                                int64_t inputs, int64_t hidden, const std::string& suffix = "");
RecurrentLayer make_recurrent_layer(const nn::Maker& make, const std::string& name, Cell cell,
                                    int64_t inputs, int64_t hidden, bool bidirectional);

}  // namespace regard::seq2seq
