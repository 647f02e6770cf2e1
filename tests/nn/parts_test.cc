// The parts that families choose from, each against its formula in double: positions, norms around
// a part, gated and plain MLPs, mixtures of experts.
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "nn/experts.h"
#include "nn/norm.h"
#include "nn/positions.h"

namespace regard {
namespace {

std::vector<float> random_numbers(int64_t count, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, 1);
  std::vector<float> made(static_cast<std::size_t>(count));
  for (float& number : made) number = normal(random);
  return made;
}

nn::Linear layer(const std::vector<float>& numbers, int64_t outputs, int64_t inputs) {
  ThreadPool pool(1);
  return {std::make_shared<const PackedMatrix>(PackedMatrix::pack(
              DType::f32, std::as_bytes(std::span(numbers)), outputs, inputs, pool)),
          {}};
}

std::vector<double> times(const std::vector<float>& w, const std::vector<double>& x) {
  std::vector<double> y(w.size() / x.size());
  for (std::size_t i = 0; i < w.size(); ++i) y[i / x.size()] += w[i] * x[i % x.size()];
  return y;
}

TEST(SinusoidalPositions, AreTheirFormula) {
  const std::vector<int32_t> at{0, 1, 2, 50, 511};
  const Tensor made = nn::SinusoidalPositions{.width = 12}(at);
  const auto rows = made.view<float, 2>();
  for (std::size_t row = 0; row < at.size(); ++row) {
    for (int i = 0; i < 6; ++i) {
      const double angle = at[row] / std::pow(10000.0, 2.0 * i / 12);
      EXPECT_NEAR(rows(static_cast<int64_t>(row), 2 * i), std::sin(angle), 1e-6);
      EXPECT_NEAR(rows(static_cast<int64_t>(row), 2 * i + 1), std::cos(angle), 1e-6);
    }
  }
  EXPECT_THROW(nn::SinusoidalPositions{.width = 7}(at), Error);
  EXPECT_THROW(nn::SinusoidalPositions{.width = 8}(std::vector<int32_t>{-1}), Error);
}

TEST(Norms, StandAroundAPart) {
  const Tensor x = Tensor::of(std::vector<float>{1, 2, 3, 6}.data(), {1, 4});
  const Tensor made = Tensor::of(std::vector<float>{1, 1, -1, 3}.data(), {1, 4});
  const std::vector<float> ones(4, 1.0f);
  const auto value = [](const Tensor& of, int64_t i) { return of.view<float, 2>()(0, i); };
  EXPECT_EQ(value(nn::Norms{}.join(x, x, made), 3), 9);
  const nn::Norms normed{.residual_is_normed = true};
  EXPECT_EQ(value(normed.join(x, made, made), 3), 6);
  const nn::Norms behind{.behind = {nn::Norm::Kind::layer, tensor_of(ones),
                                    tensor_of(std::vector<float>{0, 0, 0, 10}), 0}};
  // x + made = (2, 3, 2, 9): mean 4, deviation sqrt(34 / 4)
  EXPECT_NEAR(value(behind.join(x, x, made), 3), 5 / std::sqrt(8.5) + 10, 1e-6);
  const nn::Norms after{.after = {nn::Norm::Kind::rms, tensor_of(ones), {}, 0}};
  EXPECT_NEAR(value(after.join(x, x, made), 0), 1 + 1 / std::sqrt(3.0), 1e-6);
}

TEST(Norm, OfHeadsTakesEachHeadAlone) {
  const std::vector<float> numbers{3, 4, 6, 8, 0, 5};
  const nn::Norm norm{nn::Norm::Kind::rms, tensor_of(std::vector<float>{1, 2}), {}, 0};
  const Tensor made = norm.of_heads(Tensor::of(numbers.data(), {1, 3, 2}));
  const auto heads = made.view<float, 3>();
  EXPECT_NEAR(heads(0, 0, 0), 3 / std::sqrt(12.5), 1e-6);
  EXPECT_NEAR(heads(0, 1, 1), 2 * 8 / std::sqrt(50.0), 1e-6);
  EXPECT_NEAR(heads(0, 2, 1), 2 * 5 / std::sqrt(12.5), 1e-6);
}

double formula(Activation function, double x) {
  switch (function) {
    case Activation::silu:
      return x / (1 + std::exp(-x));
    case Activation::gelu_tanh:
      return x / 2 * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
    case Activation::gelu_erf:
      return x / 2 * (1 + std::erf(x / std::sqrt(2)));
    case Activation::relu:
      return std::fmax(x, 0);
    case Activation::tanh:
      return std::tanh(x);
    case Activation::sigmoid:
      return 1 / (1 + std::exp(-x));
    case Activation::identity:
      return x;
  }
  return NAN;
}

struct MlpNumbers {
  std::vector<float> gate, up, down;
  std::vector<double> operator()(Activation function, const std::vector<double>& x) const {
    std::vector<double> inner = times(up, x);
    const std::vector<double> gates = gate.empty() ? inner : times(gate, x);
    for (std::size_t i = 0; i < inner.size(); ++i) {
      inner[i] =
          gate.empty() ? formula(function, inner[i]) : formula(function, gates[i]) * inner[i];
    }
    return times(down, inner);
  }
};

constexpr int64_t kWidth = 12, kInner = 20, kRows = 9;

TEST(Mlp, IsItsFormulaGatedAndPlain) {
  const std::vector<float> x = random_numbers(kRows * kWidth, 1);
  for (const Activation function :
       {Activation::silu, Activation::gelu_tanh, Activation::gelu_erf, Activation::relu}) {
    for (const bool gated : {false, true}) {
      MlpNumbers w{{}, random_numbers(kInner * kWidth, 2), random_numbers(kInner * kWidth, 3)};
      if (gated) w.gate = random_numbers(kInner * kWidth, 4);
      nn::Mlp mlp{.up = layer(w.up, kInner, kWidth),
                  .down = layer(w.down, kWidth, kInner),
                  .activation = function};
      if (gated) mlp.gate = layer(w.gate, kInner, kWidth);
      const Tensor y = mlp(Tensor::of(x.data(), {kRows, kWidth}));
      for (int64_t row = 0; row < kRows; ++row) {
        const auto wanted = w(function, {x.begin() + row * kWidth, x.begin() + (row + 1) * kWidth});
        for (int64_t i = 0; i < kWidth; ++i) {
          EXPECT_NEAR((y.view<float, 2>()(row, i)), wanted[i], 2e-4) << "gated " << gated;
        }
      }
    }
  }
}

TEST(Experts, AreTheirFormulaAndDoNotHearNeighbours) {
  constexpr int64_t kExperts = 5, kUsed = 2;
  const std::vector<float> x = random_numbers(kRows * kWidth, 5);
  const std::vector<float> router = random_numbers(kExperts * kWidth, 6);
  nn::Experts experts{.router = layer(router, kExperts, kWidth), .experts = {}, .used = kUsed};
  std::vector<MlpNumbers> numbers;
  for (uint32_t e = 0; e < kExperts; ++e) {
    numbers.push_back({random_numbers(kInner * kWidth, 10 + e),
                       random_numbers(kInner * kWidth, 20 + e),
                       random_numbers(kInner * kWidth, 30 + e)});
    experts.experts.push_back({layer(numbers[e].gate, kInner, kWidth),
                               layer(numbers[e].up, kInner, kWidth),
                               layer(numbers[e].down, kWidth, kInner)});
  }
  const Tensor all = Tensor::of(x.data(), {kRows, kWidth});
  const Tensor y = experts(all);
  for (int64_t row = 0; row < kRows; ++row) {
    const std::vector<double> one{x.begin() + row * kWidth, x.begin() + (row + 1) * kWidth};
    std::vector<double> scores = times(router, one), wanted(kWidth);
    std::vector<std::pair<double, std::size_t>> best;
    for (std::size_t e = 0; e < scores.size(); ++e) best.push_back({-scores[e], e});
    std::sort(best.begin(), best.end());
    double total = 0;
    for (int64_t i = 0; i < kUsed; ++i) total += std::exp(-best[i].first);
    for (int64_t i = 0; i < kUsed; ++i) {
      const auto made = numbers[best[i].second](Activation::silu, one);
      for (int64_t d = 0; d < kWidth; ++d) wanted[d] += std::exp(-best[i].first) / total * made[d];
    }
    const Tensor alone = experts(all.rows(row, 1));
    for (int64_t d = 0; d < kWidth; ++d) {
      EXPECT_NEAR((y.view<float, 2>()(row, d)), wanted[d], 2e-4);
      EXPECT_EQ((alone.view<float, 2>()(0, d)), (y.view<float, 2>()(row, d)));
    }
  }
  EXPECT_THROW(route(Tensor({2, 3}), 4), Error);
}

TEST(Softcap, IsItsFormula) {
  const std::vector<float> numbers{-100, -1, 0, 0.5f, 30};
  const Tensor made = softcap(Tensor::of(numbers.data(), {1, 5}), 5.0f);
  for (int64_t i = 0; i < 5; ++i) {
    EXPECT_NEAR((made.view<float, 2>()(0, i)), 5 * std::tanh(numbers[i] / 5), 1e-5);
  }
  EXPECT_THROW(softcap(Tensor({1, 1}), 0), Error);
}

}  // namespace
}  // namespace regard
