// The backward pass of attention on tiles: a block of up to 128 query rows of one head against one
// tile of up to 128 keys. Five products, and nothing of size rows x keys outlives the tile.
//
//   s  = q kᵀ (q scaled)      p  = normalise(s)        dp = dout vᵀ
//   ds = g (dp - delta)       softmax: g = p, delta = Σ_d dout out
//   dv += pᵀ dout             dk += dsᵀ q (scaled)     dq += ds k · scale
//
// FlashAttention-2 (Dao 2023), algorithm 2. Other normalisers have another g: normalise.h.
//
// Order of additions: within a tile each gradient is one chain, over the tile's rows (dk, dv) or
// keys (dq) in ascending order, begun at zero; tiles are added in the order of the calls. A pair
// that is masked adds nothing: its row or key may hold a NaN.
#pragma once

#include <cstddef>
#include <cstdint>

#include "regard/dtype.h"
#include "tiles/fold.h"

namespace regard {

inline constexpr int kGradientRows = 128;  // most rows of one block
// From one row of a tile of pairs to the next: 128 keys, and a gap, without which a column of keys
// would share an eighth of the first cache's sets.
inline constexpr int kPairStep = 144;

// The pairs of a block and a tile that are used.
struct Pairs {
  int rows = 0, keys = 0;
  // [rows][8]: bit i of panel p stands for key 16 p + i; 0 at and beyond keys.
  const uint16_t* bits = nullptr;
};

// Up to 128 rows of numbers as they lie in memory; steps count elements.
struct RawRows {
  const void* first = nullptr;
  DType dtype = DType::f32;  // f32, f16 or bf16
  int64_t row_step = 0, step = 1;
  int count = 0;
};

// Rows as both sides of a product: [columns / 16][128][16], each number times factor, rounded once;
// columns beyond dim are zero. Returns whether all are finite.
bool stage_rows(const RawRows& rows, int64_t dim, float factor, float* out) noexcept;
// The same widened to f32: out [count][out_step], zeros from dim to its multiple of 16.
void widen_rows(const RawRows& rows, int64_t dim, float* out, int64_t out_step) noexcept;
// Up to 128 of them as panels [8][dim][16]; keys from count to the end of its panel are zero.
void stage_key_panels(const RawRows& rows, int64_t dim, float* panels) noexcept;
// out[r] = Σ_d a[r][d] b[r][d], in 16 virtual lanes.
void row_products(const RawRows& a, const RawRows& b, int64_t dim, float* out) noexcept;
// Rows of f32 [rows.count][from_step] to where they are stored, + 0, rounded once to their dtype.
void store_rows(const float* from, int64_t from_step, int64_t dim, const RawRows& rows,
                void* to) noexcept;
// to[r][d] += from[r][d], of f32; begin: to[r][d] = from[r][d] + 0.
void add_rows(const float* from, int64_t from_step, int count, int64_t dim, bool begin, float* to,
              int64_t to_row_step, int64_t to_step) noexcept;

// out [rows][kPairStep] = a kᵀ for the pairs' panels; others are left as they are. a: stage_rows;
// panels: [8][dim][16]. The chain over dim of the forward pass, so its bits.
void multiply_pairs(const Pairs& pairs, const float* a, int64_t dim, const float* panels,
                    float* out) noexcept;

// Lines of memory that soften_pairs asks for while it computes, so that nobody waits for them
// later: of each of count places, `lines` lines from row r on when it comes to row r.
struct LinesAhead {
  static constexpr int kMost = 3;
  int count = 0, lines = 0;
  const std::byte* first[kMost];
  int64_t row_bytes[kMost];  // from one row to the next
};

// s -> p = exp(s - base) and dp -> ds = p (dp - delta) in place, both 0 where masked. base, delta
// [rows].
void soften_pairs(const Pairs& pairs, const float* base, const float* delta,
                  const LinesAhead& ahead, float* s, float* dp) noexcept;

// out[key] += Σ_rows weights[row][key] x[row]: dv and dk. weights [rows][kPairStep], 0 where
// masked; x: stage_rows of the rows, finite: all of it; out [keys][columns].
void gather_over_rows(const Pairs& pairs, const float* weights, const float* x, bool finite,
                      int64_t columns, float* out) noexcept;
// out[row] += Σ_keys weights[row][key] x[key]: dq. x: stage_rows of the keys; out [rows][columns].
void gather_over_keys(const Pairs& pairs, const float* weights, const float* x, bool finite,
                      int64_t columns, float* out) noexcept;

}  // namespace regard
