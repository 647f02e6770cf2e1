#include "inspect/metrics.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numeric>

namespace regard::inspect {
namespace {

constexpr float kMasked = -std::numeric_limits<float>::infinity();

// A row as the kernel gives it, from its scores.
RowOfMap row_of(std::vector<float> scores) {
  double most = -1e300, sum = 0;
  for (const float s : scores) most = std::max(most, double{s});
  for (const float s : scores) sum += std::exp(s - most);
  RowOfMap row{.scores = scores, .weights = {}, .lse = static_cast<float>(most + std::log(sum))};
  for (const float s : scores) {
    row.weights.push_back(static_cast<float>(std::exp(s - most) / sum));
  }
  return row;
}

double ratio(const RowOfMap& row) {
  return *entropy_ratio(entropy(row.scores, row.weights, row.lse), std::ssize(row.scores));
}

TEST(Entropy, IsOneShareOfTheMostWhenAllKeysAreAlike) {
  for (const std::size_t keys : {2u, 3u, 10u, 129u, 4096u}) {
    for (const float score : {0.0f, -3.5f, 7.0f}) {
      EXPECT_NEAR(ratio(row_of(std::vector<float>(keys, score))), 1, 1e-6) << keys;
    }
  }
}

TEST(Entropy, IsZeroWhenOneKeyHasEverything) {
  for (const std::size_t keys : {2u, 10u, 1000u}) {
    std::vector<float> scores(keys, -60.0f);
    scores[keys / 2] = 40.0f;
    EXPECT_NEAR(ratio(row_of(scores)), 0, 1e-6);
    scores.assign(keys, kMasked);
    scores[0] = 12.25f;
    EXPECT_EQ(ratio(row_of(scores)), 0);
  }
}

TEST(Entropy, HasNoRatioForASingleAllowedKey) {
  const RowOfMap row = row_of({1.5f});
  EXPECT_EQ(entropy(row.scores, row.weights, row.lse), 0);
  EXPECT_FALSE(entropy_ratio(0, 1).has_value());
  EXPECT_FALSE(entropy_ratio(0, 0).has_value());
  EXPECT_TRUE(entropy_ratio(0, 2).has_value());
}

TEST(Entropy, AgreesWithMinusSumPLogP) {
  const RowOfMap row = row_of({0.3f, -1.25f, 2.0f, 0.0f, 1.0f, kMasked});
  double wanted = 0;
  for (const float p : row.weights) wanted -= p > 0 ? p * std::log(double{p}) : 0;
  EXPECT_NEAR(entropy(row.scores, row.weights, row.lse), wanted, 1e-6);
}

TEST(Entropy, RefusesRowsOfDifferentLength) {
  const std::vector<float> two(2), three(3);
  EXPECT_THROW(entropy(two, three, 0), Error);
}

// Rows with given weights; their scores are the logarithms. A key of weight 0 is not masked.
RowOfMap weighted(const std::vector<float>& weights) {
  RowOfMap row{.scores = {}, .weights = weights, .lse = 0};
  for (const float p : weights) row.scores.push_back(p > 0 ? std::log(p) : -200.0f);
  return row;
}

TEST(HeadSummary, GathersWhatTheRowsHold) {
  //                              0  1  2  3
  const std::vector<TokenId> ids{5, 9, 5, 9};
  HeadSummary summary(ids);
  summary.add(0, weighted({1}));
  summary.add(1, weighted({0.5f, 0.5f}));
  summary.add(2, weighted({0.25f, 0.5f, 0.25f}));       // id 5 again: 0 is alike, 1 followed it
  summary.add(3, weighted({0, 0.125f, 0.375f, 0.5f}));  // id 9 again: 1 is alike, 2 followed it
  const HeadMetrics metrics = summary.metrics(7, 3);
  EXPECT_EQ(metrics.layer, 7);
  EXPECT_EQ(metrics.head, 3);
  const double h1 = std::log(2.0);
  const double h2 = 0.5 * std::log(4.0) + 0.5 * std::log(2.0);
  const double h3 = 0.125 * std::log(8.0) - 0.375 * std::log(0.375) + 0.5 * std::log(2.0);
  EXPECT_NEAR(*metrics.entropy, (h1 + h2 + h3) / 3, 1e-6);
  EXPECT_NEAR(*metrics.entropy_ratio, (1 + h2 / std::log(3.0) + h3 / std::log(4.0)) / 3, 1e-6);
  EXPECT_DOUBLE_EQ(*metrics.first, (0.5 + 0.25 + 0) / 3);
  EXPECT_DOUBLE_EQ(*metrics.previous, (0.5 + 0.5 + 0.375) / 3);
  EXPECT_DOUBLE_EQ(*metrics.self, (0.5 + 0.25 + 0.5) / 3);
  EXPECT_DOUBLE_EQ(*metrics.distance, (0.5 + (0.5 + 0.5) + (0.25 + 0.375)) / 3);
  EXPECT_DOUBLE_EQ(*metrics.duplicate, (0.25 + 0.125) / 2);
  EXPECT_DOUBLE_EQ(*metrics.induction, (0.5 + 0.375) / 2);
}

TEST(HeadSummary, KnowsNothingOfAPromptOfOneToken) {
  const std::vector<TokenId> ids{5};
  HeadSummary summary(ids);
  summary.add(0, weighted({1}));
  const HeadMetrics metrics = summary.metrics(0, 0);
  for (const auto& value : {metrics.entropy, metrics.entropy_ratio, metrics.first, metrics.previous,
                            metrics.self, metrics.distance, metrics.duplicate, metrics.induction}) {
    EXPECT_FALSE(value.has_value());
  }
}

TEST(HeadSummary, HasNoPatternMassWithoutARepeatedToken) {
  const std::vector<TokenId> ids{1, 2, 3};
  HeadSummary summary(ids);
  summary.add(1, weighted({0.5f, 0.5f}));
  summary.add(2, weighted({0.5f, 0.25f, 0.25f}));
  EXPECT_FALSE(summary.metrics(0, 0).duplicate.has_value());
  EXPECT_FALSE(summary.metrics(0, 0).induction.has_value());
  EXPECT_TRUE(summary.metrics(0, 0).first.has_value());
}

TEST(HeadSummary, RefusesARowOfAnotherQuery) {
  const std::vector<TokenId> ids{1, 2, 3};
  HeadSummary summary(ids);
  EXPECT_THROW(summary.add(1, weighted({1})), Error);
  EXPECT_THROW(summary.add(3, weighted({1, 0, 0, 0})), Error);
}

}  // namespace
}  // namespace regard::inspect
