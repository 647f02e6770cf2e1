#include "gradient/backward_similarity.h"

#include <algorithm>

namespace regard {
namespace {

// What a map makes of rows is f32 and dense.
RawRows dense_rows(const float* first, int64_t step, int count) {
  return {first, DType::f32, step, 1, count};
}

// Widened rows and their addresses.
struct WideRows {
  const float* at[kGradientRows];
  WideRows(const RawRows& rows, int64_t dim, float* wide) {
    const int64_t step = (dim + 15) / 16 * 16;
    widen_rows(rows, dim, wide, step);
    for (int r = 0; r < rows.count; ++r) at[r] = wide + r * step;
  }
};

}  // namespace

BackwardSimilarity::BackwardSimilarity(const Recipe& recipe, int64_t heads, int64_t dim_q,
                                       int64_t dim_k)
    : kind_(recipe.options.similarity.kind), scale_(recipe.scale) {
  map_ = {is_additive() ? Similarity::Kind::dot : kind_, dim_q, dim_k, recipe.scale};
  if (!recipe.options.similarity.parameters) return;
  const Array& array = *recipe.options.similarity.parameters;
  const int own = is_additive() ? 1 : 2;
  by_head_ = array.rank() > own;
  const auto* const numbers = static_cast<const float*>(array.data());
  const int64_t head_step = by_head_ ? array.stride(0) : 0;
  const int64_t last_step = array.stride(array.rank() - 1);
  for (int64_t h = 0; h < (by_head_ ? heads : 1); ++h) {
    const float* const first = numbers + h * head_step;
    if (is_additive()) {
      for (int64_t d = 0; d < dim_k; ++d) v_.push_back(first[d * last_step]);
      continue;
    }
    const int64_t row_step = array.stride(array.rank() - 2);
    const int64_t size = packed_weight_size(dim_q, dim_k);
    const int64_t back = packed_weight_size(dim_k, dim_q);
    w_.resize(w_.size() + static_cast<std::size_t>(size));
    w_back_.resize(w_back_.size() + static_cast<std::size_t>(back));
    pack_weight(first, row_step, last_step, dim_q, dim_k, w_.data() + h * size);
    pack_weight(first, last_step, row_step, dim_k, dim_q, w_back_.data() + h * back);
  }
}

int64_t BackwardSimilarity::wide_numbers() const noexcept {
  const int64_t widest = std::max({map_.dim_q, map_.dim_k, dim()});
  return kGradientRows * ((widest + 15) / 16 * 16);
}

int64_t BackwardSimilarity::memory_bytes() const noexcept {
  return static_cast<int64_t>((w_.size() + w_back_.size() + v_.size()) * sizeof(float));
}

const float* BackwardSimilarity::packed(const std::vector<float>& all, int64_t head,
                                        int64_t size) const {
  return all.data() + (by_head_ ? head * size : 0);
}

const float* BackwardSimilarity::v_of(int64_t head) const { return packed(v_, head, map_.dim_k); }

bool BackwardSimilarity::stage_keys(const RawRows& keys, float* panels, float* rows,
                                    float* wide) const {
  const bool maps = !is_additive() && map_.maps_keys();
  stage_key_panels(keys, map_.dim_k, maps ? wide : panels);
  if (is_additive()) return true;
  if (!maps) return stage_rows(keys, map_.dim_k, is_dot() ? scale_ : 1.0f, rows);
  KeyTile tile;
  tile.keys = keys.count;
  for (int p = 0; p < (keys.count + kPanelKeys - 1) / kPanelKeys; ++p) {
    tile.keys_of_panel[p] = wide + p * map_.dim_k * kPanelKeys;
  }
  return stage_panels(map_tile(map_, tile, panels), dim(), rows);
}

bool BackwardSimilarity::stage_queries(const RawRows& rows, int64_t head, float* out, float* wide,
                                       float* mapped) const {
  if (is_dot()) return stage_rows(rows, map_.dim_q, scale_, out);
  const WideRows raw(rows, map_.dim_q, wide);
  if (is_additive()) {
    pack_queries(raw.at, 1, rows.count, map_.dim_q, 1.0f, out);
    return true;
  }
  const float* w[kGradientRows];
  const float* places[kGradientRows];
  std::fill_n(w, rows.count, packed(w_, head, packed_weight_size(map_.dim_q, map_.dim_k)));
  map_queries(map_, raw.at, 1, rows.count, w_.empty() ? nullptr : w, mapped, places);
  return stage_rows(dense_rows(mapped, map_.mapped_step(), rows.count), dim(), 1.0f, out);
}

void BackwardSimilarity::store_query_gradients(const RawRows& rows, int64_t head, float* g,
                                               const RawRows& to, void* first, float* wide,
                                               float* mapped) const {
  if (is_dot() || is_additive()) return store_rows(g, columns(), map_.dim_q, to, first);
  const WideRows raw(rows, map_.dim_q, wide);
  const float* w[kGradientRows];
  std::fill_n(w, rows.count, packed(w_back_, head, packed_weight_size(map_.dim_k, map_.dim_q)));
  query_gradients(map_, raw.at, 1, rows.count, w_.empty() ? nullptr : w, g, mapped);
  store_rows(mapped, (map_.dim_q + 15) / 16 * 16, map_.dim_q, to, first);
}

void BackwardSimilarity::store_key_gradients(const RawRows& keys, float* g, const RawRows& to,
                                             void* first, float* wide, float* mapped) const {
  if (is_additive() || !map_.maps_keys()) {
    return store_rows(g, columns(), map_.dim_k, to, first);
  }
  const WideRows raw(keys, map_.dim_k, wide);
  key_gradients(map_, raw.at, 1, keys.count, g, mapped);
  store_rows(mapped, (map_.dim_k + 15) / 16 * 16, map_.dim_k, to, first);
}

void BackwardSimilarity::add_weight_gradients(const RawRows& rows, const float* g, int64_t first,
                                              int64_t end, float* dw, float* wide) const {
  const WideRows raw(rows, map_.dim_q, wide);
  add_weight_gradient(map_, raw.at, 1, rows.count, g, first, end, dw);
}

}  // namespace regard
