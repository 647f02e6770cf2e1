// Every normaliser by name.
#pragma once

#include <utility>
#include <vector>

#include "regard/attention_options.h"

namespace regard::testing {

inline std::vector<std::pair<const char*, Normaliser>> every_normaliser() {
  using Sample = Normaliser::Sample;
  return {{"softmax", softmax()},
          {"sink", softmax_with_sink(0.5f)},
          {"sigmoid", sigmoid(-4)},
          {"relu", relu()},
          {"sparsemax", sparsemax()},
          {"entmax15", entmax15()},
          {"hardmax", hardmax()},
          {"gumbel_soft", gumbel_softmax(0.75f, 7)},
          {"gumbel_hard", gumbel_softmax(0.75f, 7, Sample::hard)},
          {"gumbel_straight", gumbel_softmax(0.75f, 7, Sample::straight_through)}};
}

}  // namespace regard::testing
