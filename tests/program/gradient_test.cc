// What the backward pass gets for a program: value, derivatives and places, for every score of a
// tile what the symbolic derivatives give in double precision.
#include "program/gradient.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "regard/error.h"

namespace regard {
namespace {

using namespace regard::program;

constexpr int kRows = 20, kKeys = 77;

struct Tile {
  std::vector<int32_t> head, query, row;
  std::vector<float> scores;

  Tile() {
    for (int r = 0; r < kRows; ++r) {
      head.push_back(r % 4);
      query.push_back(100 + r);
      row.push_back(r);
    }
    for (int n = 0; n < kRows * kTileKeys; ++n) {
      scores.push_back(static_cast<float>(n * 37 % 101 - 50) * 0.0625f);
    }
  }
  TilePlace place() const {
    return {1, 64, head.data(), query.data(), row.data(), kRows, kKeys, 5};
  }
  Point point(int r, int k) const {
    const auto at = static_cast<std::size_t>(r);
    return {.s = scores[at * kTileKeys + static_cast<std::size_t>(k)],
            .batch = 1,
            .head = head[at],
            .i = query[at],
            .j = 64 + k,
            .row = row[at],
            .sequence = 5};
  }
};

struct Ran {
  std::vector<float> scores;
  std::vector<uint16_t> masks = std::vector<uint16_t>(kRows * kTilePanels);
  std::vector<std::vector<float>> outputs;
  const GradientProgram& gradient;

  Ran(const GradientProgram& of, const Tile& tile) : scores(tile.scores), gradient(of) {
    std::vector<void*> places;
    for (const TileShape shape : of.program.prepared.outputs) {
      outputs.emplace_back(static_cast<std::size_t>(tile_output(shape, kRows).size));
    }
    for (std::vector<float>& output : outputs) places.push_back(output.data());
    std::vector<char> scratch(static_cast<std::size_t>(tile_program_scratch(of.program)));
    run_tile_program(of.program, tile.place(), scores.data(), masks.data(), scratch.data(),
                     places.data());
  }
  float real(int output, int r, int k) const {
    const auto n = static_cast<std::size_t>(output);
    const TileOutput of = tile_output(gradient.program.prepared.outputs[n], kRows);
    return outputs[n][static_cast<std::size_t>(r * of.row_step + k * of.key_step)];
  }
  int32_t integer(int output, int r, int k) const {
    const float number = real(output, r, k);
    int32_t value;
    std::memcpy(&value, &number, sizeof value);
    return value;
  }
};

void expect_near(double found, double expected) {
  ASSERT_NEAR(found, expected, 1e-5 * (1 + std::abs(expected)));
}

// Every differentiable array of the program is wanted.
void expect_derivatives(const Expr& score, const std::vector<Array>& wanted) {
  SCOPED_TRACE(to_string(score));
  const Expr mask = causal_mask() & (key() != 70);
  const GradientProgram gradient = lower_gradient(score, mask, wanted);
  const std::vector<ArrayDerivative> elements = array_derivatives(score);
  ASSERT_EQ(gradient.elements.size(), elements.size());
  const Tile tile;
  const Ran ran(gradient, tile);
  for (int r = 0; r < kRows; ++r) {
    for (int k = 0; k < kKeys; ++k) {
      const Point point = tile.point(r, k);
      expect_near(ran.scores[static_cast<std::size_t>(r * kTileKeys + k)], evaluate(score, point));
      const double by_score = gradient.derivative < 0 ? 1 : ran.real(gradient.derivative, r, k);
      expect_near(by_score, evaluate(derivative(score), point));
      for (std::size_t n = 0; n < elements.size(); ++n) {
        EXPECT_EQ(gradient.elements[n].array, elements[n].array);
        expect_near(ran.real(gradient.elements[n].derivative, r, k),
                    evaluate(elements[n].derivative, point));
        for (std::size_t axis = 0; axis < elements[n].index.size(); ++axis) {
          ASSERT_EQ(ran.integer(gradient.elements[n].index[axis], r, k),
                    evaluate(elements[n].index[axis], point));
        }
      }
      const bool allowed =
          ran.masks[static_cast<std::size_t>(r * kTilePanels + k / 16)] >> k % 16 & 1;
      ASSERT_EQ(allowed, evaluate(mask, point) == 1);
    }
  }
}

TEST(GradientProgram, HoldsForTheScoresOfPapers) {
  const Array slopes = Array::of("slopes", alibi_slopes(4), {}, true);
  const Array bias =
      Array::of("bias", std::vector<float>(kRows * 200, 0.5f), {1, kRows, 200}, true);
  const Array table = Array::of("table", std::vector<float>(32 * 4, 0.25f), {32, 4}, true);
  const Array far = Array::of("far", std::vector<float>(4 * 33, 0.75f), {4, 33}, true);
  expect_derivatives(alibi(slopes), {slopes});
  expect_derivatives(softcap(2), {});
  expect_derivatives(softcap(2, alibi(slopes)), {slopes});
  expect_derivatives(alibi(slopes, softcap(2)), {slopes});
  expect_derivatives(additive_bias(bias), {bias});
  expect_derivatives(t5_bias(table, 32, 128, true), {table});
  expect_derivatives(relative_position(far, softcap(3)), {far});
  expect_derivatives(slopes(head()) * score() * slopes(mod(key(), 4)), {slopes});
}

TEST(GradientProgram, ElementsVaryNoFurtherThanTheyMust) {
  const Array slopes = Array::of("slopes", alibi_slopes(4), {}, true);
  const GradientProgram gradient = lower_gradient(alibi(slopes), {}, {&slopes, 1});
  ASSERT_EQ(gradient.elements.size(), 1u);
  EXPECT_EQ(gradient.derivative, -1);  // s + something: 1 everywhere
  const auto shape = [&](int output) {
    return gradient.program.prepared.outputs[static_cast<std::size_t>(output)];
  };
  EXPECT_EQ(shape(gradient.elements[0].index[0]), TileShape::row);
  EXPECT_EQ(shape(gradient.elements[0].derivative), TileShape::full);
}

TEST(GradientProgram, LeavesOutArraysThatNobodyWants) {
  const Array slopes = Array::of("slopes", alibi_slopes(4), {}, true);
  const Array others = Array::of("others", alibi_slopes(4), {}, true);
  const GradientProgram gradient =
      lower_gradient(alibi(slopes, others(head()) * score()), {}, {&slopes, 1});
  ASSERT_EQ(gradient.elements.size(), 1u);
  EXPECT_EQ(gradient.elements[0].array, slopes);
  EXPECT_GE(gradient.derivative, 0);
}

// A weight program is no other: its leaf is p.
TEST(GradientProgram, HoldsForWeightPrograms) {
  expect_derivatives(where((query() + key()) % 3 == 0, weight() * 1.25, 0.0), {});
  expect_derivatives(weight() * weight() + 0.5 * weight(), {});
}

TEST(GradientProgram, OfNothingHasNothing) {
  const GradientProgram gradient = lower_gradient({}, {}, {});
  EXPECT_EQ(gradient.derivative, -1);
  EXPECT_TRUE(gradient.elements.empty());
  EXPECT_TRUE(gradient.program.prepared.steps.empty());
}

}  // namespace
}  // namespace regard
