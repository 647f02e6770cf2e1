// Sampler: from the logits of one position to the next token.
//
// temperature, top-k, top-p and min-p follow one another, each on what is left; probabilities are
// those of the tokens that are left. Sums run over ids in ascending order in f64, equals are told
// apart by their id, and the draw is keyed on (seed, position): a text does not depend on its
// neighbours in the batch nor on the machine.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "regard/model.h"

namespace regard {

// Throws Error(invalid_argument) that names the option as the command line does.
void check(const SamplingOptions& options);

class Sampler {
 public:
  // Checks the options. vocabulary: the most logits that draw will see.
  Sampler(const SamplingOptions& options, int64_t vocabulary);

  // position: that of the token to be drawn. Allocates nothing.
  // Throws Error(unreadable), for the model is damaged, when the largest logit is not finite.
  TokenId draw(std::span<const float> logits, int64_t position);

 private:
  void keep_top_k();
  void keep_top_p();
  void keep_min_p();
  void weigh();

  struct Candidate {
    TokenId id;
    float logit;   // divided by the temperature
    float weight;  // e^(logit - largest)
  };

  SamplingOptions options_;
  std::vector<Candidate> kept_;  // by ascending id
  std::vector<float> scratch_;
};

// The count largest logits, largest first, the lower id first among equals.
std::vector<std::pair<TokenId, float>> largest(std::span<const float> logits, int64_t count);

}  // namespace regard
