// Which keys rows may use: spans against the band's own rule, walks against every pair.
#include "plan/sight.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace regard {
namespace {

using namespace regard::program;

Setting setting_of(const Expr& mask, const Segment& segment, int64_t group = 1) {
  Setting setting;
  setting.shape = {.heads = group, .kv_heads = 1, .dim = 8, .dim_v = 8, .dim_k = 8};
  setting.group = group;
  setting.recipe = make_recipe({.mask = mask}, group, 8, 8);
  setting.programs = Programs(setting.recipe, false);
  setting.segments = {segment};
  const bool banded = setting.programs.see(setting.recipe, setting.segments, group);
  setting.band = banded ? setting.recipe.band : Band{};
  setting.programs.read_arrays();
  return setting;
}

bool allowed(const Expr& mask, const Segment& segment, int64_t row, int64_t key) {
  const int64_t i = first_position(segment) + row;
  return mask.empty() || evaluate(mask, {.i = i, .j = key, .row = row}) != 0;
}

TEST(RowsSight, SpansAreTheBandOfEachRow) {
  const Segment segment{.rows = 70, .keys = 300};
  for (const Expr& mask :
       {full(), causal(), causal(Align::top_left), window(40, 3), window(5, -2),
        causal_mask() & window(200, 0), key() < 130, key() >= 131, window(-400, 0)}) {
    for (const int64_t group : {1, 3}) {
      const Setting setting = setting_of(mask, segment, group);
      const RowsSight sight(setting, 0, 0);
      for (int64_t first = 0; first < 70 * group; first += 48) {
        const int64_t count = std::min<int64_t>(48, 70 * group - first);
        for (int64_t tile = 0; tile < 300; tile += 128) {
          const KeyRun keys{tile, std::min<int64_t>(tile + 128, 300)};
          KeySpan seen[48];
          sight.spans(first, count, sight.reach(first, count), tile, keys, seen);
          for (int64_t r = 0; r < count; ++r) {
            for (int64_t key = keys.first; key < keys.end; ++key) {
              const bool sees = key - tile >= seen[r].first && key - tile < seen[r].end;
              ASSERT_EQ(sees, allowed(mask, segment, (first + r) / group, key))
                  << "row " << first + r << " key " << key;
            }
          }
        }
      }
    }
  }
}

// No tile is left out that some row needs, and few are visited that nobody needs.
TEST(TileWalk, VisitsTheTilesThatSomebodySees) {
  const int64_t keys = 9000;
  std::vector<int32_t> ids(keys);
  for (int64_t j = 0; j < keys; ++j) ids[j] = static_cast<int32_t>(j / 700);
  const Array ids_of = Array::of("ids", ids);
  for (const Expr& mask : {causal(), window(300, 0), documents(ids_of),
                           documents(ids_of) & causal_mask(), key() == query()}) {
    const Segment segment{.rows = 3000, .keys = keys};
    const Setting setting = setting_of(mask, segment);
    const RowsSight sight(setting, 0, 0);
    std::vector<Interval> scratch(setting.programs.bounds_size());
    for (const int64_t first : {0, 384, 2976}) {
      const int64_t count = std::min<int64_t>(384, 3000 - first);
      std::vector<Sight> said(static_cast<std::size_t>(keys / 128 + 1), Sight::none);
      TileWalk walk(sight, first, count, 0, keys, scratch);
      int64_t before = -1;
      for (TileVisit visit = walk.next(); visit.key >= 0; visit = walk.next()) {
        EXPECT_GT(visit.key, before);
        before = visit.key;
        said[static_cast<std::size_t>(visit.key / 128)] = visit.sight;
      }
      Evaluator evaluator(mask);
      for (int64_t row = first; row < first + count; row += 37) {
        for (int64_t key = 0; key < keys; ++key) {
          if (evaluator({.i = first_position(segment) + row, .j = key, .row = row}) != 0) {
            ASSERT_NE(said[static_cast<std::size_t>(key / 128)], Sight::none)
                << to_string(mask) << " row " << row << " key " << key;
          }
        }
      }
      const auto visited =
          std::count_if(said.begin(), said.end(), [](Sight s) { return s != Sight::none; });
      const bool is_causal = to_string(mask) == to_string(causal());
      EXPECT_LE(visited, is_causal ? 71 : 18) << to_string(mask);
    }
  }
}

TEST(RowsSight, NarrowsATileToWhatSomebodySees) {
  std::vector<int32_t> ids(256, 0);
  std::fill(ids.begin() + 70, ids.end(), 1);
  const Expr mask = documents(Array::of("ids", ids));
  const Setting setting = setting_of(mask, {.rows = 256, .keys = 256});
  const RowsSight sight(setting, 0, 0);
  std::vector<Interval> scratch(setting.programs.bounds_size());
  KeyRun keys{0, 128};
  EXPECT_EQ(sight.narrow(0, 48, keys, scratch), Sight::some);  // 64 .. 69 are theirs, too
  EXPECT_EQ(keys.first, 0);
  keys = {0, 128};
  EXPECT_EQ(sight.narrow(96, 48, keys, scratch), Sight::some);
  EXPECT_EQ(keys.first, 64);
  EXPECT_EQ(keys.end, 128);
  keys = {128, 256};
  EXPECT_EQ(sight.narrow(96, 48, keys, scratch), Sight::all);
  keys = {128, 256};
  EXPECT_EQ(sight.narrow(0, 48, keys, scratch), Sight::none);
}

}  // namespace
}  // namespace regard
