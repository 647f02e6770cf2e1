// Normalisers: the scores of the keys that one row may use become weights, and the gradient of the
// weights becomes the gradient of the scores.
#pragma once

#include <limits>
#include <span>
#include <vector>

#include "regard/attention_options.h"

namespace regard::reference {

constexpr double kNoSink = -std::numeric_limits<double>::infinity();

struct Weights {
  std::vector<double> p;                                  // [allowed keys]
  double lse = -std::numeric_limits<double>::infinity();  // ln Σ exp(s); softmax only
  double sink_weight = 0;                                 // what a sink takes
  bool empty = true;  // no key, or none that a weight can go to: p is all zeros
};

// s [allowed keys], with Gumbel noise and temperature already in them.
Weights normalise(const Normaliser& normaliser, std::span<const double> s, double sink = kNoSink);

// ds_j = Σ_k dp_k ∂p_k/∂s_j, from the same s and the weights it gave. Adds the sink's gradient to
// d_sink.
std::vector<double> normaliser_gradient(const Normaliser& normaliser, std::span<const double> s,
                                        const Weights& weights, std::span<const double> dp,
                                        double& d_sink);

}  // namespace regard::reference
