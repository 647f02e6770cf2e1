// Random numbers of programs: uniform, independent of every neighbour, the same from the tile
// interpreter on every target and from the evaluation at one point.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <vector>

#include "program/lower.h"
#include "regard/attention_options.h"
#include "regard/error.h"
#include "simd/target.h"

namespace regard {
namespace {

using namespace regard::program;

// Where a tile stands: 48 rows from i, 128 keys from j.
struct At {
  int32_t sequence = 0, head = 0, i = 0, j = 0;
};
constexpr int kNumbers = kFoldRows * kTileKeys;

class Runner {
 public:
  explicit Runner(const Expr& expr) : program_(lower(expr, {})) {
    prepare_tile_program(program_);
    scratch_.resize(static_cast<std::size_t>(tile_program_scratch(program_)));
  }
  std::vector<float> operator()(const At& at, float score = 1) {
    std::vector<int32_t> head(kFoldRows, at.head), query(kFoldRows);
    for (int r = 0; r < kFoldRows; ++r) query[static_cast<std::size_t>(r)] = at.i + r;
    std::vector<float> numbers(kNumbers, score);
    const TilePlace place{0,         at.j,      head.data(), query.data(), query.data(),
                          kFoldRows, kTileKeys, at.sequence};
    run_tile_program(program_, place, numbers.data(), masks_.data(), scratch_.data());
    return numbers;
  }

 private:
  TileProgram program_;
  std::vector<char> scratch_;
  std::vector<uint16_t> masks_ = std::vector<uint16_t>(kFoldRows * kTilePanels);
};

// Tiles at many places, some beside each other and some far away.
std::vector<At> places(int count) {
  std::vector<At> all;
  for (int n = 0; n < count; ++n) {
    all.push_back({n % 3, n / 3 % 4, n / 12 % 5 * kFoldRows, n / 60 * kTileKeys});
  }
  return all;
}

// χ² of counts that should be equal, as standard deviations from its mean.
double excess(const std::vector<int64_t>& counts) {
  double total = 0, chi = 0;
  for (const int64_t count : counts) total += static_cast<double>(count);
  const double expected = total / static_cast<double>(counts.size());
  for (const int64_t count : counts) {
    const double off = static_cast<double>(count) - expected;
    chi += off * off / expected;
  }
  const double freedom = static_cast<double>(counts.size()) - 1;
  return (chi - freedom) / std::sqrt(2 * freedom);
}

TEST(Uniform, IsTheSameNumberEverywhere) {
  const At at{7, 3, 1000, 128 * 900};
  const Expr programs[] = {uniform(1), uniform(0xfedcba9876543210u), dropout(0.3f, 5),
                           dropout(0.9999999f, 5)};
  for (const Expr& program : programs) {
    Evaluator evaluate_at(program);
    std::vector<double> expected;
    for (int n = 0; n < kNumbers; ++n) {
      expected.push_back(evaluate_at({.s = 1,
                                      .head = at.head,
                                      .i = at.i + n / kTileKeys,
                                      .j = at.j + n % kTileKeys,
                                      .sequence = at.sequence}));
    }
    for (const Target target : available_targets()) {
      const ScopedTarget forced(target);
      const std::vector<float> found = Runner(program)(at);
      for (int n = 0; n < kNumbers; ++n) {
        const auto k = static_cast<std::size_t>(n);
        ASSERT_EQ(static_cast<double>(found[k]), expected[k]) << name(target) << " " << n;
      }
    }
  }
}

TEST(Uniform, FillsTheUnitIntervalEvenly) {
  std::vector<int64_t> high(4096), low(4096);
  double sum = 0, squares = 0;
  int64_t count = 0;
  Runner run(uniform(42));
  for (const At& at : places(240)) {
    for (const float u : run(at)) {
      ASSERT_TRUE(u >= 0 && u < 1);
      const auto bits = static_cast<std::size_t>(u * 0x1p24f);
      ASSERT_EQ(static_cast<float>(bits), u * 0x1p24f);
      ++high[bits >> 12];
      ++low[bits & 4095];
      sum += u;
      squares += u * u;
      ++count;
    }
  }
  EXPECT_LT(std::abs(excess(high)), 5);
  EXPECT_LT(std::abs(excess(low)), 5);
  const double mean = sum / static_cast<double>(count);
  EXPECT_NEAR(mean, 0.5, 5 * std::sqrt(1.0 / 12 / static_cast<double>(count)));
  EXPECT_NEAR(squares / static_cast<double>(count) - mean * mean, 1.0 / 12, 5e-4);
}

// Two numbers of neighbours fall into 16 x 16 equal squares, and their bits agree half the time.
void expect_independent(const std::function<std::vector<float>(const At&)>& one,
                        const std::function<std::vector<float>(const At&)>& other) {
  std::vector<int64_t> squares(256), agree(24);
  int64_t count = 0;
  for (const At& at : places(120)) {
    const std::vector<float> a = one(at), b = other(at);
    for (std::size_t n = 0; n < a.size(); ++n) {
      ++squares[static_cast<std::size_t>(a[n] * 16) * 16 + static_cast<std::size_t>(b[n] * 16)];
      const auto same =
          ~(static_cast<uint32_t>(a[n] * 0x1p24f) ^ static_cast<uint32_t>(b[n] * 0x1p24f));
      for (std::size_t bit = 0; bit < 24; ++bit) agree[bit] += same >> bit & 1;
      ++count;
    }
  }
  EXPECT_LT(std::abs(excess(squares)), 5);
  for (const int64_t of_bit : agree) {
    const double half = static_cast<double>(count) / 2;
    EXPECT_LT(std::abs(static_cast<double>(of_bit) - half), 5 * std::sqrt(half / 2));
  }
}

TEST(Uniform, NeighboursAreIndependent) {
  Runner run(uniform(3));
  const std::pair<const char*, At> steps[] = {{"i", {.i = 1}},
                                              {"j", {.j = 1}},
                                              {"i + 16", {.i = 16}},
                                              {"j + 128", {.j = 128}},
                                              {"head", {.head = 1}},
                                              {"sequence", {.sequence = 1}},
                                              {"i and j", {.i = 1, .j = 1}},
                                              {"i and -j", {.i = 1, .j = -1}},
                                              {"head and i", {.head = 1, .i = -1}}};
  for (const auto& [what, step] : steps) {
    SCOPED_TRACE(what);
    expect_independent(run, [&, by = step](const At& at) {
      return run({at.sequence + by.sequence, at.head + by.head, at.i + by.i, at.j + by.j});
    });
  }
}

TEST(Uniform, SeedsAndStreamsAreIndependent) {
  Runner run(uniform(3));
  for (const uint64_t seed :
       {uint64_t{2}, uint64_t{4}, uint64_t{3} << 32, (uint64_t{1} << 32) + 3}) {
    SCOPED_TRACE(seed);
    expect_independent(run, Runner(uniform(seed)));
  }
  // The u of Gumbel noise: exp(-exp(-g)).
  expect_independent(run, Runner(min(exp(-exp(-gumbel_noise(3))), 0.99999994)));
}

// Swapping what stands in different places gives other numbers: nothing is merely added up.
TEST(Uniform, CoordinatesAreNotExchangeable) {
  Runner run(uniform(9));
  const auto swapped = [&](int sequence, int head) {
    return [&run, sequence, head](const At& at) {  // no place twice
      return run({sequence, head, at.i, at.j + 10000 * (at.sequence + 3 * at.head)});
    };
  };
  expect_independent(swapped(1, 2), swapped(2, 1));
  Evaluator evaluate_at(uniform(9));
  int same = 0;
  for (int i = 0; i < 100; ++i) {
    for (int j = 0; j < i; ++j)
      same += evaluate_at({.i = i, .j = j}) == evaluate_at({.i = j, .j = i});
  }
  EXPECT_LT(same, 3);
}

// SPEC S0.19: the key with the largest s + g is a draw from softmax(s).
TEST(GumbelNoise, TheLargestIsADrawFromSoftmax) {
  const std::vector<double> scores = {0.0, 1.0, -2.0, 0.5, 2.0, -0.5, 1.5, -6.0};
  double total = 0;
  for (const double s : scores) total += std::exp(s);
  std::vector<double> frequency(scores.size());
  Runner run(gumbel_noise(11));
  int draws = 0;
  for (const At& at : places(300)) {
    const std::vector<float> noise = run(at);
    for (int first = 0; first < kNumbers; first += 16) {  // eight of 16 neighbours take part
      std::size_t best = 0;
      const auto with_noise = [&](std::size_t n) {
        return scores[n] + noise[static_cast<std::size_t>(first) + n];
      };
      for (std::size_t n = 1; n < scores.size(); ++n) {
        if (with_noise(n) > with_noise(best)) best = n;
      }
      frequency[best] += 1;
      ++draws;
    }
  }
  ASSERT_GT(draws, 100000);
  double distance = 0;
  for (std::size_t n = 0; n < scores.size(); ++n) {
    distance += std::abs(frequency[n] / draws - std::exp(scores[n]) / total) / 2;
  }
  EXPECT_LT(distance, 0.01);
}

TEST(GumbelNoise, IsFiniteAndHasItsMeanAndVariance) {
  constexpr double kEuler = 0.57721566490153286, kVariance = 1.6449340668482264;
  double sum = 0, squares = 0;
  int64_t count = 0;
  Runner run(gumbel_noise(1));
  for (const At& at : places(240)) {
    for (const float g : run(at)) {
      ASSERT_TRUE(std::isfinite(g));
      sum += g;
      squares += static_cast<double>(g) * g;
      ++count;
    }
  }
  const double mean = sum / static_cast<double>(count);
  EXPECT_NEAR(mean, kEuler, 0.005);
  EXPECT_NEAR(squares / static_cast<double>(count) - mean * mean, kVariance, 0.02);
  // In double precision it is the same number but for the rounding of log.
  Evaluator evaluate_at(gumbel_noise(1));
  const std::vector<float> found = run({.i = 5, .j = 256});
  for (int n = 0; n < kNumbers; ++n) {
    const double exact = evaluate_at({.i = 5 + n / kTileKeys, .j = 256 + n % kTileKeys});
    ASSERT_NEAR(found[static_cast<std::size_t>(n)], exact, 2e-6 * (1 + std::abs(exact)));
  }
}

TEST(Dropout, DropsWithItsProbabilityWhereUniformSaysSo) {
  for (const float rate : {0.1f, 0.5f, 0.75f, 1e-7f, 0.99f}) {
    SCOPED_TRACE(rate);
    Runner dropped(dropout(rate, 8)), u(uniform(8));
    int64_t zeros = 0, count = 0;
    for (const At& at : places(120)) {
      const std::vector<float> weights = dropped(at, 0.25f), numbers = u(at);
      for (std::size_t n = 0; n < weights.size(); ++n) {
        const float kept = 0.25f * (1 / (1 - rate));
        ASSERT_EQ(weights[n], numbers[n] >= rate ? kept : 0.0f);
        zeros += weights[n] == 0 ? 1 : 0;
        ++count;
      }
    }
    const double expected = static_cast<double>(count) * rate;
    EXPECT_NEAR(static_cast<double>(zeros), expected, 5 * std::sqrt(expected * (1 - rate)) + 1);
  }
}

TEST(Dropout, AtTheEnds) {
  EXPECT_EQ(to_string(dropout(0, 1)), "s");
  EXPECT_EQ(to_string(dropout(1, 1)), "0.0");
  for (const float rate : {-0.1f, 1.5f, std::nanf("")}) EXPECT_THROW(dropout(rate, 1), Error);
}

}  // namespace
}  // namespace regard
