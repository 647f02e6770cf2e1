// The backward pass of attention on tiles: a block of up to 128 query rows of one head against one
// tile of up to 128 keys. Five products, and nothing of size rows x keys outlives the call.
//
//   s  = q kᵀ (q scaled)      p  = exp(s - lse)        dp = dout vᵀ
//   ds = p (dp - delta)       delta = Σ_d dout out     FlashAttention-2 (Dao 2023), algorithm 2
//   dv += pᵀ dout             dk += dsᵀ q (scaled)     dq += ds k · scale
//
// Order of additions: within a tile each gradient is one chain, over the tile's rows (dk, dv) or
// keys (dq) in ascending order, begun at zero; tiles are added in the order of the calls. A pair
// that is masked adds nothing: its row or key may hold a NaN.
#pragma once

#include <cstdint>

#include "tiles/fold.h"

namespace regard {

inline constexpr int kGradientRows = 128;  // most rows of one block

// Numbers of `count` rows as B of the tile: [columns / 16][128][16], columns beyond dim zero.
// Returns whether all are finite.
bool stage_rows(const float* const* rows, int64_t step, int count, int64_t dim, float factor,
                float* out) noexcept;

// Up to 128 keys of one key/value head.
struct GradientKeys {
  int keys = 0;
  const float* k_panels;  // [8][dim][16]
  const float* v_panels;  // [8][dim_v][16]
  const float* k_rows;    // stage_rows of k, times scale
  bool finite = true;     // all of k
  float* dk;              // [keys][dim rounded up to 16], added to
  float* dv;              // [keys][dim_v rounded up to 16], added to
};

// Up to 128 rows of one query head.
struct GradientRows {
  int rows = 0;
  const float* q;          // pack_queries, scaled
  const float* q_rows;     // stage_rows, scaled
  const float* dout;       // pack_queries of dout, not scaled
  const float* dout_rows;  // stage_rows of dout
  bool finite = true;      // all of q and dout
  const float* lse;        // [rows]
  const float* delta;      // [rows]
  float* dq;               // [rows][dim rounded up to 16], added to
};

// delta of one row: Σ_d dout[d] out[d], in 16 virtual lanes.
float row_product(const float* a, int64_t a_step, const float* b, int64_t b_step,
                  int64_t dim) noexcept;

// visible[r]: row r may use keys 0 .. visible[r] - 1; not decreasing in r. scratch: 2 * 128 * 128
// numbers.
void backward_tile(const GradientRows& rows, const GradientKeys& keys, int64_t dim, int64_t dim_v,
                   const int32_t* visible, float* scratch) noexcept;

}  // namespace regard
