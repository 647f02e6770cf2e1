// The reference on examples worked out by hand, and on every edge of the contract.
#include <gtest/gtest.h>

#include <cmath>

#include "menu.h"
#include "reference/normalise.h"
#include "reference/reference.h"
#include "regard/half.h"

namespace regard {
namespace {

using namespace regard::testing;
using V = std::vector<double>;

constexpr double kNone = -std::numeric_limits<double>::infinity();
constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

void expect_near(const V& is, const V& wanted, double within = 1e-15) {
  ASSERT_EQ(is.size(), wanted.size());
  for (std::size_t n = 0; n < is.size(); ++n) {
    EXPECT_TRUE(is[n] == wanted[n] || std::abs(is[n] - wanted[n]) <= within)
        << is[n] << ", not " << wanted[n] << " at " << n;
  }
}

// Scores s of one row: q = 1, k = s, v = 1, 10, 100, ...
Reference one_row(const V& s, AttentionOptions options, Matrices matrices = Matrices::keep) {
  const double q[] = {1};
  V v;
  for (std::size_t j = 0; j < s.size(); ++j) v.push_back(std::pow(10.0, j));
  const auto keys = static_cast<int64_t>(s.size());
  if (!options.scale) options.scale = 1;
  return reference_attention({q, {1, 1, 1}}, {s.data(), {keys, 1, 1}}, {v.data(), {keys, 1, 1}},
                             options, matrices);
}

TEST(Formula, NormalisersByHand) {
  const double e = std::exp(1.0);
  expect_near(one_row({1, 0}, {}).weights, {e / (1 + e), 1 / (1 + e)});
  EXPECT_NEAR(one_row({1, 0}, {}).lse[0], std::log(1 + e), 1e-15);
  const auto sunk = one_row({1, 0}, {.normaliser = softmax_with_sink(0.0f)});
  expect_near(sunk.weights, {e / (2 + e), 1 / (2 + e)});
  EXPECT_NEAR(sunk.lse[0], std::log(1 + e), 1e-15);  // without the sink
  expect_near(one_row({1, 0}, {.normaliser = softmax_with_sink(1000.0f)}).weights, {0, 0});
  expect_near(one_row({2, 0}, {.normaliser = sigmoid(-2)}).weights, {0.5, 1 / (1 + e * e)});
  expect_near(one_row({3, -1, 1}, {.normaliser = relu()}).weights, {0.75, 0, 0.25});
  expect_near(one_row({1, 0.5, -1}, {.normaliser = sparsemax()}).weights, {0.75, 0.25, 0});
  expect_near(one_row({0, 5}, {.normaliser = sparsemax()}).weights, {0, 1});
  // Of s / 2 = 0.6, 0.1, -1.5 the first two have mean 0.35 and squared deviations 0.125:
  // τ = 0.35 - √(0.875 / 2), p = (s / 2 - τ)².
  expect_near(one_row({1.2, 0.2, -3}, {.normaliser = entmax15()}).weights,
              {std::pow(0.25 + std::sqrt(0.4375), 2), std::pow(std::sqrt(0.4375) - 0.25, 2), 0});
  expect_near(one_row({1, 2, 2}, {.normaliser = hardmax()}).weights, {0, 1, 0});
  EXPECT_TRUE(one_row({1, 2, 2}, {.normaliser = hardmax()}).lse.empty());
}

// Sparsemax and entmax are where their papers say: of the form max(s - τ, 0) and max(s/2 - τ, 0)²,
// and of sum 1.
TEST(Formula, SparseWeightsSolveTheirEquations) {
  Random random(3);
  for (int n = 1; n < 200; ++n) {
    V s;
    for (int j = 0; j < n; ++j) s.push_back(random.normal() * (n % 3 == 0 ? 0.1 : 3));
    const V p = reference::normalise(sparsemax(), s).p, r = reference::normalise(entmax15(), s).p;
    double p_sum = 0, r_sum = 0;
    for (const double x : p) p_sum += x;
    for (const double x : r) r_sum += x;
    EXPECT_NEAR(p_sum, 1, 1e-13);
    EXPECT_NEAR(r_sum, 1, 1e-13);
    const auto top = static_cast<std::size_t>(std::max_element(s.begin(), s.end()) - s.begin());
    for (std::size_t j = 0; j < s.size(); ++j) {
      EXPECT_NEAR(p[j], std::max(s[j] - (s[top] - p[top]), 0.0), 1e-13);
      EXPECT_NEAR(std::sqrt(r[j]), std::max((s[j] - s[top]) / 2 + std::sqrt(r[top]), 0.0), 1e-7);
    }
  }
}

TEST(Formula, SimilaritiesByHand) {
  const double q[] = {3, 4}, k[] = {1, 2, 0, 0}, v[] = {1, 1};
  const auto similarities = [&](const Similarity& u, std::optional<float> scale = 1.0f) {
    return reference_attention({q, {1, 1, 2}}, {k, {2, 1, 2}}, {v, {2, 1, 1}},
                               {.similarity = u, .scale = scale}, Matrices::keep)
        .similarities;
  };
  const double root = std::sqrt(2.0);
  expect_near(similarities(dot()), {11, 0});
  expect_near(similarities(dot(), {}), {11 / root, 0}, 1e-14);
  expect_near(similarities(dot(), -0.5f), {-5.5, 0});
  expect_near(similarities(cosine(), {}), {11 / (5 * std::sqrt(5.0)), 0});
  expect_near(similarities(negative_distance()), {-8, -25});
  expect_near(similarities(negative_distance(), {}), {-8 / (2 * root), -25 / (2 * root)}, 1e-14);
  const Array w =
      Array::of("w", std::vector<float>{1.0f, 0.0f, 2.0f, -1.0f}, {2, 2});  // qᵀ W = (11, -4)
  expect_near(similarities(bilinear(w)), {3, 0});
  expect_near(similarities(bilinear(w), {}), {3 / root, 0}, 1e-14);
  const Array a = Array::of("a", std::vector<float>{1.0f, -2.0f});
  expect_near(similarities(additive(a), {}),
              {std::tanh(4) - 2 * std::tanh(6), std::tanh(3) - 2 * std::tanh(4)});
}

// q [1, heads 2], k and v [keys 2, heads 1]; parameters and sinks of each head.
TEST(Formula, HeadsHaveTheirOwnParameters) {
  const double q[] = {1, 1}, k[] = {1, 2}, v[] = {1, 0};
  const auto run = [&](const AttentionOptions& options) {
    return reference_attention({q, {1, 2, 1}}, {k, {2, 1, 1}}, {v, {2, 1, 1}}, options,
                               Matrices::keep);
  };
  const Array w = Array::of("w", std::vector<float>{2.0f, 3.0f}, {2, 1, 1});
  expect_near(run({.similarity = bilinear(w)}).similarities, {2, 4, 3, 6});
  const Array a = Array::of("a", std::vector<float>{2.0f, 3.0f}, {2, 1});
  expect_near(run({.similarity = additive(a)}).similarities,
              {2 * std::tanh(2), 2 * std::tanh(3), 3 * std::tanh(2), 3 * std::tanh(3)});
  const Array sinks = Array::of("sinks", std::vector<float>{0.0f, -INFINITY});
  const double e = std::exp(1.0), e2 = e * e;
  expect_near(run({.normaliser = softmax_with_sink(sinks)}).out, {e / (1 + e + e2), 1 / (1 + e)});
}

TEST(Formula, ProgramsRunInOrder) {
  using namespace program;
  // scale, score program, mask, normaliser, weight program
  const auto r = one_row({1, 2, 3}, {.mask = key() != 2,
                                     .score = score() + 1.0f,
                                     .normaliser = relu(),
                                     .weight = weight() * 2.0f,
                                     .scale = 2});
  expect_near(r.similarities, {2, 4, 6});
  expect_near(r.scores, {3, 5, 7});
  expect_near(r.masked, {3, 5, kNone});
  expect_near(r.normalised, {0.375, 0.625, 0});
  expect_near(r.weights, {0.75, 1.25, 0});
  expect_near(r.out, {0.75 + 12.5});
  expect_near(r.key_sums, {0.375, 0.625, 0});
  EXPECT_NEAR(r.entropy[0], -0.375 * std::log(0.375) - 0.625 * std::log(0.625), 1e-15);
}

// Rule 4 of the contract: no key, or none with a score above -inf, gives zeros.
TEST(Formula, EmptyRowsAreZeros) {
  for (const auto& dish : normaliser_menu()) {
    Maker maker({}, 1);
    const Normaliser normaliser = dish.make(maker);
    for (const V& s : {V{}, V{kNone, kNone}}) {
      const auto r = one_row(s, {.normaliser = normaliser, .weight = program::weight() + 1.0f});
      expect_near(r.out, {0});
      expect_near(r.weights, V(s.size(), 0));
      EXPECT_EQ(r.entropy[0], 0);
      EXPECT_TRUE(r.lse.empty() || r.lse[0] == kNone);
    }
    const auto masked = one_row({1, kNaN}, {.mask = program::key() < 0, .normaliser = normaliser});
    expect_near(masked.out, {0});
    expect_near(masked.weights, {0, 0});
  }
  expect_near(one_row({-1, 0}, {.normaliser = relu()}).out, {0});
}

TEST(Formula, NaNIsVisibleAndMaskedMeansAbsent) {
  for (const auto& dish : normaliser_menu()) {
    Maker maker({}, 1);
    const Normaliser normaliser = dish.make(maker);
    EXPECT_TRUE(std::isnan(one_row({1, kNaN, 2}, {.normaliser = normaliser}).out[0])) << dish.name;
    const AttentionOptions masked{.mask = program::key() != 1, .normaliser = normaliser};
    const double with_nan = one_row({1, kNaN, 2}, masked).out[0];
    EXPECT_EQ(with_nan, one_row({1, kInf, 2}, masked).out[0]) << dish.name;
    EXPECT_EQ(with_nan, one_row({1, -5, 2}, masked).out[0]) << dish.name;
    EXPECT_FALSE(std::isnan(with_nan)) << dish.name;
  }
  EXPECT_TRUE(std::isnan(one_row({1, kInf}, {}).out[0]));
  EXPECT_TRUE(std::isnan(one_row({1, kInf}, {}).lse[0]));
  EXPECT_EQ(one_row({1, kInf}, {.normaliser = hardmax()}).out[0], 10);
  EXPECT_EQ(one_row({1, kNone}, {}).out[0], 1);
  // A value whose weight is 0 is used all the same.
  const double q[] = {0}, k[] = {0, 5}, v[] = {kNaN, 1};
  EXPECT_TRUE(std::isnan(reference_attention({q, {1, 1, 1}}, {k, {2, 1, 1}}, {v, {2, 1, 1}},
                                             {.normaliser = sparsemax()})
                             .out[0]));
}

// An index out of range makes its row NaN, whatever the mask says, and no other.
TEST(Formula, AnIndexOutOfRangeIsVisible) {
  const double q[] = {1, 1}, k[] = {1, 2}, v[] = {1, 2};
  const Array ids = Array::of("ids", std::vector<int32_t>{0});
  const Reference r =
      reference_attention({q, {2, 1, 1}}, {k, {2, 1, 1}}, {v, {2, 1, 1}},
                          {.mask = (ids(program::row()) == 1) | (program::key() < 0)});
  EXPECT_EQ(r.out[0], 0);
  EXPECT_TRUE(std::isnan(r.out[1]));
}

// Two sequences in one array, the second of slab 1 begun at position 5 and named 9.
TEST(Formula, SegmentsSayWhereTheirRowsAndKeysLie) {
  using namespace program;
  const double q[] = {0, 0, 0, 0}, k[6] = {}, v[] = {1, 2, 3, 4, 5, 6};
  const std::vector<Segment> segments{
      {.first_row = 1, .rows = 1, .keys = 2, .first_key = 1},
      {.rows = 2, .keys = 1, .first_key = 2, .position = 5, .sequence = 9, .slab = 1}};
  const InputView<4> q4(q, {2, 2, 1, 1}), k4(k, {2, 3, 1, 1}), v4(v, {2, 3, 1, 1});
  const auto run = [&](const Expr& score) {
    return reference_attention(q4, k4, v4, segments, {.score = score}, Matrices::keep);
  };
  expect_near(run({}).out, {0, 2.5, 6, 6});
  expect_near(run({}).lse, {kNone, std::log(2.0), 0, 0});
  expect_near(run(to_real(query())).scores, {kNone, kNone, 1, 1, 5, kNone, 6, kNone});
  expect_near(run(to_real(sequence())).scores, {kNone, kNone, 0, 0, 9, kNone, 9, kNone});
  expect_near(run(to_real(row() + 10 * batch())).scores,
              {kNone, kNone, 0, 0, 10, kNone, 11, kNone});
  expect_near(run({}).key_sums, {0.5, 0.5, 2, 0});
}

TEST(Formula, ReadsEveryDtypeAndStride) {
  const f16 q[] = {to_f16(0.5f), to_f16(9.0f), to_f16(2.0f)};
  const bf16 k[] = {to_bf16(2.0f), to_bf16(-1.0f)};
  const float v[] = {3, 5};
  const Reference r =
      reference_attention(InputView<3>(q, DType::f16, {2, 1, 1}, {2, 1, 1}),        // 0.5, 2
                          InputView<3>(k + 1, DType::bf16, {2, 1, 1}, {-1, 1, 1}),  // -1, 2
                          InputView<3>(v, DType::f32, {2, 1, 1}, {0, 0, 0}), {.scale = 1},  // 3, 3
                          Matrices::keep);
  expect_near(r.scores, {-0.5, 1, -2, 4});
  expect_near(r.out, {3, 3});
}

TEST(Formula, WritesIntoViewsWhatItReturns) {
  const double q[] = {1, -1}, k[] = {0, 1, 2}, v[] = {1, 0, -1};
  const InputView<4> q4(q, {1, 2, 1, 1}), k4(k, {1, 3, 1, 1}), v4(v, {1, 3, 1, 1});
  const std::vector<Segment> segments{{.first_row = 1, .rows = 1, .keys = 2}};
  const AttentionOptions options{.scale = 1};
  double out[] = {7, 7};
  float lse[2] = {7, 7}, entropy[2], sums[2], top[3], similarities[6], scores[6], weights[6];
  int32_t keys[3];
  AttentionExtras extras;
  extras.lse = {lse, {1, 2, 1}};
  extras.entropy = {entropy, {1, 2, 1}};
  extras.key_sums = {sums, {1, 1, 2}};
  extras.top_weights = {top, {1, 1, 1, 3}, {0, 0, 0, 1}};
  extras.top_keys = {keys, {1, 1, 1, 3}, {0, 0, 0, 1}};
  extras.similarities = {similarities, {1, 2, 1, 3}};
  extras.scores = {scores, {1, 2, 1, 3}};
  extras.weights = {weights, {1, 2, 1, 3}};
  write_reference(q4, k4, v4, OutputView<4>(out, {1, 2, 1, 1}), segments, options, extras);
  const Reference r = reference_attention(q4, k4, v4, segments, options, Matrices::keep);
  EXPECT_EQ(out[0], 7);  // in no segment
  EXPECT_EQ(lse[0], 7);
  EXPECT_EQ(out[1], r.out[1]);
  EXPECT_EQ(lse[1], static_cast<float>(r.lse[1]));
  EXPECT_EQ(entropy[1], static_cast<float>(r.entropy[1]));
  EXPECT_EQ(sums[1], static_cast<float>(r.key_sums[1]));
  EXPECT_EQ(top[0], sums[0]);  // score 0 beats score -1
  EXPECT_EQ(keys[0], 0);
  EXPECT_EQ(keys[1], 1);
  EXPECT_EQ(keys[2], -1);
  EXPECT_EQ(top[2], 0);
  EXPECT_EQ(similarities[4], -1);
  EXPECT_EQ(similarities[5], 0);  // behind the segment's keys
  EXPECT_EQ(std::signbit(similarities[3]), false);
  EXPECT_EQ(scores[5], -INFINITY);
  EXPECT_EQ(weights[4], static_cast<float>(r.weights[3]));
}

TEST(Formula, GradientsOfEmptyRowsAreZerosWhateverIsMasked) {
  const double q[] = {kNaN, 1}, k[] = {kInf, 1}, v[] = {kNaN, 2}, dout[] = {kNaN, 3};
  for (const auto& dish : normaliser_menu()) {
    Maker maker({}, 1);
    const AttentionOptions options{.mask = (program::row() == 1) & (program::key() == 1),
                                   .normaliser = dish.make(maker)};
    const ReferenceGradients g = reference_gradients({q, {2, 1, 1}}, {k, {2, 1, 1}}, {v, {2, 1, 1}},
                                                     {dout, {2, 1, 1}}, options);
    EXPECT_EQ(g.dq[0], 0) << dish.name;
    EXPECT_EQ(g.dk[0], 0) << dish.name;
    EXPECT_EQ(g.dv[0], 0) << dish.name;
    EXPECT_TRUE(std::isfinite(g.dq[1] + g.dk[1] + g.dv[1])) << dish.name;
  }
}

}  // namespace
}  // namespace regard
