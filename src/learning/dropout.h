// Dropout: numbers left out at random, so that none is relied on (Srivastava et al. 2014).
#pragma once

#include <cstdint>

#include "tensor/tensor.h"

namespace regard {

// Names one draw: the run's seed, and a key that differs between steps and between places in the
// network. The same draw leaves out the same elements, whatever the threads: a checkpoint that
// is computed again meets the mask it met before.
struct Draw {
  uint64_t seed = 0;
  uint64_t key = 0;
};

// x with each element 0 with probability `rate`, else divided by 1 - rate. Element i of a draw
// falls out when its word (learning/mask.h) is below rate · 2³². rate 0 is x itself. Throws Error
// unless 0 <= rate < 1.
Tensor dropout(Tensor x, float rate, const Draw& draw);

}  // namespace regard
