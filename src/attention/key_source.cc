#include "attention/key_source.h"

#include "cache/kv_pages.h"

namespace regard {

KeyTile PagedKeys::tile(const Segment& segment, int64_t kv_head, int64_t first_key, int keys,
                        const TileScratch&) const noexcept {
  const KvCacheShape& shape = pages_.shape();
  KeyTile tile;
  tile.k_dtype = shape.k_dtype;
  tile.v_dtype = shape.v_dtype;
  tile.keys = keys;
  tile.value_step = pages_.padded_dim_v();
  tile.scaled_keys = shape.k_dtype == DType::i8;
  tile.scaled_values = shape.v_dtype == DType::i8;
  for (int p = 0; p * kPanelKeys < keys; ++p) {
    const int64_t key = first_key + p * kPanelKeys;
    const int64_t page = segment.block_table[static_cast<std::size_t>(key / shape.page_keys)];
    const int64_t in_page = key % shape.page_keys;
    tile.keys_of_panel[p] = pages_.key_panel(layer_, page, kv_head, in_page / kPanelKeys);
    tile.values_of_panel[p] = pages_.value_row(layer_, page, kv_head, in_page);
    if (tile.scaled_keys) {
      tile.key_scales_of_panel[p] = pages_.key_scales(layer_, page, kv_head, in_page / kPanelKeys);
    }
    if (tile.scaled_values) {
      tile.value_scales_of_panel[p] =
          pages_.value_scales(layer_, page, kv_head, in_page / kPanelKeys);
    }
    if (pages_.special(layer_, page, kv_head, in_page / kPanelKeys)) {
      tile.special |= static_cast<uint8_t>(1u << p);
    }
  }
  return tile;
}

KeyTile StridedKeys::tile(const Segment& segment, int64_t kv_head, int64_t first_key, int keys,
                          const TileScratch& scratch) const noexcept {
  const int64_t dim = k_.shape[3], dim_v = v_.shape[3];
  const int64_t columns = (dim_v + 15) / 16 * 16;
  const auto at = [&](const InputView<4>& a, int64_t key) {
    const int64_t offset = segment.slab * a.strides[0] + (segment.first_key + key) * a.strides[1] +
                           kv_head * a.strides[2];
    return static_cast<const std::byte*>(a.data) + offset * row_bytes(a.dtype, 1);
  };
  KeyTile tile;
  tile.keys = keys;
  tile.value_step = columns;
  for (int p = 0; p * kPanelKeys < keys; ++p) {
    const int64_t key = first_key + p * kPanelKeys;
    const int count = keys - p * kPanelKeys < kPanelKeys ? keys - p * kPanelKeys : kPanelKeys;
    float* const panel = scratch.panels + p * kPanelKeys * dim;
    widen_keys(at(k_, key), k_.dtype, k_.strides[1], k_.strides[3], dim, count, panel);
    tile.keys_of_panel[p] = panel;
    float* const values = scratch.values + p * kPanelKeys * columns;
    if (!widen_values(at(v_, key), v_.dtype, v_.strides[1], v_.strides[3], dim_v, columns, count,
                      values)) {
      tile.special |= static_cast<uint8_t>(1u << p);
    }
    tile.values_of_panel[p] = values;
  }
  return tile;
}

}  // namespace regard
