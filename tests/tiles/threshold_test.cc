// Thresholds against bisection in double precision, on every target.
#include "tiles/threshold.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "simd/target.h"

namespace regard {
namespace {

constexpr float kNone = -std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

std::vector<float> random_scores(uint64_t seed, int64_t keys, float scale, float offset) {
  std::vector<float> s(static_cast<std::size_t>((keys + 15) / 16 * 16), kNone);
  for (int64_t j = 0; j < keys; ++j) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    s[j] = (static_cast<float>(seed >> 40) * 0x1p-23f - 1) * scale + offset;
  }
  return s;
}

// Where Σ [z - t]₊^power = 1.
double bisect(const std::vector<float>& s, double half, double power) {
  const double top = *std::max_element(s.begin(), s.end());
  double low = -1, high = 0;
  for (int i = 0; i < 200; ++i) {
    const double t = (low + high) / 2;
    double sum = 0;
    for (const float x : s) sum += std::pow(std::max((x - top) * half - t, 0.0), power);
    (sum > 1 ? low : high) = t;
  }
  return low;
}

TEST(Threshold, AgreesWithBisectionAtEverySize) {
  for (const Target target : available_targets()) {
    const ScopedTarget forced(target);
    for (const int64_t keys : {1, 2, 15, 16, 17, 128, 1000, 5000}) {
      for (const float scale : {0.0f, 0.01f, 1.0f, 8.0f, 1e4f}) {
        for (const float offset : {0.0f, -3e3f}) {
          const std::vector<float> s = random_scores(keys + 1, keys, scale, offset);
          const Threshold sparse = sparsemax_threshold(s.data(), keys);
          const Threshold entmax = entmax15_threshold(s.data(), keys);
          EXPECT_EQ(sparse.largest, *std::max_element(s.begin(), s.end()));
          EXPECT_NEAR(sparse.t, bisect(s, 1, 1), 5e-7) << keys << ' ' << scale;
          EXPECT_NEAR(entmax.t, bisect(s, 0.5, 2), 5e-7) << keys << ' ' << scale;
        }
      }
    }
  }
}

TEST(Threshold, HasTheSameBitsOnEveryTarget) {
  const std::vector<float> s = random_scores(3, 700, 2, 0);
  const Threshold sparse = sparsemax_threshold(s.data(), 700);
  const Threshold entmax = entmax15_threshold(s.data(), 700);
  for (const Target target : available_targets()) {
    const ScopedTarget forced(target);
    EXPECT_EQ(sparsemax_threshold(s.data(), 700).t, sparse.t);
    EXPECT_EQ(entmax15_threshold(s.data(), 700).t, entmax.t);
  }
}

TEST(Threshold, OfNothingAndOfNaN) {
  for (const Target target : available_targets()) {
    const ScopedTarget forced(target);
    const std::vector<float> none(32, kNone);
    EXPECT_EQ(sparsemax_threshold(none.data(), 0).largest, kNone);
    EXPECT_EQ(entmax15_threshold(none.data(), 20).largest, kNone);
    std::vector<float> s = random_scores(5, 40, 1, 0);
    s[33] = kNan;
    EXPECT_TRUE(std::isnan(sparsemax_threshold(s.data(), 40).t));
    EXPECT_TRUE(std::isnan(entmax15_threshold(s.data(), 40).t));
  }
}

}  // namespace
}  // namespace regard
