// Weights from all scores of a row, and a fold's own: against the formula, and the same bits on
// every target and however masked keys are left out.
#include "tiles/weights.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "interpreter/program.h"
#include "simd/target.h"

namespace regard {
namespace {

constexpr float kNone = -std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
const std::vector<Weighing> kAll{Weighing::softmax, Weighing::sigmoid,   Weighing::relu,
                                 Weighing::hardmax, Weighing::sparsemax, Weighing::entmax15};

std::vector<float> random_scores(int tiles, int seed) {
  std::mt19937 random(static_cast<unsigned>(seed));
  std::vector<float> scores(static_cast<std::size_t>(tiles * kTileKeys));
  for (float& s : scores) {
    s = static_cast<float>(random() % 2000) / 500 - 2;
    if (random() % 3 == 0) s = kNone;
  }
  return scores;
}

std::vector<int32_t> first_keys(int tiles) {
  std::vector<int32_t> keys;
  for (int t = 0; t < tiles; ++t) keys.push_back(t * kTileKeys);
  return keys;
}

std::vector<float> weights_of(Weighing weighing, const std::vector<float>& scores,
                              const std::vector<int32_t>& keys) {
  const int tiles = static_cast<int>(keys.size());
  const WeightStatistics found = weight_statistics(weighing, {scores.data(), keys.data(), tiles});
  std::vector<float> weights = scores;
  for (int t = 0; t < tiles; ++t) {
    weigh_scores(weighing, 1, &found.m, &found.l, keys[static_cast<std::size_t>(t)],
                 weights.data() + t * kTileKeys);
  }
  return weights;
}

TEST(Weights, AreTheFormulaOnEveryTarget) {
  for (const Target target : available_targets()) {
    const ScopedTarget scope(target);
    for (const int tiles : {1, 2, 5}) {
      const std::vector<float> scores = random_scores(tiles, tiles);
      const auto keys = first_keys(tiles);
      const std::vector<float> soft = weights_of(Weighing::softmax, scores, keys);
      double sum = 0;
      for (const float s : scores) sum += std::exp(static_cast<double>(s));
      for (std::size_t j = 0; j < scores.size(); ++j) {
        EXPECT_NEAR(soft[j], std::exp(static_cast<double>(scores[j])) / sum, 4e-7);
      }
      for (const Weighing weighing :
           {Weighing::relu, Weighing::hardmax, Weighing::sparsemax, Weighing::entmax15}) {
        double total = 0;
        for (const float p : weights_of(weighing, scores, keys)) total += p;
        EXPECT_NEAR(total, 1, 2e-6) << static_cast<int>(weighing);
      }
      const std::vector<float> each = weights_of(Weighing::sigmoid, scores, keys);
      for (std::size_t j = 0; j < scores.size(); ++j) {
        EXPECT_NEAR(each[j], 1 / (1 + std::exp(-static_cast<double>(scores[j]))), 2e-7);
      }
    }
  }
}

TEST(Weights, HaveTheSameBitsOnEveryTargetAndWithoutEmptyTiles) {
  std::vector<float> scores = random_scores(9, 7);
  std::fill(scores.begin() + 3 * kTileKeys, scores.begin() + 5 * kTileKeys, kNone);
  const auto keys = first_keys(9);
  std::vector<float> short_scores = scores;
  short_scores.erase(short_scores.begin() + 3 * kTileKeys, short_scores.begin() + 5 * kTileKeys);
  auto short_keys = keys;
  short_keys.erase(short_keys.begin() + 3, short_keys.begin() + 5);
  for (const Weighing weighing : kAll) {
    std::vector<float> first;
    for (const Target target : available_targets()) {
      const ScopedTarget scope(target);
      std::vector<float> found = weights_of(weighing, scores, keys);
      if (first.empty()) first = found;
      EXPECT_EQ(found, first) << static_cast<int>(weighing) << name(target);
      found.erase(found.begin() + 3 * kTileKeys, found.begin() + 5 * kTileKeys);
      EXPECT_EQ(weights_of(weighing, short_scores, short_keys), found);
    }
  }
}

TEST(Weights, OfARowWithoutKeysAreZerosAndANanShows) {
  std::vector<float> scores(2 * kTileKeys, kNone);
  for (const Weighing weighing : kAll) {
    for (const float p : weights_of(weighing, scores, first_keys(2))) EXPECT_EQ(p, 0.0f);
  }
  scores[3] = 1;
  scores[140] = kNan;
  for (const Weighing weighing : kAll) {
    const std::vector<float> p = weights_of(weighing, scores, first_keys(2));
    EXPECT_TRUE(std::isnan(p[140])) << static_cast<int>(weighing);
    EXPECT_EQ(std::isnan(p[3]), weighing != Weighing::sigmoid);
    EXPECT_EQ(p[4], 0.0f);  // a masked key has no weight in any row
  }
}

// One fold with runs of keys, one with all keys in sight and a program's bits.
TEST(Fold, ARunOfKeysIsTheMaskOfThoseKeys) {
  constexpr int kRows = 23, kDim = 16;
  std::mt19937 random(5);
  const auto number = [&] { return static_cast<float>(random() % 2001) / 1000 - 1; };
  std::vector<float> q(48 * kDim), panels(128 * kDim), values(128 * 16), rows_of_q(kRows * kDim);
  for (auto* numbers : {&panels, &values, &rows_of_q}) {
    for (float& x : *numbers) x = number();
  }
  KeyTile tile;
  tile.keys = 121;
  tile.value_step = 16;
  for (int p = 0; p < kTilePanels; ++p) {
    tile.keys_of_panel[p] = panels.data() + p * 16 * kDim;
    tile.values_of_panel[p] = values.data() + p * 16 * 16;
  }
  KeySpan spans[kRows], all[kRows];
  std::vector<int32_t> first(kRows), end(kRows), row(kRows);
  for (int r = 0; r < kRows; ++r) {
    first[r] = static_cast<int32_t>(random() % 125);
    end[r] = static_cast<int32_t>(random() % 122);
    row[r] = r;
    spans[r] = first[r] < end[r] ? KeySpan{first[r], end[r]} : KeySpan{};
    all[r] = {0, tile.keys};
  }
  TileProgram program;  // first[row] <= j < end[row]
  program.arrays = {{first.data(), 1, {kRows}, {1}}, {end.data(), 1, {kRows}, {1}}};
  program.code = {
      {.op = TileOp::load_row, .shape = TileShape::row, .to = 0},
      {.op = TileOp::gather_i32, .shape = TileShape::row, .to = 1, .a = 0, .array = 0},
      {.op = TileOp::gather_i32, .shape = TileShape::row, .to = 2, .a = 0, .array = 1},
      {.op = TileOp::load_key, .shape = TileShape::key, .to = 3},
      {.op = TileOp::ile, .shape = TileShape::full, .to = 4, .a = 1, .b = 3},
      {.op = TileOp::ilt, .shape = TileShape::full, .to = 5, .a = 3, .b = 2},
      {.op = TileOp::iand, .shape = TileShape::full, .to = 6, .a = 4, .b = 5},
  };
  program.slots = 7;
  program.mask = 6;
  prepare_tile_program(program);
  std::vector<std::byte> scratch(static_cast<std::size_t>(tile_program_scratch(program)));
  std::vector<uint16_t> allowed(kFoldRows * kTilePanels);
  Scoring scoring{&program, {}, allowed.data(), scratch.data()};
  scoring.place.row = row.data();
  scoring.place.rows = kRows;
  scoring.place.keys = tile.keys;

  for (const Target target : available_targets()) {
    const ScopedTarget scope(target);
    const float* pointers[kRows];
    for (int r = 0; r < kRows; ++r) pointers[r] = rows_of_q.data() + r * kDim;
    pack_queries(pointers, 1, kRows, kDim, 0.25f, q.data());
    for (const Weighing weighing :
         {Weighing::softmax, Weighing::sigmoid, Weighing::relu, Weighing::hardmax}) {
      std::vector<float> found[2];
      for (const bool masked : {false, true}) {
        std::vector<float> memory(32 + 32 * 16 + 32 * 16), scores(kFoldRows * kTileKeys + 512);
        const FoldState state{memory.data(), memory.data() + 32, memory.data() + 32 + 512, 16};
        const FoldRows rows{.q = q.data(),
                            .dim = kDim,
                            .rows = kRows,
                            .seen = masked ? all : spans,
                            .weighing = weighing,
                            .scoring = masked ? &scoring : nullptr,
                            .scores = scores.data()};
        fold_tile(rows, tile, {}, true, state);
        fold_tile(rows, tile, {}, false, state);
        for (int r = 0; r < kRows; ++r) {
          found[masked].push_back(state.m[r]);
          for (int i = 0; i < 16; ++i) found[masked].push_back(state.l[16 * r + i]);
          for (int i = 0; i < 16; ++i) found[masked].push_back(state.o[16 * r + i] + 0.0f);
        }
      }
      EXPECT_EQ(std::memcmp(found[0].data(), found[1].data(), found[0].size() * sizeof(float)), 0)
          << name(target) << " " << static_cast<int>(weighing);
    }
  }
}

}  // namespace
}  // namespace regard
