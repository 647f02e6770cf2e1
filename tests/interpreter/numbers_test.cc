// What the tile interpreter's operations give at the edges of their numbers.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "interpreter/random.h"
#include "regard/error.h"
#include "simd/target.h"

namespace regard {
namespace {

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

}  // namespace
}  // namespace regard
