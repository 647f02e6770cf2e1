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
                              View<const float, 3> v, const Expr& mask, double scale);

struct OracleGradients {
  std::vector<double> dq;  // [tokens, heads, dim]
  std::vector<double> dk;  // [keys, kv_heads, dim]
  std::vector<double> dv;  // [keys, kv_heads, dim_v]
};

// The chain rule through the formula above, p_ij = exp(s_ij - lse_i):
// dv_j = Σ_i p_ij dout_i, ds_ij = p_ij dout_i·(v_j - o_i), dq_i = scale Σ_j ds_ij k_j,
// dk_j = scale Σ_i ds_ij q_i.
OracleGradients oracle_attention_backward(View<const float, 3> q, View<const float, 3> k,
                                          View<const float, 3> v, View<const float, 3> dout,
                                          const Expr& mask, double scale);

}  // namespace regard
