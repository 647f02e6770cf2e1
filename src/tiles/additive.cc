// score_additive and additive_backward, compiled once per target. See additive.h for the algebra.
#include "tiles/additive.h"

#include <cstring>

#include "simd/highway.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tiles/additive.cc"
#include <hwy/foreach_target.h>

#include "simd/math-inl.h"
#include "simd/simd-inl.h"
#include "simd/sums-inl.h"
#include "simd/tile-inl.h"

HWY_BEFORE_NAMESPACE();
namespace regard::HWY_NAMESPACE {
namespace {

// Where pack_queries put number d of row r.
HWY_INLINE const float* packed(const float* q, int64_t dim, int r) {
  return q + r / kMaxTileRows * kMaxTileRows * dim + r % kMaxTileRows;
}

}  // namespace

HWY_ATTR void score_additive(const float* q, int64_t dim, int rows, const float* const* v_of_row,
                             float scale, const KeyTile& tile, int first_panel, int end_panel,
                             float* scores) {
  const F32x16 factor = broadcast(scale);
  with_dtype(tile.k_dtype, [&](auto t) HWY_ATTR {
    using T = decltype(t);
    for (int p = first_panel; p < end_panel; ++p) {
      const T* const panel = static_cast<const T*>(tile.keys_of_panel[p]);
      const F32x16 unit =
          tile.scaled_keys ? load(tile.key_scales_of_panel[p]) : broadcast(1.0f);  // of i8
      for (int r = 0; r < rows; ++r) {
        const float* const row = packed(q, dim, r);
        const float* const v = v_of_row[r];
        F32x16 sum = zero();
        for (int64_t d = 0; d < dim; ++d) {
          const F32x16 x = fma(load(panel + d * 16), unit, broadcast(row[d * kMaxTileRows]));
          sum = fma(broadcast(v[d]), tanh(x), sum);
        }
        store(mul(sum, factor), scores + r * kTileKeys + p * kPanelKeys);
      }
    }
  });
}

HWY_ATTR void additive_backward(const float* q, int64_t dim, int rows, const float* v, float scale,
                                const float* k_panels, int keys, const float* ds, float* scratch,
                                const AdditiveGradients& gradients) {
  const int64_t columns = (dim + 15) / 16 * 16;
  const int panels = (keys + kPanelKeys - 1) / kPanelKeys;
  uint8_t used[128];  // bit p: the row's gradient in panel p is not all zeros
  for (int r = 0; r < rows; ++r) {
    used[r] = 0;
    for (int p = 0; p < panels; ++p) {
      const F32x16 x = abs(load(ds + r * kTileKeys + p * kPanelKeys));
      if (any(not_less(x, broadcast(0x1p-149f)))) used[r] |= static_cast<uint8_t>(1u << p);
    }
  }
  for (int64_t d = 0; d < dim; ++d) {
    const float slope = scale * v[d];
    F32x16 dk[kTilePanels], dv = zero();
    for (int p = 0; p < panels; ++p) dk[p] = zero();
    for (int first = 0; first < rows; first += 16) {
      const int count = rows - first < 16 ? rows - first : 16;
      alignas(64) float dq[16 * 16];
      for (int i = 0; i < count; ++i) {
        const int r = first + i;
        const F32x16 x = broadcast(packed(q, dim, r)[d * kMaxTileRows]);
        F32x16 sum = zero();
        for (int p = 0; p < panels; ++p) {
          if ((used[r] >> p & 1) == 0) continue;
          const F32x16 g = load(ds + r * kTileKeys + p * kPanelKeys);
          const F32x16 t = zero_where(equal(g, zero()),
                                      tanh(add(x, load(k_panels + (p * dim + d) * kPanelKeys))));
          const F32x16 fall = fnma(t, t, broadcast(1.0f));
          sum = fma(g, fall, sum);
          dk[p] = fma(g, fall, dk[p]);
          dv = fma(g, t, dv);
        }
        store(sum, dq + 16 * i);
      }
      for (int i = count; i < 16; ++i) store(zero(), dq + 16 * i);
      alignas(64) float sums[16];
      store(sum_rows(dq), sums);
      for (int i = 0; i < count; ++i) {
        float& to = gradients.dq[(first + i) * columns + d];
        to = to + sums[i] * slope;
      }
    }
    for (int p = 0; p < panels; ++p) {
      store(mul(dk[p], broadcast(slope)), scratch + (p * dim + d) * kPanelKeys);
    }
    if (gradients.dv != nullptr) gradients.dv[d] = gradients.dv[d] + sum_lanes(dv) * scale;
  }
  for (int key = 0; key < keys; ++key) {
    const float* const from = scratch + key / kPanelKeys * dim * kPanelKeys + key % kPanelKeys;
    float* const to = gradients.dk + key * columns;
    for (int64_t d = 0; d < dim; ++d) to[d] = to[d] + from[d * kPanelKeys];
  }
}

}  // namespace regard::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace regard {

void score_additive(const float* q, int64_t dim, int rows, const float* const* v_of_row,
                    float scale, const KeyTile& tile, int first_panel, int end_panel,
                    float* scores) noexcept {
  REGARD_DISPATCH(score_additive)
  (q, dim, rows, v_of_row, scale, tile, first_panel, end_panel, scores);
}

void additive_backward(const float* q, int64_t dim, int rows, const float* v, float scale,
                       const float* k_panels, int keys, const float* ds, float* scratch,
                       const AdditiveGradients& gradients) noexcept {
  REGARD_DISPATCH(additive_backward)
  (q, dim, rows, v, scale, k_panels, keys, ds, scratch, gradients);
}

}  // namespace regard
#endif
