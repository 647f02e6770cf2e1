// BackwardSimilarity: how q and k become the two sides of a score product, and gradients of those
// sides become gradients of q, k and the similarity's own parameters.
#pragma once

#include <vector>

#include "plan/recipe.h"
#include "tiles/additive.h"
#include "tiles/backward.h"
#include "tiles/similarity.h"

namespace regard {

class BackwardSimilarity {
 public:
  BackwardSimilarity(const Recipe& recipe, int64_t heads, int64_t dim_q, int64_t dim_k);

  bool is_dot() const noexcept { return kind_ == Similarity::Kind::dot; }
  bool is_additive() const noexcept { return kind_ == Similarity::Kind::additive; }
  const SimilarityMap& map() const noexcept { return map_; }
  int64_t dim_q() const noexcept { return map_.dim_q; }
  int64_t dim_k() const noexcept { return map_.dim_k; }
  // Numbers of a mapped row, and the same rounded up to 16.
  int64_t dim() const noexcept { return map_.mapped_dim(); }
  int64_t columns() const noexcept { return (dim() + 15) / 16 * 16; }
  // Numbers of wide and mapped below.
  int64_t wide_numbers() const noexcept;
  int64_t memory_bytes() const noexcept;

  // Keys as panels [8][dim][16], and as stage_rows lays them out. wide: room for 128 keys. Returns
  // whether all are finite.
  bool stage_keys(const RawRows& keys, float* panels, float* rows, float* wide) const;
  // Rows as stage_rows lays them out, additive's as pack_queries does.
  bool stage_queries(const RawRows& rows, int64_t head, float* out, float* wide,
                     float* mapped) const;
  // g [rows.count][columns] -> gradients of the rows themselves, where they belong.
  void store_query_gradients(const RawRows& rows, int64_t head, float* g, const RawRows& to,
                             void* first, float* wide, float* mapped) const;
  void store_key_gradients(const RawRows& keys, float* g, const RawRows& to, void* first,
                           float* wide, float* mapped) const;

  // additive: v of a head, [dim]; bilinear: dw [dim_q][columns] += what rows first .. end - 1 of W
  // get from a block.
  const float* v_of(int64_t head) const;
  void add_weight_gradients(const RawRows& rows, const float* g, int64_t first, int64_t end,
                            float* dw, float* wide) const;

 private:
  const float* packed(const std::vector<float>& all, int64_t head, int64_t size) const;

  Similarity::Kind kind_;
  SimilarityMap map_;
  bool by_head_ = false;
  float scale_;
  std::vector<float> w_, w_back_, v_;  // packed, one for each head or one for all
};

}  // namespace regard
