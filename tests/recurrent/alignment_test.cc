// Alignment of many queries at once: scores, weights and their gradients.
#include "recurrent/alignment.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "ops/gradient_check.h"
#include "ops/ops.h"

namespace regard {
namespace {

constexpr int64_t kBatch = 3, kTime = 4, kSource = 5;
const std::vector<int64_t> kLengths = {5, 2, 0};

std::vector<Tensor> inputs_of(int64_t units) {
  return {random_f64({kBatch, kTime, units}, 1), random_f64({kBatch, kSource, units}, 2),
          random_f64({units}, 3), random_f64({kBatch, kSource, 6}, 4)};
}

Tensor context(std::span<const Tensor> in, bool additive, bool ragged) {
  const std::span<const int64_t> lengths =
      ragged ? std::span(kLengths) : std::span<const int64_t>();
  // v has a gradient of zeros where scores are dot products.
  const Tensor scores = additive ? additive_scores(in[0], in[1], in[2], lengths)
                                 : dot_scores(in[0], mul(in[1], in[2]), lengths);
  return align(scores, in[3]).context;
}

TEST(Alignment, S1_5_GradientsAgreeWithCentralDifferences) {
  for (const bool additive : {false, true}) {
    for (const bool ragged : {false, true}) {
      const auto function = [&](auto in) { return context(in, additive, ragged); };
      EXPECT_TRUE(check_gradients(function, inputs_of(7))) << additive << ragged;
      EXPECT_TRUE(check_f32(function, inputs_of(37))) << additive << ragged;
    }
  }
}

TEST(Alignment, S1_5_ScoresAreTheFormula) {
  const std::vector<Tensor> in = inputs_of(7);
  const Tensor scores = additive_scores(in[0], in[1], in[2]);
  const auto q = in[0].view<double, 3>(), k = in[1].view<double, 3>();
  for (int64_t t = 0; t < kTime; ++t) {
    for (int64_t j = 0; j < kSource; ++j) {
      double sum = 0;
      for (int64_t u = 0; u < 7; ++u) {
        sum += in[2].numbers<double>()[static_cast<std::size_t>(u)] *
               std::tanh(q(1, t, u) + k(1, j, u));
      }
      EXPECT_NEAR((scores.view<double, 3>()(1, t, j)), sum, 1e-12);
    }
  }
}

TEST(Alignment, S1_2_RowsSumToOneAndPaddingGetsExactlyNothing) {
  std::vector<Tensor> in;
  for (const Tensor& x : inputs_of(16)) in.push_back(gradient_check::to_f32(x));
  for (const Tensor& scores :
       {additive_scores(in[0], in[1], in[2], kLengths), dot_scores(in[0], in[1], kLengths)}) {
    const Aligned made = align(scores, in[3]);
    const auto alpha = made.weights.view<float, 3>();
    for (int64_t b = 0; b < kBatch; ++b) {
      const int64_t length = kLengths[static_cast<std::size_t>(b)];
      for (int64_t t = 0; t < kTime; ++t) {
        double sum = 0;
        for (int64_t j = 0; j < kSource; ++j) {
          sum += alpha(b, t, j);
          if (j >= length) {
            EXPECT_EQ(alpha(b, t, j), 0);
          }
        }
        EXPECT_NEAR(sum, length > 0 ? 1 : 0, 1e-6);
      }
    }
    EXPECT_EQ(made.context.numbers<float>().back(), 0);
  }
}

TEST(Alignment, WrongShapesAreNamed) {
  const std::vector<Tensor> in = inputs_of(7);
  EXPECT_THROW(additive_scores(in[0], in[3], in[2]), Error);
  EXPECT_THROW(additive_scores(in[0], in[1], in[2], std::vector<int64_t>{6, 1, 1}), Error);
  EXPECT_THROW(align(in[0], in[3]), Error);
}

}  // namespace
}  // namespace regard
