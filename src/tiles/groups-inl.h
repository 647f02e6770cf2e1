// What the forward and the backward kernel share: rows in groups as tall as the matmul tile, and
// the choice of the tile's shape.
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

// A group of rows that go through the tile together, and how many keys they see.
struct Group {
  int row, height;
  int most, least;
};
static HWY_MAYBE_UNUSED int group_rows(int rows, const int32_t* visible, Group* groups) {
  int count = 0;
  for (int row = 0; row < rows; row += kMaxTileRows) {
    Group& group = groups[count++];
    group = {row, rows - row < kMaxTileRows ? rows - row : kMaxTileRows, 0, kTileKeys};
    for (int r = row; r < row + group.height; ++r) {
      group.most = visible[r] > group.most ? visible[r] : group.most;
      group.least = visible[r] < group.least ? visible[r] : group.least;
    }
  }
  return count;
}
constexpr int panels_of(int keys) { return (keys + kPanelKeys - 1) / kPanelKeys; }

}  // namespace regard::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
