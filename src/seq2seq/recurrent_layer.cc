#include "seq2seq/recurrent_layer.h"

#include <array>
#include <cmath>

namespace regard::seq2seq {

RecurrentLayer::Output RecurrentLayer::operator()(const Tensor& x, std::span<const int64_t> lengths,
                                                  const RecurrentState& first) const {
  const Recurrence there = recur(cell, x, forward, first, {.lengths = lengths});
  Output made{there.steps, there.last};
  if (bidirectional()) {
    const Recurrence back = recur(cell, x, backward, {}, {.lengths = lengths, .reverse = true});
    made.steps = concat_columns(std::array{there.steps, back.steps});
    made.last.h = concat_columns(std::array{there.last.h, back.last.h});
    if (made.last.c) made.last.c = concat_columns(std::array{there.last.c, back.last.c});
  }
  if (returns == Returns::last) made.steps = {};
  return made;
}

RecurrentWeights make_recurrent(const nn::Maker& make, const std::string& name, Cell cell,
                                int64_t inputs, int64_t hidden, const std::string& suffix) {
  const int64_t gates = gates_of(cell) * hidden;
  const double bound = 1 / std::sqrt(static_cast<double>(hidden));
  const auto leaf = [&](const char* what, Tensor::Extents shape) {
    const std::string whole = name + "." + what + suffix;
    return make.leaf(whole, make.initial.uniform(whole, shape, bound));
  };
  RecurrentWeights made;
  made.weight_ih = leaf("weight_ih_l0", {gates, inputs});
  made.weight_hh = leaf("weight_hh_l0", {gates, hidden});
  made.bias_ih = leaf("bias_ih_l0", {gates});
  made.bias_hh = leaf("bias_hh_l0", {gates});
  return made;
}

RecurrentLayer make_recurrent_layer(const nn::Maker& make, const std::string& name, Cell cell,
                                    int64_t inputs, int64_t hidden, bool bidirectional) {
  RecurrentLayer made{cell, make_recurrent(make, name, cell, inputs, hidden), {}};
  if (bidirectional) made.backward = make_recurrent(make, name, cell, inputs, hidden, "_reverse");
  return made;
}

}  // namespace regard::seq2seq
