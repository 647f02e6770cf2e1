// Similarities that are a dot product of something else: what rows of q and panels of keys become
// so that scale · u(q, k) = Σ_d q'_d k'_d, and the way back for gradients.
//
//                      q' (times scale)          k'            mapped dim
//   dot                q                         k             dim
//   cosine             q / ‖q‖                   k / ‖k‖       dim          0 for a zero vector
//   negative_distance  2 q, -1, -‖q‖²            k, ‖k‖², 1    dim + 2      u = -‖q - k‖²
//   bilinear           qᵀ W                      k             dim of k     W [dim of q][dim of k]
//
// Additive similarity is no such product: additive.h.
//
// Order of operations: ‖q‖² is 16 virtual lanes and the fixed tree. ‖k‖² of cosine is one chain
// over dim, that of negative_distance chains of 16 numbers added with their rounding errors kept.
// Each number of qᵀW is one chain over the numbers of q, times scale at its end. None of it depends
// on neighbours. A vector's length is taken from numbers divided by a power of two near its
// largest, so neither 1e30 nor 1e-30 loses its direction.
//
// Accuracy of negative_distance: the products come first, while the sum is small, then ‖k‖², then
// ‖q‖², so only two roundings happen at the size of the norms: the error of a score is about
// 6e-8 scale (‖q‖² + ‖k‖²). It is lost by cancellation where the norms are far larger than the
// distance, and a norm over 1.8e19 makes the score NaN or -inf: subtract a common offset first.
#pragma once

#include <cstdint>

#include "regard/attention_options.h"
#include "tiles/fold.h"

namespace regard {

struct SimilarityMap {
  Similarity::Kind kind = Similarity::Kind::dot;  // any but additive
  int64_t dim_q = 0, dim_k = 0;                   // equal but for bilinear; at most 1024
  float scale = 1;

  // Numbers of a mapped row or key.
  int64_t mapped_dim() const noexcept {
    return dim_k + (kind == Similarity::Kind::negative_distance ? 2 : 0);
  }
  // From one mapped row to the next.
  int64_t mapped_step() const noexcept { return (mapped_dim() + 15) / 16 * 16; }
  bool maps_keys() const noexcept {
    return kind == Similarity::Kind::cosine || kind == Similarity::Kind::negative_distance;
  }
};

// Numbers of one packed W of so many inputs and outputs.
constexpr int64_t packed_weight_size(int64_t inputs, int64_t outputs) {
  return inputs * ((outputs + 15) / 16 * 16);
}
// W as map_queries reads it: [outputs / 16][inputs][16], zeros beyond. inputs = dim of q, outputs =
// dim of k; the other way round, with the strides exchanged, for query_gradients.
void pack_weight(const float* w, int64_t input_step, int64_t output_step, int64_t inputs,
                 int64_t outputs, float* out) noexcept;

// Rows of q -> q', scale included: out [count][mapped_step], zeros beyond mapped_dim; mapped[r]
// points at row r, for pack_queries and stage_rows with factor 1. w_of_row[r]: bilinear's packed W
// of row r (heads may have their own); null otherwise.
void map_queries(const SimilarityMap& map, const float* const* rows, int64_t step, int count,
                 const float* const* w_of_row, float* out, const float** mapped) noexcept;

// The tile with its keys mapped (f32, whatever they were, i8 times its scales), its values as they
// are; the tile itself where the map leaves keys alone. Goes before stage_tile. panels:
// [8][mapped_dim][16], no memory of the tile's.
KeyTile map_tile(const SimilarityMap& map, const KeyTile& tile, float* panels) noexcept;

// stage_rows of keys that lie in f32 panels [8][dim][16]: the backward pass must use the very
// numbers of map_tile. Returns whether all are finite.
bool stage_panels(const KeyTile& tile, int64_t dim, float* out) noexcept;

// ---- gradients: from those with respect to q' and k', which s = Σ q' k' defines, to q, k, W ----
//
// A row of g that is all zeros gives zeros whatever its row or key holds: it may be a masked one.

// g [count][mapped_step]: Σ_keys ds k'. out [count][dim_q rounded up to 16] is overwritten, zeros
// beyond dim_q. w_of_row[r]: bilinear's W packed with inputs = dim_k, outputs = dim_q.
void query_gradients(const SimilarityMap& map, const float* const* rows, int64_t step, int count,
                     const float* const* w_of_row, const float* g, float* out) noexcept;
// g [count][mapped_step]: Σ_rows ds q'. out [count][dim_k rounded up to 16] is overwritten; it may
// be g where mapped_step is as long.
void key_gradients(const SimilarityMap& map, const float* const* keys, int64_t step, int count,
                   const float* g, float* out) noexcept;

// dw[e][d] += scale Σ_r q[r][e] g[r][d] for up to 128 rows, one chain begun at zero, and for inputs
// e in [first, end), so that threads may share them. g as in query_gradients; dw
// [dim_q][mapped_step].
void add_weight_gradient(const SimilarityMap& map, const float* const* rows, int64_t step,
                         int count, const float* g, int64_t first, int64_t end, float* dw) noexcept;

}  // namespace regard
