// The maps of similarity.h, compiled once per target.
#include "tiles/similarity.h"

#include "simd/highway.h"
#include "tiles/backward.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tiles/similarity.cc"
#include <hwy/foreach_target.h>

#include "simd/simd-inl.h"
#include "simd/tile-inl.h"
#include "tiles/groups-inl.h"

HWY_BEFORE_NAMESPACE();
namespace regard::HWY_NAMESPACE {
namespace {

using Kind = Similarity::Kind;
constexpr int64_t kStagedColumn = kGradientRows * 16;  // between 16 staged columns and the next

// Numbers d .. d + 15 of a row, zeros behind its end.
HWY_INLINE HWY_ATTR F32x16 load_part(const float* row, int64_t step, int64_t d, int64_t dim) {
  if (step == 1 && d + 16 <= dim) return load(row + d);
  alignas(64) float lanes[16] = {};
  for (int64_t i = d; i < dim && i < d + 16; ++i) lanes[i - d] = row[i * step];
  return load(lanes);
}

// The power of two that brings numbers whose largest is `most` to about 1.
HWY_INLINE HWY_ATTR F32x16 levelling(const F32x16& most) {
  const F32x16 size =
      min(as_f32(bit_and(bits_of(most), broadcast_bits(0x7F800000))), broadcast(0x1p126f));
  return as_f32(sub(broadcast_bits(0x7F000000), bits_of(size)));
}

// 1 / √square, 0 for 0.
HWY_INLINE HWY_ATTR F32x16 inverse_root(const F32x16& square) {
  return zero_where(equal(square, zero()), div(broadcast(1.0f), sqrt(square)));
}

// A row's direction is x · power · inverse, its length 1 / (power · inverse).
struct Length {
  F32x16 power, inverse;
};
HWY_ATTR Length length_of(const float* row, int64_t step, int64_t dim) {
  F32x16 most = zero(), sum = zero();
  for (int64_t d = 0; d < dim; d += 16) most = max(abs(load_part(row, step, d, dim)), most);
  const F32x16 power = levelling(broadcast(max_lanes(most)));
  for (int64_t d = 0; d < dim; d += 16) {
    const F32x16 x = mul(load_part(row, step, d, dim), power);
    sum = fma(x, x, sum);
  }
  return {power, inverse_root(broadcast(sum_lanes(sum)))};
}

// out[r] = factor · rows[r] W for rows that share a packed W: one chain over the inputs each.
struct WeightWork {
  const float* rows;  // packed as columns
  int64_t inputs;
  const float* w;
  float factor;
  float* const* out;

  template <int kRows, int kColumns>
  HWY_ATTR void run(int first) const {
    Stored<float, kColumns> b;
    b.step = 16;
    for (int j = 0; j < kColumns; ++j) b.base[j] = w + (first + j) * inputs * 16;
    Accumulators<kRows, kColumns> sum;
    clear(sum);
    multiply_add(Columns<kMaxTileRows>{rows}, b, inputs, sum);
    const F32x16 by = broadcast(factor);
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
      for (int j = 0; j < kColumns; ++j) store(mul(sum.at[r][j], by), out[r] + (first + j) * 16);
    }
  }
};

// Rows with the same W go through the tile together, wherever they stand: the heads of a group
// take turns.
HWY_ATTR void multiply_weight(const float* const* rows, int64_t step, int count, int64_t inputs,
                              int64_t outputs, const float* const* w_of_row, float factor,
                              float* out) {
  const int64_t out_step = (outputs + 15) / 16 * 16;
  alignas(64) float packed[kMaxTileRows * 1024];
  constexpr int kMost = 512;
  bool done[kMost];
  for (int begin = 0; begin < count; begin += kMost) {
    const int end = count - begin < kMost ? count : begin + kMost;
    for (int r = begin; r < end; ++r) done[r - begin] = false;
    for (int first = begin; first < end; ++first) {
      if (done[first - begin]) continue;
      float* to[kMaxTileRows];
      int height = 0;
      for (int r = first; r < end && height < kMaxTileRows; ++r) {
        if (done[r - begin] || w_of_row[r] != w_of_row[first]) continue;
        done[r - begin] = true;
        for (int64_t d = 0; d < inputs; ++d) packed[d * kMaxTileRows + height] = rows[r][d * step];
        to[height++] = out + r * out_step;
      }
      with_rows<kMaxTileRows>(height, static_cast<int>(out_step / 16),
                              WeightWork{packed, inputs, w_of_row[first], factor, to});
    }
  }
}

HWY_ATTR void map_distance(const float* row, int64_t step, int64_t dim, float scale, float* out) {
  const F32x16 factor = broadcast(2 * scale);
  F32x16 sum = zero();
  for (int64_t d = 0; d < dim; d += 16) {
    const F32x16 x = load_part(row, step, d, dim);
    sum = fma(x, x, sum);
    store(mul(x, factor), out + d);
  }
  const int64_t end = (dim + 2 + 15) / 16 * 16;
  for (int64_t d = dim; d < end; ++d) out[d] = 0;
  out[dim] = -scale;
  out[dim + 1] = -scale * sum_lanes(sum);
}

// ---- panels of keys: a lane is a key ----

template <class T, int kPanels>
HWY_ATTR void map_cosine_panels(const void* const* panels, const F32x16* scales, int64_t dim,
                                float* out) {
  const T* from[kPanels];
  F32x16 most[kPanels], sum[kPanels], power[kPanels], scale[kPanels];
  for (int p = 0; p < kPanels; ++p) {
    from[p] = static_cast<const T*>(panels[p]);
    most[p] = sum[p] = zero();
    scale[p] = scales[p];
  }
  const auto key = [&](int p, int64_t d) HWY_ATTR { return mul(load(from[p] + d * 16), scale[p]); };
  for (int64_t d = 0; d < dim; ++d) {
#pragma GCC unroll 4
    for (int p = 0; p < kPanels; ++p) most[p] = max(abs(key(p, d)), most[p]);
  }
  for (int p = 0; p < kPanels; ++p) power[p] = levelling(most[p]);
  for (int64_t d = 0; d < dim; ++d) {
#pragma GCC unroll 4
    for (int p = 0; p < kPanels; ++p) {
      const F32x16 x = mul(key(p, d), power[p]);
      sum[p] = fma(x, x, sum[p]);
    }
  }
  for (int p = 0; p < kPanels; ++p) {
    const F32x16 inverse = inverse_root(sum[p]);
    for (int64_t d = 0; d < dim; ++d) {
      store(mul(mul(key(p, d), power[p]), inverse), out + (p * dim + d) * 16);
    }
  }
}

template <class T>
HWY_ATTR void map_distance_panel(const void* panel, const F32x16& scale, int64_t dim, float* out) {
  const T* const from = static_cast<const T*>(panel);
  F32x16 high = zero(), low = zero();
  for (int64_t begin = 0; begin < dim; begin += 16) {
    F32x16 part = zero();
    for (int64_t d = begin; d < dim && d < begin + 16; ++d) {
      const F32x16 x = mul(load(from + d * 16), scale);
      part = fma(x, x, part);
      store(x, out + d * 16);
    }
    const F32x16 sum = add(high, part);  // and what rounding took from it: part <= sum
    const F32x16 kept = sub(sum, high);
    low = add(low, add(sub(high, sub(sum, kept)), sub(part, kept)));
    high = sum;
  }
  // Beyond f32 the error terms are inf - inf.
  const F32x16 square = add(high, low);
  store(select(equal(high, broadcast(-kNone)), high, square), out + dim * 16);
  store(broadcast(1.0f), out + (dim + 1) * 16);
}

}  // namespace

HWY_ATTR void map_panels(Kind kind, const KeyTile& tile, int64_t dim, float* out) {
  const int count = panels_of(tile.keys);
  const void* const* const panels = tile.keys_of_panel;
  F32x16 scales[kTilePanels];
  for (int p = 0; p < count; ++p) {
    scales[p] = tile.scaled_keys ? load(tile.key_scales_of_panel[p]) : broadcast(1.0f);
  }
  with_dtype(tile.k_dtype, [&](auto t) HWY_ATTR {
    using T = decltype(t);
    int p = 0;
    if (kind == Kind::cosine) {
      for (; p + 4 <= count; p += 4) {
        map_cosine_panels<T, 4>(panels + p, scales + p, dim, out + p * dim * 16);
      }
      for (; p < count; ++p) {
        map_cosine_panels<T, 1>(panels + p, scales + p, dim, out + p * dim * 16);
      }
    }
    for (; p < count; ++p) {
      map_distance_panel<T>(panels[p], scales[p], dim, out + p * (dim + 2) * 16);
    }
  });
}

HWY_ATTR void map_queries(const SimilarityMap& map, const float* const* rows, int64_t step,
                          int count, const float* const* w_of_row, float* out) {
  if (map.kind == Kind::bilinear) {
    multiply_weight(rows, step, count, map.dim_q, map.dim_k, w_of_row, map.scale, out);
    return;
  }
  const int64_t dim = map.dim_q;
  for (int r = 0; r < count; ++r, out += map.mapped_step()) {
    if (map.kind == Kind::negative_distance) {
      map_distance(rows[r], step, dim, map.scale, out);
      continue;
    }
    F32x16 power = broadcast(1.0f), factor = broadcast(map.scale);
    if (map.kind == Kind::cosine) {
      const Length length = length_of(rows[r], step, dim);
      power = length.power;
      factor = mul(length.inverse, factor);
    }
    for (int64_t d = 0; d < dim; d += 16) {
      store(mul(mul(load_part(rows[r], step, d, dim), power), factor), out + d);
    }
  }
}

HWY_ATTR bool stage_panels(const KeyTile& tile, int64_t dim, float* out) {
  F32x16 seen = zero();
  for (int first = 0; first < tile.keys; first += kPanelKeys) {
    const float* const panel = static_cast<const float*>(tile.keys_of_panel[first / kPanelKeys]);
    const int count = tile.keys - first < kPanelKeys ? tile.keys - first : kPanelKeys;
    for (int64_t d = 0; d < dim; d += 16) {
      alignas(64) float block[16 * 16], turned[16 * 16];
      for (int i = 0; i < 16; ++i) {
        store(d + i < dim ? load(panel + (d + i) * 16) : zero(), block + 16 * i);
      }
      transpose16(block, 16, turned, 16);
      for (int key = 0; key < count; ++key) {
        const F32x16 x = load(turned + 16 * key);
        seen = fma(x, zero(), seen);  // 0 · x is NaN exactly where x is not finite
        store(x, out + d / 16 * kStagedColumn + (first + key) * 16);
      }
    }
  }
  return sum_lanes(seen) == 0.0f;
}

// ---- gradients ----

namespace {

// No pair passed anything on: the row or key may be a masked one, which holds whatever it likes.
HWY_ATTR bool idle(const float* g, int64_t dim) {
  for (int64_t d = 0; d < dim; ++d) {
    if (g[d] != 0) return false;  // a NaN is not 0
  }
  return true;
}
HWY_ATTR void fill_zero(float* out, int64_t columns) {
  for (int64_t d = 0; d < columns; d += 16) store(zero(), out + d);
}

// out = factor / ‖x‖ (g - x̂ (x̂·g)): what is left of g across x; 0 for a zero vector.
HWY_ATTR void cosine_gradient(const float* row, int64_t step, int64_t dim, float factor,
                              const float* g, float* out) {
  const Length length = length_of(row, step, dim);
  const auto direction = [&](int64_t d) HWY_ATTR {
    return mul(mul(load_part(row, step, d, dim), length.power), length.inverse);
  };
  F32x16 sum = zero();
  for (int64_t d = 0; d < dim; d += 16) sum = fma(direction(d), load(g + d), sum);
  const F32x16 along = broadcast(sum_lanes(sum));
  const F32x16 by = mul(length.inverse, broadcast(factor));
  for (int64_t d = 0; d < dim; d += 16) {
    const F32x16 across = fnma(direction(d), along, load(g + d));
    store(mul(mul(across, by), length.power), out + d);
  }
}

// out = factor (g + x slope).
HWY_ATTR void distance_gradient(const float* row, int64_t step, int64_t dim, float factor,
                                float slope, const float* g, float* out) {
  const F32x16 by = broadcast(factor), rise = broadcast(slope);
  for (int64_t d = 0; d < dim; d += 16) {
    const int left = dim - d < 16 ? static_cast<int>(dim - d) : 16;
    const F32x16 part = select(first_lanes(left), load(g + d), zero());
    store(mul(fma(load_part(row, step, d, dim), rise, part), by), out + d);
  }
}

struct WeightGradientWork {
  const float* q;  // [count][kMaxTileRows]
  const float* g;
  int count;
  int64_t step;  // of g and dw
  F32x16 factor;
  float* dw;

  template <int kRows, int kColumns>
  HWY_ATTR void run(int first) const {
    Stored<float, kColumns> b;
    b.step = step;
    for (int j = 0; j < kColumns; ++j) b.base[j] = g + (first + j) * 16;
    Accumulators<kRows, kColumns> sum;
    clear(sum);
    multiply_add(Columns<kMaxTileRows>{q}, b, count, sum);
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
      for (int j = 0; j < kColumns; ++j) {
        float* const to = dw + r * step + (first + j) * 16;
        store(fma(sum.at[r][j], factor, load(to)), to);
      }
    }
  }
};

}  // namespace

HWY_ATTR void query_gradients(const SimilarityMap& map, const float* const* rows, int64_t step,
                              int count, const float* const* w_of_row, const float* g, float* out) {
  const int64_t dim = map.dim_q, columns = (dim + 15) / 16 * 16, g_step = map.mapped_step();
  if (map.kind == Kind::bilinear) {
    const float* places[kGradientRows];
    for (int first = 0; first < count; first += kGradientRows) {
      const int some = count - first < kGradientRows ? count - first : kGradientRows;
      for (int r = 0; r < some; ++r) places[r] = g + (first + r) * g_step;
      multiply_weight(places, 1, some, map.dim_k, dim, w_of_row + first, map.scale,
                      out + first * columns);
    }
  }
  for (int r = 0; r < count; ++r, g += g_step, out += columns) {
    if (idle(g, map.mapped_dim())) {
      fill_zero(out, columns);
    } else if (map.kind == Kind::bilinear) {
      continue;
    } else if (map.kind == Kind::cosine) {
      cosine_gradient(rows[r], step, dim, map.scale, g, out);
    } else if (map.kind == Kind::negative_distance) {
      distance_gradient(rows[r], step, dim, 2 * map.scale, -g[dim + 1], g, out);
    } else {
      for (int64_t d = 0; d < dim; d += 16) store(mul(load(g + d), broadcast(map.scale)), out + d);
    }
  }
}

HWY_ATTR void key_gradients(const SimilarityMap& map, const float* const* keys, int64_t step,
                            int count, const float* g, float* out) {
  const int64_t dim = map.dim_k, columns = (dim + 15) / 16 * 16;
  for (int key = 0; key < count; ++key, g += map.mapped_step(), out += columns) {
    if (idle(g, map.mapped_dim())) {
      fill_zero(out, columns);
    } else if (map.kind == Kind::cosine) {
      cosine_gradient(keys[key], step, dim, 1, g, out);
    } else if (map.kind == Kind::negative_distance) {
      distance_gradient(keys[key], step, dim, 1, 2 * g[dim], g, out);
    } else if (out != g) {
      for (int64_t d = 0; d < dim; d += 16) store(load(g + d), out + d);
    }
  }
}

HWY_ATTR void add_weight_gradient(const SimilarityMap& map, const float* const* rows, int64_t step,
                                  int count, const float* g, int64_t first, int64_t end,
                                  float* dw) {
  alignas(64) float packed[kGradientRows * kMaxTileRows];
  bool counts[kGradientRows];
  for (int r = 0; r < count; ++r) counts[r] = !idle(g + r * map.mapped_step(), map.mapped_dim());
  for (int64_t e = first; e < end; e += kMaxTileRows) {
    const int height = end - e < kMaxTileRows ? static_cast<int>(end - e) : kMaxTileRows;
    for (int r = 0; r < count; ++r) {
      for (int i = 0; i < height; ++i) {
        packed[r * kMaxTileRows + i] = counts[r] ? rows[r][(e + i) * step] : 0.0f;
      }
    }
    with_rows<kMaxTileRows>(height, static_cast<int>(map.mapped_step() / 16),
                            WeightGradientWork{packed, g, count, map.mapped_step(),
                                               broadcast(map.scale), dw + e * map.mapped_step()});
  }
}

}  // namespace regard::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace regard {

void pack_weight(const float* w, int64_t input_step, int64_t output_step, int64_t inputs,
                 int64_t outputs, float* out) noexcept {
  for (int64_t column = 0; column < outputs; column += 16) {
    for (int64_t i = 0; i < inputs; ++i) {
      for (int64_t o = column; o < column + 16; ++o) {
        *out++ = o < outputs ? w[i * input_step + o * output_step] : 0.0f;
      }
    }
  }
}

void map_queries(const SimilarityMap& map, const float* const* rows, int64_t step, int count,
                 const float* const* w_of_row, float* out, const float** mapped) noexcept {
  REGARD_DISPATCH(map_queries)(map, rows, step, count, w_of_row, out);
  for (int r = 0; r < count; ++r) mapped[r] = out + r * map.mapped_step();
}

KeyTile map_tile(const SimilarityMap& map, const KeyTile& tile, float* panels) noexcept {
  if (!map.maps_keys()) return tile;
  REGARD_DISPATCH(map_panels)(map.kind, tile, map.dim_k, panels);
  KeyTile mapped = tile;
  mapped.k_dtype = DType::f32;
  mapped.scaled_keys = false;
  for (int p = 0; p * kPanelKeys < tile.keys; ++p) {
    mapped.keys_of_panel[p] = panels + p * map.mapped_dim() * kPanelKeys;
  }
  return mapped;
}

bool stage_panels(const KeyTile& tile, int64_t dim, float* out) noexcept {
  return REGARD_DISPATCH(stage_panels)(tile, dim, out);
}

void query_gradients(const SimilarityMap& map, const float* const* rows, int64_t step, int count,
                     const float* const* w_of_row, const float* g, float* out) noexcept {
  REGARD_DISPATCH(query_gradients)(map, rows, step, count, w_of_row, g, out);
}

void key_gradients(const SimilarityMap& map, const float* const* keys, int64_t step, int count,
                   const float* g, float* out) noexcept {
  REGARD_DISPATCH(key_gradients)(map, keys, step, count, g, out);
}

void add_weight_gradient(const SimilarityMap& map, const float* const* rows, int64_t step,
                         int count, const float* g, int64_t first, int64_t end,
                         float* dw) noexcept {
  REGARD_DISPATCH(add_weight_gradient)(map, rows, step, count, g, first, end, dw);
}

}  // namespace regard
#endif
