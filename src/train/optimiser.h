// Optimiser: AdamW over all leaves of a model, with the two moments of each number, and with
// masters in f32 where the matrices themselves are rounded to bf16.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "nn/parameters.h"
#include "train/config.h"

namespace regard::train {

class Optimiser {
 public:
  // What it keeps of a leaf.
  struct State {
    std::string name;
    Tensor master;  // the leaf itself, or its numbers before they are rounded
    Tensor first, second;
    bool rounded = false;
  };

  // The parameters outlive it. In bf16 their matrices are rounded here already.
  Optimiser(nn::Parameters& parameters, const OptimiserConfig& config, bool bf16);

  // √Σ g² over all gradients. Throws Error(failed) naming the leaf whose gradient is not finite.
  double norm() const;
  // Update number `step`, from 0 on, by gradients of that norm; they are nothing afterwards.
  void step(int64_t step, double rate, double norm);

  std::vector<State>& states() noexcept { return states_; }
  // Masters were written: leaves become what they say.
  void round();

 private:
  nn::Parameters& parameters_;
  OptimiserConfig config_;
  std::vector<State> states_;  // in the order of the parameters
};

}  // namespace regard::train
