// AdamW against an f64 formula written down here, over many steps; the same bits on every target
// and any number of threads. The norm against a long double sum.
#include "kernels/adam.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "base/check.h"
#include "simd/target.h"

namespace regard {
namespace {

std::vector<float> random_numbers(std::size_t count, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> numbers(count);
  for (float& x : numbers) x = normal(random);
  return numbers;
}

constexpr int kSteps = 30;
constexpr std::size_t kCount = 20011;  // more than a task, and no whole vectors

AdamW options_of(int step) {
  return {.learning_rate = 0.01f / static_cast<float>(step),
          .beta1 = 0.9f,
          .beta2 = 0.95f,
          .epsilon = 1e-6f,
          .decay = 0.1f,
          .gradient_scale = 0.5f,
          .step = step};
}

struct State {
  std::vector<float> p = random_numbers(kCount, 1), m = std::vector<float>(kCount), v = m;
};

State after_all_steps(int threads) {
  ThreadPool pool(threads);
  State state;
  for (int step = 1; step <= kSteps; ++step) {
    const auto gradient = random_numbers(kCount, 100 + static_cast<uint32_t>(step));
    adamw(options_of(step), state.p, gradient, state.m, state.v, pool);
  }
  return state;
}

TEST(AdamW, FollowsTheFormulaOverManySteps) {
  const State state = after_all_steps(1);
  const auto start = random_numbers(kCount, 1);
  std::vector<double> p(start.begin(), start.end()), m(kCount), v(kCount);
  std::vector<double> other_p = p, other_m = m, other_v = v;
  for (int step = 1; step <= kSteps; ++step) {
    const auto gradient = random_numbers(kCount, 100 + static_cast<uint32_t>(step));
    const AdamW o = options_of(step);
    for (std::size_t i = 0; i < kCount; ++i) {
      const double g = double{gradient[i]} * o.gradient_scale;
      p[i] -= double{o.learning_rate} * o.decay * p[i];
      m[i] = o.beta1 * m[i] + (1 - double{o.beta1}) * g;
      v[i] = o.beta2 * v[i] + (1 - double{o.beta2}) * g * g;
      const double m_hat = m[i] / (1 - std::pow(double{o.beta1}, step));
      const double v_hat = v[i] / (1 - std::pow(double{o.beta2}, step));
      p[i] -= o.learning_rate * m_hat / (std::sqrt(v_hat) + o.epsilon);
    }
    adamw(o, other_p, std::vector<double>(gradient.begin(), gradient.end()), other_m, other_v);
  }
  for (std::size_t i = 0; i < kCount; ++i) {
    ASSERT_NEAR(state.p[i], p[i], 2e-6) << i;
    ASSERT_NEAR(state.m[i], m[i], 1e-6) << i;
    ASSERT_NEAR(state.v[i], v[i], 1e-6) << i;
    ASSERT_NEAR(other_p[i], p[i], 1e-12) << i;
  }
}

TEST(AdamW, HasTheSameBitsForThreadsAndTargets) {
  const State wanted = after_all_steps(1);
  for (const Target target : available_targets()) {
    const ScopedTarget forced(target);
    for (const int threads : {1, 2, 3}) {
      const State got = after_all_steps(threads);
      EXPECT_EQ(got.p, wanted.p) << name(target) << " " << threads;
      EXPECT_EQ(got.m, wanted.m) << name(target) << " " << threads;
      EXPECT_EQ(got.v, wanted.v) << name(target) << " " << threads;
    }
  }
}

TEST(AdamW, RefusesLengthsThatDisagree) {
  ThreadPool pool(1);
  std::vector<float> four(4), five(5);
  EXPECT_THROW(adamw({}, four, five, four, four, pool), Error);
  EXPECT_THROW(adamw({}, four, four, four, five, pool), Error);
  EXPECT_THROW(adamw({.step = 0}, four, four, four, four, pool), Error);
  EXPECT_NO_THROW(adamw({}, {}, {}, {}, {}, pool));
}

TEST(GlobalNorm, IsOneSumOverAllGradients) {
  const std::vector<std::vector<float>> all{
      random_numbers(40000, 1), random_numbers(7, 2), {}, random_numbers(16385, 3)};
  std::vector<std::span<const float>> gradients(all.begin(), all.end());
  long double sum = 0;
  for (const auto& one : all) {
    for (const float x : one) sum += static_cast<long double>(x) * x;
  }
  ThreadPool alone(1);
  const double norm = global_norm(gradients, alone);
  EXPECT_NEAR(norm, static_cast<double>(std::sqrt(sum)), 1e-12 * norm);
  for (const int threads : {2, 3}) {
    ThreadPool pool(threads);
    EXPECT_EQ(global_norm(gradients, pool), norm);
  }
  EXPECT_EQ(global_norm({}, alone), 0.0);
}

TEST(GlobalNorm, DoesNotOverflowAndTellsOfNaN) {
  ThreadPool pool(1);
  std::vector<float> numbers(100, 3e38f);
  const std::span<const float> one(numbers);
  EXPECT_NEAR(global_norm({&one, 1}, pool), 3e39, 1e33);
  numbers[50] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_TRUE(std::isnan(global_norm({&one, 1}, pool)));
}

}  // namespace
}  // namespace regard
