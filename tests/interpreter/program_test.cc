// The tile interpreter against a plain evaluation of one score at a time: random programs over all
// operations, every target, every edge of a tile; what is refused. Numbers at their edges are in
// numbers_test.cc, arrays in gather_test.cc.
#include "interpreter/program.h"

#include <gtest/gtest.h>

#include <random>
#include <set>
#include <string>
#include <vector>

#include "interpreter/random.h"
#include "kernels/bits.h"
#include "regard/error.h"
#include "simd/target.h"

namespace regard {
namespace {

TEST(TileProgram, RandomProgramsAgreeWithThePlainEvaluationOnEveryTarget) {
  std::mt19937 random(1);
  for (int n = 0; n < 300; ++n) {
    SCOPED_TRACE(n);
    const TileProgram program = random_program(random, n % 2 != 0);
    const Tile tile(kRowSizes[random() % std::size(kRowSizes)],
                    kKeySizes[random() % std::size(kKeySizes)], random());
    const Result means = plain(program, tile);
    for (const Target target : available_targets()) {
      SCOPED_TRACE(name(target));
      const ScopedTarget forced(target);
      expect_same(tile, means, run(program, tile));
      if (testing::Test::HasFailure()) return;
    }
  }
}

// ALiBi, however it is written and whatever stands before or after it, has the bits of its
// operations one by one.
TEST(TileProgram, ARecognisedDistanceHasTheSameBits) {
  const std::vector<float> slopes{0.5f, 0.25f, 0.125f, -3, 1e30f, 0, -0.0f, kNaN};
  for (int form = 0; form < 64; ++form) {
    const bool reversed = form & 1, subtracts = form & 2, product_turned = form & 4;
    const bool sum_turned = form & 8, by_row = form & 16, again = form & 32;
    SCOPED_TRACE(form);
    Writer w;
    w.program.arrays = {{slopes.data(), 1, {8}, {1}}};
    const int slope = by_row ? w.op(TileOp::gather_f32, kRow, w.head()) : w.constant(0.3f);
    const int cap = by_row ? slope : w.constant(-30.0f);
    const auto alibi = [&](int x) {
      const int j = w.key(), i = w.query();
      const int far = w.op(TileOp::to_real, kFull,
                           w.op(TileOp::isub, kFull, reversed ? i : j, reversed ? j : i));
      const int bias = product_turned ? w.op(TileOp::mul, kFull, slope, far)
                                      : w.op(TileOp::mul, kFull, far, slope);
      if (subtracts) return w.op(TileOp::sub, kFull, x, bias);
      return sum_turned ? w.op(TileOp::add, kFull, bias, x) : w.op(TileOp::add, kFull, x, bias);
    };
    const auto softcap = [&](int x) {
      const int bent = w.op(TileOp::tanh, kFull, w.op(TileOp::div, kFull, x, cap));
      const int y = product_turned ? w.op(TileOp::mul, kFull, cap, bent)
                                   : w.op(TileOp::mul, kFull, bent, cap);
      return again ? w.op(TileOp::add, kFull, y, bent) : y;
    };
    const int score = sum_turned ? softcap(alibi(w.score())) : alibi(softcap(w.score()));
    const TileProgram program = w.done(score, w.op(TileOp::ile, kFull, w.key(), w.query()));
    std::size_t whole_steps = program.prepared.steps.size();
    whole_steps -= static_cast<std::size_t>(program.prepared.tile_steps);
    EXPECT_EQ(whole_steps, again ? 6u : 5u);
    const Tile tile(21, 117, static_cast<uint32_t>(form));
    const Result means = plain(program, tile);
    for (const Target target : available_targets()) {
      SCOPED_TRACE(name(target));
      const ScopedTarget forced(target);
      expect_same(tile, means, run(program, tile));
      if (testing::Test::HasFailure()) return;
    }
  }
}

// Beside score and mask, whatever they vary by, and also where they are the score, old or new.
TEST(TileProgram, FurtherResultsAreWrittenWhereTheCallerWantsThem) {
  std::mt19937 random(2);
  std::set<TileShape> shapes;
  for (int n = 0; n < 300; ++n) {
    SCOPED_TRACE(n);
    const TileProgram program = random_program(random, n % 2 != 0, 1 + n % 6);
    shapes.insert(program.prepared.outputs.begin(), program.prepared.outputs.end());
    const Tile tile(kRowSizes[random() % std::size(kRowSizes)],
                    kKeySizes[random() % std::size(kKeySizes)], random());
    const Result means = plain(program, tile);
    for (const Target target : available_targets()) {
      SCOPED_TRACE(name(target));
      const ScopedTarget forced(target);
      expect_same(tile, means, run(program, tile));
      if (testing::Test::HasFailure()) return;
    }
  }
  EXPECT_EQ(shapes.size(), 4u);
}

TEST(TileProgram, EverySizeOfTile) {
  Writer w;
  const int s = w.score();
  const int i = w.query(), j = w.key();
  const int far = w.op(TileOp::isub, kFull, i, j);
  const int sum = w.op(TileOp::add, kFull, s, w.op(TileOp::to_real, kFull, far));
  const int near = w.op(TileOp::ilt, kFull, far, w.constant(20));
  const int whole = w.op(TileOp::iand, kFull, near, w.op(TileOp::ile, kFull, j, i));
  const TileProgram program = w.done(sum, whole);
  for (const Target target : available_targets()) {
    const ScopedTarget forced(target);
    for (int rows = 1; rows <= kFoldRows; ++rows) {
      const Tile tile(rows, 1 + rows * 53 % kTileKeys, 7);
      expect_plain(program, tile, run(program, tile));
    }
    for (int keys = 1; keys <= kTileKeys; ++keys) {
      const Tile tile(3, keys, 8);
      expect_plain(program, tile, run(program, tile));
    }
  }
}

TEST(TileProgram, ARowAloneIsTheRowInABlock) {
  std::mt19937 random(5);
  const TileProgram program = random_program(random, false);
  const Tile whole(48, 128, 5);
  const Result block = run(program, whole);
  for (int r = 0; r < 48; ++r) {
    Tile alone(1, 128, 0);
    const auto i = static_cast<std::size_t>(r);
    alone.head[0] = whole.head[i], alone.query[0] = whole.query[i], alone.row[0] = whole.row[i];
    std::copy_n(whole.scores.begin() + r * kTileKeys, kTileKeys, alone.scores.begin());
    const Result got = run(program, alone);
    for (std::size_t k = 0; k < kTileKeys; ++k) {
      ASSERT_TRUE(same_bits(got.scores[k], block.scores[i * kTileKeys + k])) << r << " " << k;
    }
    for (std::size_t p = 0; p < kTilePanels; ++p) {
      ASSERT_EQ(got.masks[p], block.masks[i * kTilePanels + p]);
    }
  }
}

TEST(TileProgram, NothingToDoLeavesScoresAndAllowsEveryKey) {
  for (const bool names_score : {false, true}) {
    Writer w;
    const int s = w.score();
    const TileProgram program = w.done(names_score ? s : -1);
    const Tile tile(5, 37, 3);
    const Result got = run(program, tile);
    EXPECT_EQ(first_difference(got.scores, tile.scores), -1);
    for (std::size_t r = 0; r < 5; ++r) {
      const uint16_t expected[] = {0xffff, 0xffff, 0x1f, 0, 0, 0, 0, 0};
      for (std::size_t p = 0; p < 8; ++p) EXPECT_EQ(got.masks[r * 8 + p], expected[p]);
    }
  }
}

TEST(TileProgram, TheOldScoreIsReadAfterTheNewOneIsKnown) {
  Writer w;
  const int s = w.score();
  const int twice = w.op(TileOp::add, kFull, s, s);
  const int mask = w.op(TileOp::lt, kFull, s, w.constant(0.0f));
  const TileProgram program = w.done(twice, mask);
  const Tile tile(7, 128, 4);
  expect_plain(program, tile, run(program, tile));
}

TEST(TileProgram, ConstantsServeAsScoreAndMask) {
  for (const int32_t mask : {0, -1}) {
    Writer w;
    const int score = w.constant(1.5f);
    const TileProgram program = w.done(score, w.constant(mask));
    const Tile tile(13, 45, 4);
    expect_plain(program, tile, run(program, tile));
  }
}

// ---- what is refused ----

void expect_refused(const Writer& w, const char* part, int score = -1, int mask = -1) {
  TileProgram program = w.program;
  program.score = score;
  program.mask = mask;
  try {
    prepare_tile_program(program);
    ADD_FAILURE() << part;
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::invalid_argument);
    EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
  }
}

TEST(TileProgram, RefusesWhatHasNoMeaning) {
  Writer w;
  const int s = w.score(), j = w.key(), i = w.query();
  expect_refused(w, "score is slot 9", 9);
  expect_refused(w, "mask (slot 0) is not a truth value", -1, s);
  expect_refused(w, "score (slot 1) is not a real", j);
  for (const int slot : {-1, 9, w.op(TileOp::ile, kFull, j, i)}) {
    Writer bad = w;
    bad.program.outputs.push_back(slot);
    expect_refused(bad, slot < 0    ? "output has no slot"
                        : slot == 9 ? "output is slot 9"
                                    : "number");
  }
  const auto refused = [&](auto&& write, const char* part) {
    Writer bad = w;
    write(bad);
    expect_refused(bad, part);
  };
  refused([&](Writer& b) { b.op(TileOp::add, kFull, s, j); },
          "(add) cannot read the type of slot 1");
  refused([&](Writer& b) { b.op(TileOp::iadd, kKey, j, i); }, "(iadd) is narrower than slot 2");
  refused([&](Writer& b) { b.op(TileOp::add, kFull, s, 7); }, "reads slot 7, which nothing wrote");
  refused([&](Writer& b) { b.op(TileOp::select, kFull, j, s, s); }, "(select) cannot read");
  refused(
      [&](Writer& b) {
        const int yes = b.op(TileOp::ile, kFull, j, i);
        b.op(TileOp::select, kFull, yes, s, j);
      },
      "(select) mixes types");
  refused(
      [&](Writer& b) {
        const int yes = b.op(TileOp::ile, kFull, j, i);
        b.op(TileOp::iand, kFull, yes, j);
      },
      "(iand) mixes types");
  refused([&](Writer& b) { b.op(TileOp::gather_f32, kKey, j); }, "reads array 0 of 0");
  refused(
      [&](Writer& b) {
        b.program.arrays.push_back({nullptr, 5, {}, {}});
        b.op(TileOp::gather_f32, kKey, j);
      },
      "has rank 5");
  refused([&](Writer& b) { b.op(static_cast<TileOp>(200), kKey, j); }, "is none");
  refused([&](Writer& b) { b.op(TileOp::load_key, kRow); }, "load_key's shape is too narrow");
}

}  // namespace
}  // namespace regard
