// The oracle: attention in double precision, the formula and nothing else. Every kernel is tested
// against it; nothing at run time calls it but benchmarks, to state their error.
#pragma once

#include <vector>

#include "regard/attention.h"

namespace regard {

struct OracleResult {
  std::vector<double> out;  // [tokens, heads, dim_v]
  std::vector<double> lse;  // [tokens, heads]
};

// o_i = Σ_j exp(s_ij) v_j / Σ_j exp(s_ij) over the keys that row i may use, s_ij = scale · q_i·k_j.
// Shapes as in attention(). A row without keys gives zeros and lse -inf.
OracleResult oracle_attention(View<const float, 3> q, View<const float, 3> k,
                              View<const float, 3> v, Mask mask, double scale);

}  // namespace regard
