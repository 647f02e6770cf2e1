// How programs read captured arrays: every pattern of places, inside and outside.
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "interpreter/random.h"
#include "simd/target.h"

namespace regard {
namespace {

// Sixteen places may ascend, descend, be one or lie anywhere, inside the array or partly outside,
// by row, by key or by both.
TEST(TileProgram, GathersEveryPatternOfPlaces) {
  const auto by_key = [](Writer& w, int pattern) {
    const int j = w.op(TileOp::isub, kKey, w.key(), w.constant(128));  // 0 .. 127
    const auto with = [&](TileOp op, int value) { return w.op(op, kKey, j, w.constant(value)); };
    switch (pattern) {
      case 0:
        return j;
      case 1:
        return w.op(TileOp::isub, kKey, w.constant(127), j);
      case 2:
        return with(TileOp::ishr, 5);
      case 3:
        return with(TileOp::imod, 7);
      case 4:
        return with(TileOp::isub, 40);  // below the array at first
      case 5:
        return with(TileOp::iadd, 60);  // beyond it at last
      default:
        return with(TileOp::imin, 20);
    }
  };
  std::vector<float> reals(150 * 150);
  std::vector<int32_t> integers(reals.size());
  std::vector<uint8_t> truths(reals.size());
  for (std::size_t n = 0; n < reals.size(); ++n) {
    reals[n] = static_cast<float>(n);
    integers[n] = static_cast<int32_t>(3 * n);
    truths[n] = static_cast<uint8_t>(n * 7 % 5 == 0 ? n % 200 + 1 : 0);
  }
  const TileOp gathers[] = {TileOp::gather_f32, TileOp::gather_i32, TileOp::gather_bool};
  const void* const data[] = {reals.data(), integers.data(), truths.data()};
  for (int kind = 0; kind < 3; ++kind) {
    for (int pattern = 0; pattern < 7; ++pattern) {
      for (const bool both : {false, true}) {
        for (const int64_t stride : {1, -1, 0}) {
          SCOPED_TRACE(testing::Message()
                       << kind << " " << pattern << " " << both << " " << stride);
          Writer w;
          const char* const base = static_cast<const char*>(data[kind]);
          w.program.arrays.push_back(
              {base + (stride < 0 ? 149 * (kind == 2 ? 1 : 4) : 0), 2, {140, 150}, {150, stride}});
          // Rows beyond 140 lie outside.
          const int row = w.op(TileOp::isub, kRow, w.query(), w.constant(100));
          int column = by_key(w, pattern);
          if (both)
            column = w.op(TileOp::iadd, kFull, column,
                          w.op(TileOp::iand, kRow, w.query(), w.constant(3)));
          const int found = w.op(gathers[kind], kFull, row, column);
          const bool truth = kind == 2;
          const int score = kind == 0   ? found
                            : kind == 1 ? w.op(TileOp::to_real, kFull, found)
                                        : w.score();
          const TileProgram program = w.done(score, truth ? found : -1);
          const Tile tile(17, 117, 9);
          const Result means = plain(program, tile);
          for (const Target target : available_targets()) {
            SCOPED_TRACE(name(target));
            const ScopedTarget forced(target);
            expect_same(tile, means, run(program, tile));
            if (testing::Test::HasFailure()) return;
          }
        }
      }
    }
  }
}

TEST(TileProgram, AnIndexOutOfRangeOfRealsIsNaNAndCanBeSelectedAway) {
  Writer w;
  w.program.arrays = {{arrays().reals.data(), 1, {140}, {1}}};
  const int s = w.score(), j = w.key();
  const int inside = w.op(TileOp::ilt, kKey, j, w.constant(140));
  const int found = w.op(TileOp::gather_f32, kKey, j);
  const int score = w.op(TileOp::select, kFull, inside, found, s);
  for (const Target target : available_targets()) {
    const ScopedTarget forced(target);
    const Tile tile(3, 64, 2);  // keys 128 .. 191
    const Result bare = run(Writer(w).done(found), tile);
    EXPECT_FALSE(std::isnan(bare.scores[11]));
    EXPECT_TRUE(std::isnan(bare.scores[12]));
    const TileProgram chosen = Writer(w).done(score);
    expect_plain(chosen, tile, run(chosen, tile));
  }
}

TEST(TileProgram, AnIndexOutOfRangeOfIntegersSpoilsItsLanesForGood) {
  for (const TileOp op : {TileOp::gather_i32, TileOp::gather_bool}) {
    for (const TileShape shape : {kOne, kRow, kKey, kFull}) {
      Writer w;
      w.program.arrays.push_back({op == TileOp::gather_i32
                                      ? static_cast<const void*>(arrays().integers.data())
                                      : arrays().truths.data(),
                                  1,
                                  {140},
                                  {1}});
      const int index = shape == kOne   ? w.op(TileOp::load_batch, kOne)
                        : shape == kRow ? w.query()
                        : shape == kKey ? w.key()
                                        : w.op(TileOp::isub, kFull, w.key(), w.query());
      const int found = w.op(op, shape, index);
      // Never true, and its score is not taken: the lane shows all the same.
      const int two = w.op(TileOp::ine, shape, found, found);
      const int never =
          w.op(TileOp::iand, kFull, two, w.op(TileOp::ile, kFull, w.key(), w.query()));
      const TileProgram program = w.done(w.constant(1.0f), never);
      for (const Target target : available_targets()) {
        const ScopedTarget forced(target);
        for (const int rows : {1, 17, 48}) {
          Tile tile(rows, 61, 2);
          for (const int32_t batch : {3, 140, -1}) {
            tile.batch = batch;
            expect_plain(program, tile, run(program, tile));
          }
        }
      }
    }
  }
}

TEST(TileProgram, EmptyArraysAndFarStridesAreNeverReadAstray) {
  const float only = 2.5f;
  for (const Target target : available_targets()) {
    const ScopedTarget forced(target);
    const Tile tile(3, 40, 2);
    {
      Writer w;
      w.program.arrays.push_back({nullptr, 2, {0, 5}, {5, 1}});
      const int found = w.op(TileOp::gather_f32, kFull, w.query(), w.key());
      for (const float x : {run(w.done(found), tile).scores[0]}) EXPECT_TRUE(std::isnan(x));
    }
    // Extents of one reach nothing, whatever their strides; offsets beyond 31 bits are exact.
    const int64_t far = int64_t{1} << 40;
    Writer w;
    w.program.arrays.push_back({&only, 2, {1, 1}, {far, -far}});
    const int zero = w.constant(0);
    const int found = w.op(TileOp::gather_f32, kOne, zero, zero);
    EXPECT_EQ(run(w.done(found), tile).scores[0], 2.5f);
    // index 1 and index 1: the two strides cancel out.
    Writer v;
    v.program.arrays.push_back({&only, 2, {2, 2}, {far, -far}});
    const int one = v.constant(1);
    EXPECT_EQ(run(v.done(v.op(TileOp::gather_f32, kFull, one, one)), tile).scores[0], 2.5f);
    Writer rankless;
    rankless.program.arrays.push_back({&only, 0, {}, {}});
    EXPECT_EQ(run(rankless.done(rankless.op(TileOp::gather_f32, kOne)), tile).scores[39], 2.5f);
  }
}

}  // namespace
}  // namespace regard
