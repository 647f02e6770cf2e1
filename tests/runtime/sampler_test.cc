#include "runtime/sampler.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>
#include <random>

#include "regard/error.h"

namespace regard {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

std::vector<float> random_logits(int count, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, 2);
  std::vector<float> logits(count);
  for (float& logit : logits) logit = normal(random);
  return logits;
}

// How often each id comes over many positions.
std::map<TokenId, int> histogram(const SamplingOptions& options, std::span<const float> logits,
                                 int draws) {
  Sampler sampler(options, static_cast<int64_t>(logits.size()));
  std::map<TokenId, int> counts;
  for (int position = 0; position < draws; ++position) ++counts[sampler.draw(logits, position)];
  return counts;
}

TEST(Sampler, GreedyTakesTheLargestAndTheLowestIdAmongEquals) {
  Sampler sampler({}, 5);
  EXPECT_EQ(sampler.draw(std::vector<float>{0, 3, 1, 3, 2}, 0), 1);
  EXPECT_EQ(sampler.draw(std::vector<float>{kNan, -5, -kInfinity, -5}, 0), 1);
}

TEST(Sampler, RefusesLogitsWithoutANumber) {
  Sampler sampler({.temperature = 1}, 2);
  EXPECT_THROW(sampler.draw(std::vector<float>{kNan, kNan}, 0), Error);
  EXPECT_THROW(sampler.draw(std::vector<float>{-kInfinity, -kInfinity}, 0), Error);
  EXPECT_THROW(sampler.draw(std::vector<float>{0, kInfinity}, 0), Error);
}

TEST(Sampler, NamesTheOptionThatIsOutOfRange) {
  const auto message = [](const SamplingOptions& options) -> std::string {
    try {
      check(options);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::invalid_argument);
      return error.what();
    }
    return "";
  };
  EXPECT_TRUE(message({.temperature = kNan}).starts_with("temp:"));
  EXPECT_TRUE(message({.temperature = -1}).starts_with("temp:"));
  EXPECT_TRUE(message({.temperature = kInfinity}).starts_with("temp:"));
  EXPECT_TRUE(message({.top_k = -1}).starts_with("top-k:"));
  EXPECT_TRUE(message({.top_p = 0}).starts_with("top-p:"));
  EXPECT_TRUE(message({.top_p = 1.5f}).starts_with("top-p:"));
  EXPECT_TRUE(message({.top_p = kNan}).starts_with("top-p:"));
  EXPECT_TRUE(message({.min_p = -0.1f}).starts_with("min-p:"));
  EXPECT_TRUE(message({.min_p = kNan}).starts_with("min-p:"));
  EXPECT_EQ(message({.temperature = 0.7f, .top_k = 40, .top_p = 0.9f, .min_p = 0.05f}), "");
}

TEST(Sampler, DrawsByTheSoftmaxOfTheTemperedLogits) {
  const std::vector<float> logits{0.0f, 1.0f, 2.0f, -1.0f};
  const int draws = 40000;
  const auto counts = histogram({.temperature = 2, .seed = 3}, logits, draws);
  double total = 0;
  for (const float logit : logits) total += std::exp(logit / 2.0);
  for (std::size_t id = 0; id < logits.size(); ++id) {
    const double p = std::exp(logits[id] / 2.0) / total;
    EXPECT_NEAR(counts.at(static_cast<TokenId>(id)), draws * p, 4 * std::sqrt(draws * p * (1 - p)));
  }
}

TEST(Sampler, TopKKeepsTheKLikeliest) {
  const std::vector<float> logits{1, 5, 5, 4, 5, 0};
  const auto counts = histogram({.temperature = 50, .top_k = 2}, logits, 500);
  ASSERT_EQ(counts.size(), 2u);  // of three equals the two lowest ids
  EXPECT_TRUE(counts.contains(1) && counts.contains(2));
}

TEST(Sampler, TopPKeepsTheLikeliestUntilTheirSumReachesP) {
  // Weights 0.5, 0.3, 0.15, 0.05.
  std::vector<float> logits;
  for (const double p : {0.15, 0.5, 0.05, 0.3}) logits.push_back(static_cast<float>(std::log(p)));
  const auto ids = [&](float top_p) {
    std::vector<TokenId> kept;
    for (const auto& [id, count] : histogram({.temperature = 1, .top_p = top_p}, logits, 4000)) {
      kept.push_back(id);
    }
    return kept;
  };
  EXPECT_EQ(ids(0.4f), (std::vector<TokenId>{1}));
  EXPECT_EQ(ids(0.7f), (std::vector<TokenId>{1, 3}));
  EXPECT_EQ(ids(0.9f), (std::vector<TokenId>{0, 1, 3}));
  EXPECT_EQ(ids(1.0f), (std::vector<TokenId>{0, 1, 2, 3}));
}

TEST(Sampler, MinPMeasuresAgainstTheLikeliest) {
  std::vector<float> logits;
  for (const double p : {0.15, 0.5, 0.05, 0.3}) logits.push_back(static_cast<float>(std::log(p)));
  const auto counts = histogram({.temperature = 1, .min_p = 0.2f}, logits, 4000);
  EXPECT_EQ(counts.size(), 3u);
  EXPECT_FALSE(counts.contains(2));
}

TEST(Sampler, AFilterThatKeepsEverythingChangesNoDraw) {
  const std::vector<float> logits = random_logits(1000, 5);
  Sampler plain({.temperature = 1, .seed = 9}, 1000);
  Sampler filtered({.temperature = 1, .top_k = 1000, .top_p = 1, .min_p = 0, .seed = 9}, 1000);
  for (int position = 0; position < 200; ++position) {
    EXPECT_EQ(plain.draw(logits, position), filtered.draw(logits, position));
  }
}

TEST(Sampler, DrawsTheSameInAnyOrderOfPositions) {
  const std::vector<float> logits = random_logits(300, 6);
  const SamplingOptions options{.temperature = 1.2f, .top_k = 50, .top_p = 0.9f, .seed = 11};
  Sampler forwards(options, 300), backwards(options, 300);
  std::vector<TokenId> a, b;
  for (int position = 0; position < 50; ++position) a.push_back(forwards.draw(logits, position));
  for (int position = 50; position-- > 0;) b.push_back(backwards.draw(logits, position));
  std::reverse(b.begin(), b.end());
  EXPECT_EQ(a, b);
}

TEST(Sampler, ATinyTemperatureIsGreedy) {
  const std::vector<float> logits = random_logits(300, 7);
  Sampler greedy({}, 300), cold({.temperature = 1e-30f}, 300);
  for (int position = 0; position < 20; ++position) {
    EXPECT_EQ(cold.draw(logits, position), greedy.draw(logits, position));
  }
}

TEST(Largest, SortsByLogitThenId) {
  const auto top = largest(std::vector<float>{1, kNan, 3, 3, 2}, 3);
  ASSERT_EQ(top.size(), 3u);
  EXPECT_EQ(top[0].first, 2);
  EXPECT_EQ(top[1].first, 3);
  EXPECT_EQ(top[2].first, 4);
  EXPECT_EQ(largest(std::vector<float>{1, 2}, 5).size(), 2u);
}

}  // namespace
}  // namespace regard
