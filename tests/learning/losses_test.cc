// Losses and reductions: values by hand, gradients by differences, rows that do not count.
#include "learning/losses.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "learning/reductions.h"
#include "ops/gradient_check.h"
#include "ops/ops.h"

namespace regard {
namespace {

std::vector<int32_t> targets_of(int64_t rows, int64_t classes) {
  std::vector<int32_t> made;
  for (int64_t i = 0; i < rows; ++i) made.push_back(static_cast<int32_t>(i * i * 7 % classes));
  return made;
}

TEST(Reductions, HaveGradients) {
  for (const Over over : {Over::all, Over::rows, Over::columns}) {
    SCOPED_TRACE(static_cast<int>(over));
    const TensorFunction total = [=](auto in) { return sum(in[0], over); };
    const TensorFunction middle = [=](auto in) { return mean(in[0], over); };
    for (const TensorFunction& f : {total, middle}) {
      EXPECT_TRUE(check_gradients(f, {random_f64({3, 2, 4}, 1)}));
      EXPECT_TRUE(check_f32(f, {random_f64({170, 333}, 1)}));
    }
  }
  const Tensor x = Tensor::of(std::vector<double>{1, 2, 3, 4, 5, 6}.data(), {2, 3});
  EXPECT_EQ(sum(x).numbers<double>()[0], 21);
  EXPECT_EQ(mean(x).numbers<double>()[0], 3.5);
  EXPECT_EQ(sum(x, Over::rows).numbers<double>()[2], 9);
  EXPECT_EQ(mean(x, Over::rows).numbers<double>()[2], 4.5);
  EXPECT_EQ(sum(x, Over::columns).numbers<double>()[1], 15);
  EXPECT_EQ(mean(x, Over::columns).numbers<double>()[1], 5);
  EXPECT_THROW(mean(Tensor({0, 3})), Error);
}

// Ten million f32 terms of 0.1: one f32 chain would be off by a hundredth.
TEST(Reductions, KeepDigitsOfLongSums) {
  Tensor x({10'000'000});
  std::ranges::fill(x.writable_numbers<float>(), 0.1f);
  EXPECT_FLOAT_EQ(sum(x).numbers<float>()[0], static_cast<float>(1e7 * double{0.1f}));
}

TEST(CrossEntropy, HasGradients) {
  const auto few = targets_of(4, 5), many = targets_of(300, 130);
  for (const float smoothing : {0.0f, 0.1f}) {
    EXPECT_TRUE(check_gradients(
        [&](auto in) { return cross_entropy(in[0], few, {.smoothing = smoothing}).loss; },
        {random_f64({4, 5}, 1, 3)}));
    EXPECT_TRUE(check_f32(
        [&](auto in) { return cross_entropy(in[0], many, {.smoothing = smoothing}).loss; },
        {random_f64({300, 130}, 1, 3)}));
    const std::vector<float> weights{1, 0, 2.5f, 0.25f};
    EXPECT_TRUE(check_gradients(
        [&](auto in) {
          return cross_entropy(in[0], few,
                               {.weights = weights, .smoothing = smoothing, .normaliser = 11})
              .loss;
        },
        {random_f64({4, 5}, 1, 3)}));
  }
}

TEST(CrossEntropy, IsTheMeanOfItsRows) {
  const Tensor logits = random_f64({4, 5}, 1, 2);
  const auto targets = targets_of(4, 5);
  const CrossEntropy plain = cross_entropy(logits, targets);
  double sum = 0;
  for (int64_t row = 0; row < 4; ++row) {
    double whole = 0;
    for (int64_t i = 0; i < 5; ++i) whole += std::exp(logits.view<double, 2>()(row, i));
    const double loss = std::log(whole) - logits.view<double, 2>()(row, targets[row]);
    EXPECT_NEAR(plain.rows.numbers<double>()[row], loss, 1e-12);
    sum += loss;
  }
  EXPECT_NEAR(plain.loss.numbers<double>()[0], sum / 4, 1e-12);
  EXPECT_FALSE(plain.rows.tracked());
  const std::vector<float> weights{1, 0, 2, 0};
  const CrossEntropy weighed = cross_entropy(logits, targets, {.weights = weights});
  const auto rows = plain.rows.numbers<double>();
  EXPECT_NEAR(weighed.loss.numbers<double>()[0], (rows[0] + 2 * rows[2]) / 3, 1e-12);
  EXPECT_EQ(weighed.rows.numbers<double>()[1], 0);
  // Uniform logits cost ln(classes), smoothed or not.
  const Tensor level = scale(logits, 0);
  EXPECT_NEAR(cross_entropy(level, targets, {.smoothing = 0.3f}).loss.numbers<double>()[0],
              std::log(5.0), 1e-7);
}

// A row of weight 0 may hold anything: padding, NaN, a target that is no class.
TEST(CrossEntropy, NeverReadsRowsThatDoNotCount) {
  Tensor logits = gradient_check::to_f32(random_f64({3, 40}, 1));
  const std::vector<int32_t> targets{5, -100, 7};
  const std::vector<float> weights{1, 0, 1};
  const auto run = [&](float poison) {
    std::ranges::fill(logits.writable_numbers<float>().subspan(40, 40), poison);
    Tensor leaf = Tensor::of(logits.numbers<float>().data(), {3, 40});
    leaf.require_gradient();
    const CrossEntropy made = cross_entropy(leaf, targets, {.weights = weights});
    backward(made.loss);
    return std::pair(made, leaf.gradient());
  };
  const auto [clean, gradient] = run(0);
  for (const float poison :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(), 1e30f}) {
    const auto [made, same] = run(poison);
    EXPECT_TRUE(gradient_check::same_numbers(made.loss, clean.loss));
    EXPECT_TRUE(gradient_check::same_numbers(made.rows, clean.rows));
    EXPECT_TRUE(gradient_check::same_numbers(same, gradient));
  }
  for (const float x : gradient.numbers<float>().subspan(40, 40)) EXPECT_EQ(x, 0.0f);
  // No row at all counts.
  const std::vector<float> none{0, 0, 0};
  EXPECT_EQ(cross_entropy(logits, targets, {.weights = none}).loss.numbers<float>()[0], 0.0f);
}

TEST(CrossEntropy, RefusesWhatIsNoProblem) {
  const Tensor logits = random_f64({3, 4}, 1);
  const std::vector<int32_t> good{0, 3, 1}, high{0, 4, 1}, low{0, -1, 1}, few{0, 1};
  EXPECT_THROW(cross_entropy(logits, high), Error);
  EXPECT_THROW(cross_entropy(logits, low), Error);
  EXPECT_THROW(cross_entropy(logits, few), Error);
  EXPECT_THROW(cross_entropy(logits.reshape({12}), good), Error);
  EXPECT_THROW(cross_entropy(logits, good, {.smoothing = 1}), Error);
  EXPECT_THROW(cross_entropy(logits, good, {.smoothing = -0.1f}), Error);
  EXPECT_THROW(cross_entropy(logits, good, {.normaliser = -1}), Error);
  const std::vector<float> negative{1, -1, 1}, two{1, 1};
  EXPECT_THROW(cross_entropy(logits, good, {.weights = negative}), Error);
  EXPECT_THROW(cross_entropy(logits, good, {.weights = two}), Error);
}

TEST(MeanSquaredError, HasGradients) {
  const TensorFunction f = [](auto in) { return mean_squared_error(in[0], in[1]); };
  EXPECT_TRUE(check_gradients(f, {random_f64({3, 4}, 1), random_f64({3, 4}, 2)}));
  EXPECT_TRUE(check_f32(f, {random_f64({90, 140}, 1), random_f64({90, 140}, 2)}));
  const Tensor a = Tensor::of(std::vector<double>{1, 2}.data(), {2});
  const Tensor b = Tensor::of(std::vector<double>{4, 0}.data(), {2});
  EXPECT_EQ(mean_squared_error(a, b).numbers<double>()[0], 6.5);
}

}  // namespace
}  // namespace regard
