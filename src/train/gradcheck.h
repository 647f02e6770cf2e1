// gradcheck(): are the gradients of a configured model those of its own function?
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "train/config.h"

namespace regard::train {

struct LeafError {
  std::string name;
  double error = 0;  // the largest, relative to the leaf's largest gradient
};

// The configured model made small (2 layers, heads of 8, 13 tokens known), in f64, on two packed
// texts with dropout: the gradient of Σ cotangent · logits, the cotangent random, against
// five-point central differences in `samples` numbers of every leaf. Throws Error where model.start
// is given.
std::vector<LeafError> gradcheck(TrainConfig config, int64_t samples = 6);

// What each error must not pass.
inline constexpr double kMostError = 1e-6;

}  // namespace regard::train
