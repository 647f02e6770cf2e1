// The recurrence of linear attention on a block of up to 64 value columns of one head's state.
//
//   S  the block's state, [dim][64]           a  exp of the decay
//   w = a S    u = v or β (v - wᵀ k)    S = w + k uᵀ    o = Sᵀ q
//
// Columns are independent: they are the lanes. Order of operations (the bit contract,
// docs/bits.md): w is one product; wᵀ k and Sᵀ q are one chain of fused multiply-adds each, over
// dim 0, 1, 2, ...; a state number takes one fused multiply-add a token. How many tokens go through
// the state together changes none of it.
#pragma once

#include <cstdint>

namespace regard {

inline constexpr int kStateColumns = 64;  // value columns of a block: what one task owns
inline constexpr int kStepTokens = 32;    // most tokens of one call

// Consecutive tokens, staged. dim_step: dim rounded up to 16; numbers behind dim are zeros.
struct Steps {
  int tokens = 0;
  int heads = 0;    // query heads that read; 0: only the state moves on
  int columns = 4;  // vectors of 16 value columns in use
  int64_t dim = 0, dim_step = 0;
  const float* k = nullptr;     // [tokens][dim_step]
  const float* a = nullptr;     // [tokens][dim_step]; null: 1
  const float* v = nullptr;     // [tokens][64]
  const float* beta = nullptr;  // [tokens]; null: not a delta rule
  const float* q = nullptr;     // [heads][kStepTokens][dim_step], times scale
  float* out = nullptr;         // [heads][kStepTokens][64]
};

// Takes the tokens in, one after the other, and reads the state behind each.
void run_steps(const Steps& steps, float* state) noexcept;
// Reads alone: every token reads the same state.
void read_state(const Steps& steps, const float* state) noexcept;

// The sum of keys, one for each head: z = a z + k, and the denominators φ(q)·z of each token, in 16
// virtual lanes and the fixed tree. sums: [heads][kStepTokens].
void sum_keys(const Steps& steps, float* z, float* sums) noexcept;

}  // namespace regard
