// The tile interpreter against a plain evaluation of one score at a time: random programs over all
// operations, every target, every edge of a tile; what is out of range; what is refused.
#include "interpreter/program.h"

#include "simd/highway.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "interpreter/program_test.cc"
#include <hwy/foreach_target.h>

#include "simd/math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace regard::HWY_NAMESPACE {

static void sigmoid_array(const float* x, int64_t n, float* out) {
  for (int64_t i = 0; i < n; i += 16) store(sigmoid(load(x + i)), out + i);
}

}  // namespace regard::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "interpreter/random.h"
#include "kernels/bits.h"
#include "regard/error.h"
#include "simd/target.h"

namespace regard {

float plain_sigmoid(float x) {
  const ScopedTarget forced(Target::scalar);
  float in[16], out[16];
  std::fill(in, in + 16, x);
  REGARD_DISPATCH(sigmoid_array)(in, 16, out);
  return out[0];
}

namespace {

// ---- tests ----

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

TEST(TileProgram, ComparisonsAndMinimaWithNaN) {
  const TileOp ops[] = {TileOp::lt, TileOp::le, TileOp::eq, TileOp::ne};
  for (const Target target : available_targets()) {
    const ScopedTarget forced(target);
    for (const float other : {1.0f, kNaN, kInf, -0.0f}) {
      Tile tile(1, 4, 1);
      const float scores[] = {kNaN, 0.0f, 1.0f, -kInf};
      std::copy_n(scores, 4, tile.scores.begin());
      for (const TileOp op : ops) {
        Writer w;
        const int mask = w.op(op, kFull, w.score(), w.constant(other));
        const TileProgram program = w.done(-1, mask);
        const Result got = run(program, tile);
        expect_plain(program, tile, got);
        EXPECT_EQ(got.masks[0] & 1, op == TileOp::ne);
      }
      for (const TileOp op : {TileOp::min, TileOp::max}) {
        for (const bool swapped : {false, true}) {
          Writer w;
          const int s = w.score(), c = w.constant(other);
          const TileProgram program = w.done(w.op(op, kFull, swapped ? c : s, swapped ? s : c));
          const Result got = run(program, tile);
          EXPECT_TRUE(std::isnan(got.scores[0]));
          EXPECT_EQ(std::isnan(got.scores[2]), std::isnan(other));
        }
      }
    }
  }
}

TEST(TileProgram, RealDivisionRoundsAsPython) {
  std::vector<float> values{0.0f, 0.5f, 1.0f, 3.0f, 7.5f, 0.1f, 0.3f, 1e-20f, 1000.0f, 33.3f, 1e6f};
  const std::size_t half = values.size();
  for (std::size_t i = 0; i < half; ++i) values.push_back(-values[i]);
  for (const Target target : available_targets()) {
    const ScopedTarget forced(target);
    for (const float b : values) {
      if (b == 0) continue;
      for (const TileOp op : {TileOp::floor_div, TileOp::mod}) {
        Writer w;
        const TileProgram program = w.done(w.op(op, kFull, w.score(), w.constant(b)));
        Tile tile(1, 128, 1);
        for (std::size_t i = 0; i < values.size(); ++i) tile.scores[i] = values[i];
        const Result got = run(program, tile);
        for (std::size_t i = 0; i < values.size(); ++i) {
          const float a = values[i];
          if (std::abs(a / b) >= 0x1p24f) continue;
          const double rest = python_mod(a, b);
          const double exact = op == TileOp::mod ? rest : std::round((double{a} - rest) / b);
          EXPECT_EQ(got.scores[i], static_cast<float>(exact)) << a << " by " << b;
        }
      }
    }
  }
}

TEST(TileProgram, RealDivisionAtTheEdges) {
  struct Edge {
    float a, b, quotient, rest;
  };
  const Edge edges[] = {{5, kInf, 0, 5},       {-5, kInf, -1, kInf},  {5, -kInf, -1, -kInf},
                        {-5, -kInf, 0, -5},    {5, 0, kInf, kNaN},    {-5, 0, -kInf, kNaN},
                        {0, 0, kNaN, kNaN},    {kInf, 3, kInf, kNaN}, {kInf, kInf, kNaN, kNaN},
                        {kNaN, 2, kNaN, kNaN}, {2, kNaN, kNaN, kNaN}};
  for (const Target target : available_targets()) {
    const ScopedTarget forced(target);
    for (const Edge& edge : edges) {
      for (const TileOp op : {TileOp::floor_div, TileOp::mod}) {
        Writer w;
        const TileProgram program = w.done(w.op(op, kFull, w.score(), w.constant(edge.b)));
        Tile tile(1, 1, 1);
        tile.scores[0] = edge.a;
        const float got = run(program, tile).scores[0];
        const float expected = op == TileOp::mod ? edge.rest : edge.quotient;
        EXPECT_TRUE(got == expected || (std::isnan(got) && std::isnan(expected)))
            << edge.a << " by " << edge.b << ": " << got;
      }
    }
  }
}

// Random reals, special ones too: // and % have one result on all targets.
TEST(TileProgram, RealDivisionHasTheSameBitsOnEveryTarget) {
  std::mt19937 random(9);
  for (const TileOp op : {TileOp::floor_div, TileOp::mod, TileOp::floor}) {
    Writer w;
    const int s = w.score();
    const int other = w.op(TileOp::to_real, kRow, w.query());
    const TileProgram program = w.done(w.op(op, kFull, s, other));
    Tile tile(48, 128, 9);
    for (float& x : tile.scores) {
      if (random() % 2 != 0) x = std::bit_cast<float>(static_cast<uint32_t>(random()));
    }
    tile.query[3] = 0;
    tile.query[4] = -7;
    const Result definition = [&] {
      const ScopedTarget forced(Target::scalar);
      return run(program, tile);
    }();
    for (const Target target : available_targets()) {
      const ScopedTarget forced(target);
      EXPECT_EQ(first_difference(run(program, tile).scores, definition.scores), -1) << name(target);
    }
  }
}

TEST(TileProgram, IntegersAtTheEdges) {
  constexpr int32_t kLeast = std::numeric_limits<int32_t>::min();
  constexpr int32_t kMost = std::numeric_limits<int32_t>::max();
  const std::vector<int32_t> values{0,
                                    1,
                                    -1,
                                    2,
                                    -2,
                                    3,
                                    7,
                                    -7,
                                    31,
                                    32,
                                    33,
                                    64,
                                    kLeast,
                                    kLeast + 1,
                                    kMost,
                                    kMost - 1,
                                    46341,
                                    1 << 24,
                                    (1 << 24) + 1,
                                    -100};
  Writer base;
  base.program.arrays.push_back({values.data(), 1, {static_cast<int64_t>(values.size())}, {1}});
  // Every value (by key) with every other (by row); compared digit by digit, because a real holds
  // 24 bits only.
  for (int op = static_cast<int>(TileOp::iadd); op <= static_cast<int>(TileOp::ixor_shift); ++op) {
    for (const int shift : {0, 16}) {
      Writer w = base;
      const int a = w.op(TileOp::gather_i32, kKey, w.key());
      const int b = w.op(TileOp::gather_i32, kRow, w.query());
      const int made = w.op(static_cast<TileOp>(op), kFull, a, b);
      const int part = w.op(TileOp::iand, kFull, w.op(TileOp::ishr, kFull, made, w.constant(shift)),
                            w.constant(0xffff));
      const TileProgram program = w.done(w.op(TileOp::to_real, kFull, part));
      Tile tile(static_cast<int>(values.size()), static_cast<int>(values.size()), 1);
      tile.first_key = 0;
      for (std::size_t r = 0; r < values.size(); ++r) tile.query[r] = static_cast<int32_t>(r);
      for (const Target target : available_targets()) {
        SCOPED_TRACE(std::to_string(op) + " " + std::string(name(target)));
        const ScopedTarget forced(target);
        expect_plain(program, tile, run(program, tile));
      }
    }
  }
}

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

TEST(TileProgram, SigmoidKeepsItsStatedError) {
  Writer w;
  const TileProgram program = w.done(w.op(TileOp::sigmoid, kFull, w.score()));
  Tile tile(48, 128, 1);
  double worst = 0;
  for (std::size_t i = 0; i < tile.scores.size(); ++i) {
    tile.scores[i] =
        -87.0f + 174.0f * static_cast<float>(i) / static_cast<float>(tile.scores.size());
  }
  const Result got = run(program, tile);
  for (std::size_t i = 0; i < tile.scores.size(); ++i) {
    const double exact = 1 / (1 + std::exp(-double{tile.scores[i]}));
    worst = std::max(worst, std::abs(got.scores[i] / exact - 1));
  }
  EXPECT_LE(worst, 4.5e-7);
  tile.scores[0] = kInf, tile.scores[1] = -kInf, tile.scores[2] = kNaN, tile.scores[3] = -0.0f;
  const Result edges = run(program, tile);
  EXPECT_EQ(edges.scores[0], 1.0f);
  EXPECT_EQ(edges.scores[1], 0.0f);
  EXPECT_TRUE(std::isnan(edges.scores[2]));
  EXPECT_EQ(edges.scores[3], 0.5f);
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
#endif
