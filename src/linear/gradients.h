// The recurrence walked backwards, on a block of up to 64 value columns. G is the gradient of the
// state, [dim][64]; do, du and dw those of o, u and w (recurrence.h names the others).
//
//   G  += q doᵀ              dq  = S do             du = Gᵀ k
//   dk  = G u + w dr         dr  = -β du            dv = du, or β du     dβ = du · (v - r)
//   dw  = G + k drᵀ          dg  = Σ_m dw w         G  ← a dw
//
// where dr is of delta rules only. q is scaled, so dq is still to be multiplied by scale.
//
// Order of additions: sums over value columns are 16 virtual lanes over the block's columns in
// order, then the fixed tree; sums over dim are one chain; query heads are added in order.
#pragma once

#include "linear/recurrence.h"

namespace regard {

inline constexpr int kHistoryTokens = 8;  // most of one call: what they keep fits a second cache

// What replay_steps keeps of each token.
struct History {
  float* w;  // [tokens][dim][64]
  float* u;  // [tokens][64]
  float* e;  // [tokens][64], v - r; delta rules only
};
// The tokens as run_steps takes them in, from `state` on, which stays as it is.
void replay_steps(const Steps& steps, const float* state, const History& history) noexcept;

// Sums over the block's columns, overwritten.
struct StepGradients {
  float* dq;     // [heads][kStepTokens][dim_step]
  float* dk;     // [tokens][dim_step]
  float* dg;     // [tokens][dim_step]; decays only
  float* dv;     // [tokens][64]
  float* dbeta;  // [tokens]; delta rules only
};
// From the last of the tokens to the first. dout [heads][kStepTokens][64]; g: G, in and out.
void reverse_steps(const Steps& steps, const History& history, const float* dout, float* g,
                   const StepGradients& gradients) noexcept;

// out[t][d] = Σ_m matrix[d][m] x[t][m]; matrix [dim][64], x [tokens][64], out [tokens][dim_step].
void multiply_rows(const Steps& steps, const float* matrix, const float* x, float* out) noexcept;

// The same walk for the sum of keys. z [tokens + 1][dim_step]: before the first token and behind
// each. dsums [heads][kStepTokens]: of the denominators. dz [dim_step], in and out; added to dq, dk
// and dg.
void reverse_sums(const Steps& steps, const float* z, const float* dsums, float* dz,
                  const StepGradients& gradients) noexcept;

}  // namespace regard
