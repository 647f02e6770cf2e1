// What the texts claim of scores and of the weights made of them. Items are those of docs/spec.md.
#include <gtest/gtest.h>

#include <numeric>

#include "owned.h"
#include "problem.h"

namespace regard {
namespace {

using namespace regard::testing;
using program::score;
using program::weight;

// q = 1 and k = z: the scores of every row are z.
template <class T>
Owned<T> ones(int64_t rows) {
  return Owned<T>(rows, 1, 1, 1);
}
Floats column(const std::vector<float>& z) {
  Floats k(static_cast<int64_t>(z.size()), 1, 1);
  k.data = z;
  return k;
}
AttentionOptions unscaled(AttentionOptions options = {}) {
  options.scale = 1;
  return options;
}

// φ(x, c u) = c φ(x, u): the sum is linear in the weights, and no longer where they are squared.
TEST(Spec, S0_10_TheOutputIsProportionalToTheWeights) {
  Random random(1);
  const Floats q = Floats::normal(random, 8, 2, 16), k = Floats::normal(random, 90, 1, 16),
               v = Floats::normal(random, 90, 1, 16);
  const Floats linear = attend(q, k, v), square = attend(q, k, v, {.weight = weight() * weight()});
  for (const float c : {0.3f, 1.7f, -4.0f}) {
    const auto times_c = [&](Floats x) {
      for (float& number : x.data) number *= c;
      return x.data;
    };
    const Expr scaled = c * weight();
    EXPECT_LE(relative_difference(attend(q, k, v, {.weight = scaled}).data, times_c(linear)), 1e-6);
    EXPECT_GT(
        relative_difference(attend(q, k, v, {.weight = scaled * scaled}).data, times_c(square)),
        0.1);
  }
}

// Whole matrices of one batch of one: [tokens, keys] for one head.
struct Matrices {
  std::vector<float> similarities, scores, weights;
};
Matrices matrices_of(const Floats& q, const Floats& k, const Floats& v,
                     const AttentionOptions& options, Floats& out) {
  const auto size = static_cast<std::size_t>(q.tokens() * k.tokens());
  Matrices m{std::vector<float>(size), std::vector<float>(size), std::vector<float>(size)};
  const std::array<int64_t, 4> shape{1, q.tokens(), 1, k.tokens()};
  AttentionExtras extras;
  extras.similarities = {m.similarities.data(), shape};
  extras.scores = {m.scores.data(), shape};
  extras.weights = {m.weights.data(), shape};
  out = Floats(q.tokens(), 1, v.shape[2]);
  const auto batched = [](const Floats& x) {
    return View<const float, 4>(x.data.data(), {1, x.shape[0], x.shape[1], x.shape[2]});
  };
  attention(batched(q), batched(k), batched(v),
            View<float, 4>(out.data.data(), {1, out.shape[0], 1, out.shape[2]}), options, extras);
  return m;
}

Floats times(const Floats& x, const Floats& w, bool transposed = false) {  // x w or x wᵀ
  const int64_t columns = transposed ? w.tokens() : w.shape[2];
  Floats y(x.tokens(), 1, columns);
  for (int64_t i = 0; i < x.tokens(); ++i)
    for (int64_t c = 0; c < columns; ++c) {
      double sum = 0;
      for (int64_t d = 0; d < x.shape[2]; ++d) {
        sum += static_cast<double>(x(i, 0, d)) * (transposed ? w(c, 0, d) : w(d, 0, c));
      }
      y(i, 0, c) = static_cast<float>(sum);
    }
  return y;
}

TEST(Spec, S0_17_TheDotProductOfProjectionsIsABilinearForm) {
  Random random(2);
  const Floats x = Floats::normal(random, 20, 1, 24), w_q = Floats::normal(random, 24, 1, 8),
               w_k = Floats::normal(random, 24, 1, 8);
  const Floats q = times(x, w_q), k = times(x, w_k), w = times(w_q, w_k, true);
  Floats out;
  const Matrices dots = matrices_of(q, k, x, unscaled(), out);
  const Array form("w", View<const float, 2>(w.data.data(), {24, 24}));
  const Matrices forms = matrices_of(x, x, x, unscaled({.similarity = bilinear(form)}), out);
  EXPECT_LE(relative_difference(dots.similarities, forms.similarities), 1e-5);
  double asymmetry = 0;
  for (std::size_t i = 0; i < 20; ++i)
    for (std::size_t j = 0; j < 20; ++j) {
      asymmetry = std::max<double>(
          asymmetry, std::abs(dots.similarities[i * 20 + j] - dots.similarities[j * 20 + i]));
    }
  EXPECT_GT(asymmetry, 1);
}

TEST(Spec, S0_18_ShiftsOfAllScoresChangeNothingAndScalingKeepsTheOrder) {
  Random random(3);
  Doubles z = Doubles::normal(random, 50, 1, 1);
  const Doubles p = weights_of(ones<double>(1), z, unscaled());
  for (const double c : {-1e4, -3.0, 0.7, 1e4}) {
    const Doubles shifted = weights_of(ones<double>(1), z, unscaled({.score = score() + c}));
    EXPECT_LE(largest_difference(shifted.data, p.data), 1e-7);
  }
  // In f32 bit for bit, where z + c is exact.
  std::vector<float> exact;
  for (const double x : z.data) exact.push_back(static_cast<float>(std::round(x * 256) / 256));
  const Floats p32 = weights_of(ones<float>(1), column(exact), unscaled());
  for (const float c : {-512.0f, 3.5f, 4096.0f}) {
    EXPECT_TRUE(
        same_bits(weights_of(ones<float>(1), column(exact), unscaled({.score = score() + c})).data,
                  p32.data));
  }
  const auto order_of = [](const Doubles& weights) {
    std::vector<std::size_t> order(weights.data.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::sort(order.begin(), order.end(),
              [&](std::size_t a, std::size_t b) { return weights.data[a] < weights.data[b]; });
    return order;
  };
  double last = INFINITY;
  for (const float a : {0.1f, 0.5f, 1.0f, 2.0f, 5.0f}) {
    const Doubles scaled = weights_of(ones<double>(1), z, {.scale = a});
    EXPECT_EQ(order_of(scaled), order_of(z));
    double entropy = 0;
    for (const double x : scaled.data) entropy -= x * std::log(x);
    EXPECT_LT(entropy, last);
    last = entropy;
  }
}

// 100,000 draws, one a row: z = (1, 0, -1, 0.5).
TEST(Spec, S0_19_GumbelSoftmaxDrawsFromSoftmax) {
  const Floats k = column({1, 0, -1, 0.5f});
  const int64_t draws = 100000;
  const Floats p = weights_of(ones<float>(1), k, unscaled());
  const auto mean_weights = [&](float temperature, Normaliser::Sample sample,
                                double& mean_largest) {
    const Floats drawn = weights_of(
        ones<float>(draws), k, unscaled({.normaliser = gumbel_softmax(temperature, 11, sample)}));
    std::array<double, 4> mean{};
    mean_largest = 0;
    for (int64_t i = 0; i < draws; ++i) {
      float most = 0;
      for (int64_t j = 0; j < 4; ++j) {
        mean[static_cast<std::size_t>(j)] += drawn(i, 0, j) / static_cast<double>(draws);
        most = std::max(most, drawn(i, 0, j));
      }
      mean_largest += most / static_cast<double>(draws);
    }
    return mean;
  };
  const auto variation = [&](const std::array<double, 4>& mean) {
    double sum = 0;
    for (int64_t j = 0; j < 4; ++j) sum += std::abs(mean[static_cast<std::size_t>(j)] - p(0, 0, j));
    return sum / 2;
  };
  double largest = 0;
  EXPECT_LE(variation(mean_weights(1, Normaliser::Sample::hard, largest)), 0.01);
  EXPECT_NEAR(largest, 1, 1e-9);
  EXPECT_LE(variation(mean_weights(1, Normaliser::Sample::straight_through, largest)), 0.01);
  EXPECT_LE(variation(mean_weights(0.1f, Normaliser::Sample::soft, largest)), 0.01);
  EXPECT_NEAR(largest, 0.95, 0.01);
  EXPECT_GT(variation(mean_weights(2, Normaliser::Sample::soft, largest)), 0.1);  // flatter
  EXPECT_NEAR(largest, 0.47, 0.01);
}

TEST(Spec, S0_20_ScoresAreDividedByTheRootOfDim) {
  Random random(4);
  for (const int64_t dim : {4, 16, 64, 256}) {
    const Floats q = Floats::normal(random, 40, 1, dim), k = Floats::normal(random, 500, 1, dim);
    Floats out;
    const Matrices m = matrices_of(q, k, k, {}, out);
    double squares = 0;
    for (const float s : m.scores) squares += static_cast<double>(s) * s;
    EXPECT_NEAR(squares / static_cast<double>(m.scores.size()), 1, 0.1) << dim;
    EXPECT_TRUE(same_bits(attend(q, k, k).data,
                          attend(q, k, k, {.scale = 1 / std::sqrt(static_cast<float>(dim))}).data));
  }
}

// Both scorers behind one option, all pairs at once; neither contains the other.
TEST(Spec, S1_11_AdditiveAndDotProductScoresAreOneInterface) {
  Random random(5);
  const Floats q = Floats::normal(random, 6, 1, 8), k = Floats::normal(random, 30, 1, 8);
  const Array v = Array::of("v", std::vector<float>(8, 0.5f));
  for (const Similarity& similarity : {dot(), additive(v)}) {
    const AttentionOptions options{.similarity = similarity};
    const Reference want = reference_attention(q.view(), k.view(), k.view(), options);
    const Floats out = attend(q, k, k, options);
    EXPECT_LE(relative_difference(std::vector<double>(out.data.begin(), out.data.end()), want.out),
              2e-6);
  }
}

// score, softmax, weighted sum: each step shown, and together the output.
TEST(Spec, S2_8_TheRelationMatrixIsScoreThenSoftmaxThenSum) {
  Random random(6);
  const Floats q = Floats::normal(random, 12, 1, 16), k = Floats::normal(random, 33, 1, 16),
               v = Floats::normal(random, 33, 1, 5);
  Floats out;
  const Matrices m = matrices_of(q, k, v, {}, out);
  for (int64_t i = 0; i < 12; ++i) {
    double sum = 0;
    std::vector<double> mixed(5);
    for (int64_t j = 0; j < 33; ++j) {
      double dot = 0;
      for (int64_t d = 0; d < 16; ++d) dot += static_cast<double>(q(i, 0, d)) * k(j, 0, d);
      const auto at = static_cast<std::size_t>(i * 33 + j);
      EXPECT_NEAR(m.scores[at], dot / 4, 1e-6);
      sum += std::exp(static_cast<double>(m.scores[at]));
    }
    for (int64_t j = 0; j < 33; ++j) {
      const auto at = static_cast<std::size_t>(i * 33 + j);
      EXPECT_NEAR(m.weights[at], std::exp(static_cast<double>(m.scores[at])) / sum, 1e-6);
      for (int64_t d = 0; d < 5; ++d) {
        mixed[static_cast<std::size_t>(d)] += static_cast<double>(m.weights[at]) * v(j, 0, d);
      }
    }
    for (int64_t d = 0; d < 5; ++d) {
      EXPECT_NEAR(out(i, 0, d), mixed[static_cast<std::size_t>(d)], 1e-6);
    }
  }
}

TEST(Spec, S1_13_ScoresAndWeightsOfAnyRowAreShown) {
  Random random(7);
  const Floats q = Floats::normal(random, 9, 1, 16), k = Floats::normal(random, 140, 1, 16);
  Floats out;
  const AttentionOptions options{.mask = causal(), .score = program::softcap(2.0f)};
  const Matrices m = matrices_of(q, k, k, options, out);
  const Reference want =
      reference_attention(q.view(), k.view(), k.view(), options, regard::Matrices::keep);
  const auto near = [](const std::vector<float>& is, const std::vector<double>& wanted) {
    for (std::size_t n = 0; n < is.size(); ++n) EXPECT_NEAR(is[n], wanted[n], 2e-6);
  };
  near(m.similarities, want.similarities);
  near(m.scores, want.scores);
  near(m.weights, want.weights);
}

TEST(Spec, S1_20_TemperatureRaisesTheEntropy) {
  Random random(8);
  const int64_t rows = 200, keys = 64;
  double last = 0;
  const std::vector<std::pair<float, double>> expected{
      {0.1f, 0.11}, {0.5f, 0.64}, {1.0f, 0.89}, {2.0f, 0.97}, {10.0f, 0.999}};
  // Every head its own z: q = 1, k = z.
  const Floats q(1, rows, 1, 1), k = Floats::normal(random, keys, rows, 1);
  for (const auto& [temperature, wanted] : expected) {
    Floats out(1, rows, 1);
    std::vector<float> entropy(static_cast<std::size_t>(rows));
    AttentionExtras extras;
    extras.entropy = {entropy.data(), {1, 1, rows}};
    const View<const float, 4> q4(q.data.data(), {1, 1, rows, 1}),
        k4(k.data.data(), {1, keys, rows, 1});
    attention(q4, k4, k4, View<float, 4>(out.data.data(), {1, 1, rows, 1}),
              {.scale = 1 / temperature}, extras);
    const double mean = std::accumulate(entropy.begin(), entropy.end(), 0.0) /
                        static_cast<double>(rows) / std::log(static_cast<double>(keys));
    EXPECT_NEAR(mean, wanted, 0.03) << temperature;
    EXPECT_GT(mean, last);
    last = mean;
  }
}

TEST(Spec, S2_13_CosineIsTheDotProductOfDirections) {
  Random random(9);
  const Floats q = Floats::normal(random, 10, 1, 12), k = Floats::normal(random, 40, 1, 12);
  const auto directions = [](Floats x) {
    for (int64_t i = 0; i < x.tokens(); ++i) {
      double norm = 0;
      for (int64_t d = 0; d < 12; ++d) norm += static_cast<double>(x(i, 0, d)) * x(i, 0, d);
      for (int64_t d = 0; d < 12; ++d) {
        x(i, 0, d) = static_cast<float>(x(i, 0, d) / std::sqrt(norm));
      }
    }
    return x;
  };
  // With a scale cosine is query-key normalisation.
  EXPECT_LE(relative_difference(attend(q, k, k, {.similarity = cosine(), .scale = 10}).data,
                                attend(directions(q), directions(k), k, {.scale = 10}).data),
            2e-6);
  Floats out;
  const Floats a = Floats::of({{3, 0}, {0, 0}}), b = Floats::of({{0, 5}, {-2, 0}, {7, 7}});
  const Matrices m = matrices_of(a, b, b, {.similarity = cosine()}, out);
  const std::vector<float> wanted{0, -1, std::sqrt(0.5f), 0, 0, 0};
  for (std::size_t n = 0; n < wanted.size(); ++n) EXPECT_NEAR(m.scores[n], wanted[n], 1e-7);
}

// exp is exactly 0 where its result would lie below 2^-126, 87.34 below the largest score.
TEST(Spec, S2_17_WeightsArePositiveDownToTheSmallestNumber) {
  Random random(10);
  const Floats q = Floats::normal(random, 20, 1, 16), k = Floats::normal(random, 600, 1, 16);
  const Floats p = weights_of(q, k);
  for (int64_t i = 0; i < 20; ++i) {
    double sum = 0;
    for (int64_t j = 0; j < 600; ++j) {
      EXPECT_GT(p(i, 0, j), 0.0f);
      sum += p(i, 0, j);
    }
    EXPECT_NEAR(sum, 1, 1e-6);
  }
  const Floats far = weights_of(ones<float>(1), column({0, -87.2f, -87.4f}), unscaled());
  EXPECT_GT(far(0, 0, 1), 0.0f);
  EXPECT_EQ(far(0, 0, 2), 0.0f);
}

TEST(Spec, S2_19_SoftmaxIsStableForAnyFiniteScores) {
  const Floats v = Floats::of({{1}, {2}, {4}, {8}});
  const auto out = [&](const std::vector<float>& z, const AttentionOptions& options = unscaled()) {
    return attend(ones<float>(1), column(z), v, options)(0, 0, 0);
  };
  EXPECT_EQ(out({1e30f, -1e30f, 0, 1}), 1.0f);
  EXPECT_EQ(out({-1e30f, -1e30f, -1e30f, -1e30f}), 3.75f);
  EXPECT_EQ(out({90, 90, 90, 90}), 3.75f);  // exp(90) alone is out of range
  EXPECT_EQ(out({-INFINITY, 3, -INFINITY, 3}), 5.0f);
  EXPECT_EQ(out({1e30f, 1e30f, 7, 1e30f}, unscaled({.mask = program::key() == 2})), 4.0f);
}

}  // namespace
}  // namespace regard
