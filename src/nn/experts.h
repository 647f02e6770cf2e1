// Experts: a mixture of MLPs of which each token uses the few that its router likes best.
//   y = Σ_e softmax(the `used` largest of router(x))_e expert_e(x)
// Mixtral of Experts (Jiang et al. 2024), eq. 1 and 2; Shazeer et al. 2017.
//
// An expert runs on the rows that chose it, and a row's sum takes its experts in their order: its
// bits do not depend on what other rows chose.
#pragma once

#include <cstdint>
#include <vector>

#include "nn/mlp.h"

namespace regard::nn {

struct Experts {
  Linear router = {};  // [experts, width]
  std::vector<Mlp> experts = {};
  int64_t used = 1;  // at most as many as there are

  Tensor operator()(const Tensor& x) const;  // [tokens, width]

  // Read for one token.
  int64_t bytes() const noexcept {
    return router.bytes() + (experts.empty() ? 0 : used * experts.front().bytes());
  }
};

}  // namespace regard::nn
