// What the forward and the backward kernel share: rows in groups as tall as the matmul tile, the
// choice of the tile's shape, and the product of packed rows with panels.
#if defined(REGARD_TILES_GROUPS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef REGARD_TILES_GROUPS_INL_H_
#undef REGARD_TILES_GROUPS_INL_H_
#else
#define REGARD_TILES_GROUPS_INL_H_
#endif

#include "simd/tile-inl.h"
#include "tiles/fold.h"

HWY_BEFORE_NAMESPACE();
namespace regard::HWY_NAMESPACE {

// Calls work<rows, columns>() with the tile shape that fits: the widest allowed at that height,
// then half of it where that is common, then one column at a time.
template <int kRows, class Work>
HWY_ATTR void with_columns(int columns, const Work& work) {
  constexpr int kWidest = columns_for(kRows);
  int done = 0;
  for (; done + kWidest <= columns; done += kWidest) work.template run<kRows, kWidest>(done);
  if constexpr (kWidest > 4) {
    for (; done + 4 <= columns; done += 4) work.template run<kRows, 4>(done);
  }
  if constexpr (kWidest > 1) {
    for (; done < columns; ++done) work.template run<kRows, 1>(done);
  }
}

template <int kRows, class Work>
HWY_ATTR void with_rows(int rows, int columns, const Work& work) {
  if (rows == kRows) {
    with_columns<kRows>(columns, work);
  } else if constexpr (kRows > 1) {
    with_rows<kRows - 1>(rows, columns, work);
  }
}

// A group of rows that go through the tile together: the keys first .. end - 1 that any of them
// sees, none where first = end, and the keys all_first .. all_end - 1 that all of them see.
struct Group {
  int row, height;
  int first, end;
  int all_first, all_end;

  int first_panel() const { return first / kPanelKeys; }
  int end_panel() const { return (end + kPanelKeys - 1) / kPanelKeys; }
  bool alike() const { return first == all_first && end == all_end; }
};
static HWY_MAYBE_UNUSED int group_rows(int rows, const KeySpan* seen, Group* groups) {
  int count = 0;
  for (int row = 0; row < rows; row += kMaxTileRows) {
    Group& group = groups[count++];
    group = {row,      rows - row < kMaxTileRows ? rows - row : kMaxTileRows, kTileKeys, 0, 0,
             kTileKeys};
    for (int r = row; r < row + group.height; ++r) {
      const KeySpan& span = seen[r];
      group.all_first = span.first > group.all_first ? span.first : group.all_first;
      group.all_end = span.end < group.all_end ? span.end : group.all_end;
      if (span.first == span.end) continue;
      group.first = span.first < group.first ? span.first : group.first;
      group.end = span.end > group.end ? span.end : group.end;
    }
    if (group.end == 0) group.first = 0;
    if (group.all_end <= group.all_first) group.all_first = group.all_end = 0;
  }
  return count;
}
constexpr int panels_of(int keys) { return (keys + kPanelKeys - 1) / kPanelKeys; }

// s = q kᵀ for a group of rows and a range of panels.
template <class T, bool kFew, bool kAsks = kFew>
struct ScoreWork {
  const float* q;
  int64_t dim;
  const void* const* panels;
  float* scores;
  const void* const* ahead = nullptr;  // what to ask for: few rows for each panel, many once
  int64_t ahead_step = 0;              // bytes, with each number of a key

  template <int kRows, int kColumns>
  HWY_ATTR void run(int first) const {
    constexpr int kAhead = kFew ? kColumns : kAsks ? 1 : 0;
    Stored<T, kColumns, kAhead> keys;
    keys.step = kPanelKeys;
    keys.ahead_step = ahead_step;
    for (int j = 0; j < kColumns; ++j) keys.base[j] = static_cast<const T*>(panels[first + j]);
    for (int j = 0; j < kAhead; ++j)
      keys.ahead[j] = static_cast<const std::byte*>(ahead[first + j]);
    Accumulators<kRows, kColumns> s;
    clear(s);
    multiply_add(Columns<kMaxTileRows>{q}, keys, dim, s);
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
      for (int j = 0; j < kColumns; ++j) {
        store(s.at[r][j], scores + r * kTileKeys + (first + j) * kPanelKeys);
      }
    }
  }
};

// The next tile's panel at each place, or this tile's where the next one has none.
static HWY_MAYBE_UNUSED void look_ahead(const void* const* here, const void* const* next, int count,
                                        int next_count, const void** ahead) {
  for (int p = 0; p < count; ++p) ahead[p] = p < next_count ? next[p] : here[p];
}

template <class T>
HWY_ATTR void score_rows(const float* q, int64_t dim, int rows, const Group* groups, int count,
                         const KeyTile& tile, const Ahead& ahead, float* scores) {
  if (rows < kStageFrom) {
    // Few rows: one group against all its panels, and the next tile's keys come meanwhile.
    const KeyTile& next = ahead.tile != nullptr ? *ahead.tile : tile;
    const void* places[kTilePanels];
    look_ahead(tile.keys_of_panel, next.keys_of_panel, panels_of(tile.keys), panels_of(next.keys),
               places);
    for (int g = 0; g < count; ++g) {
      const int first = groups[g].first_panel();
      with_rows<(kMaxTileRows < kStageFrom ? kMaxTileRows : kStageFrom - 1)>(
          groups[g].height, groups[g].end_panel() - first,
          ScoreWork<T, true>{q + groups[g].row * dim, dim, tile.keys_of_panel + first,
                             scores + groups[g].row * kTileKeys + first * kPanelKeys,
                             places + first, kPanelKeys * static_cast<int64_t>(sizeof(T))});
    }
    return;
  }
  if constexpr (sizeof(T) == sizeof(float)) {  // 16-bit tiles are staged for many rows
    // Panels outside, row groups inside: a pair of panels stays in the first cache. Meanwhile this
    // fold's part of the next tile's panels is asked for, a line with each step, spread evenly.
    constexpr int kStep = columns_for(kMaxTileRows);
    constexpr int kNextPanels = 2 * kTilePanels;  // of keys, then of values
    const bool asks = ahead.tile != nullptr && ahead.tile->keys == kTileKeys;
    const int panels = panels_of(tile.keys);
    const int first_asked = kNextPanels * ahead.part / ahead.parts;
    const int asked = kNextPanels * (ahead.part + 1) / ahead.parts - first_asked;
    const int slots = (panels + kStep - 1) / kStep * count;
    int slot = 0;
    for (int panel = 0; panel < panels; panel += kStep) {
      for (int g = 0; g < count; ++g, ++slot) {
        const Group& group = groups[g];
        const int needed = group.end_panel() - panel;
        if (needed <= 0 || group.first_panel() >= panel + kStep) continue;
        const float* const rows_of_q = q + group.row * dim;
        const void* const* const keys = tile.keys_of_panel + panel;
        float* const out = scores + group.row * kTileKeys + panel * kPanelKeys;
        const int ask = slot * asked / slots;
        if (asks && ask != (slot + 1) * asked / slots && needed >= kStep &&
            group.height == kMaxTileRows) {
          const int place = first_asked + ask;
          const bool of_keys = place < kTilePanels;
          ScoreWork<T, false, true>{
              rows_of_q,
              dim,
              keys,
              out,
              of_keys ? ahead.tile->keys_of_panel + place
                      : ahead.tile->values_of_panel + (place - kTilePanels),
              row_bytes(of_keys ? ahead.tile->k_dtype : ahead.tile->v_dtype, kPanelKeys)}
              .template run<kMaxTileRows, kStep>(0);
        } else {
          with_rows<kMaxTileRows>(group.height, needed < kStep ? needed : kStep,
                                  ScoreWork<T, false>{rows_of_q, dim, keys, out});
        }
      }
    }
  }
}

}  // namespace regard::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
