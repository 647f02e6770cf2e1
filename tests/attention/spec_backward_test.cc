// What the texts claim of gradients. Items are those of docs/spec.md.
#include <gtest/gtest.h>

#include <functional>

#include "base/peak_memory.h"
#include "owned.h"
#include "problem.h"

namespace regard {
namespace {

using namespace regard::testing;

// Euclidean: -‖q - k‖, the root of the squared distance.
TEST(Spec, S0_3_EveryScorerStandsBehindOneOptionAndPassesAGradientCheck) {
  const Array w =
      Array::of("w", {0.5f, -1.0f, 0.25f, 2.0f, 1.0f, -0.5f, 0.0f, 1.5f, 1.0f}, {3, 3}, true);
  const Array v = Array::of("v", {1.0f, -0.5f, 2.0f}, {}, true);
  struct Scorer {
    const char* name;
    AttentionOptions options;
  };
  const std::vector<Scorer> scorers{
      {"dot", {.scale = 1}},
      {"scaled dot", {}},
      {"bilinear", {.similarity = bilinear(w)}},
      {"additive", {.similarity = additive(v)}},
      {"cosine", {.similarity = cosine()}},
      {"RBF", {.similarity = negative_distance()}},
      {"Euclidean",
       {.score = -sqrt(-program::score()), .similarity = negative_distance(), .scale = 1}}};
  for (const auto& [name, options] : scorers) {
    Random random(1);
    Doubles q = Doubles::normal(random, 3, 2, 3), k = Doubles::normal(random, 5, 1, 3),
            values = Doubles::normal(random, 5, 1, 2);
    const Doubles dout = Doubles::normal(random, 3, 2, 2);
    const auto loss = [&] {
      const Doubles out = attend(q, k, values, options);
      double sum = 0;
      for (std::size_t n = 0; n < out.data.size(); ++n) sum += out.data[n] * dout.data[n];
      return sum;
    };
    const auto g = gradients(q, k, values, dout, options);
    const auto check = [&, scorer = name](Doubles& x, const Doubles& dx) {
      for (std::size_t n = 0; n < x.data.size(); ++n) {
        const double at = x.data[n];
        x.data[n] = at + 1e-5;
        const double above = loss();
        x.data[n] = at - 1e-5;
        const double below = loss();
        x.data[n] = at;
        EXPECT_NEAR((above - below) / 2e-5, dx.data[n], 1e-6 * largest(dx.data)) << scorer;
      }
    };
    check(q, g.dq);
    check(k, g.dk);
    check(values, g.dv);
    // The kernels' own arithmetic.
    const auto narrow = [](const Doubles& x) {
      Floats y(x.shape[0], x.shape[1], x.shape[2]);
      std::copy(x.data.begin(), x.data.end(), y.data.begin());
      return y;
    };
    const auto f32 = gradients(narrow(q), narrow(k), narrow(values), narrow(dout), options);
    EXPECT_LE(largest_difference(f32.dq.data, narrow(g.dq).data), 2e-6 * largest(g.dq.data))
        << name;
    EXPECT_LE(largest_difference(f32.dk.data, narrow(g.dk).data), 2e-6 * largest(g.dk.data))
        << name;
  }
}

// With k the identity dq is ds, with v the identity dp is dout: the Jacobian row by row.
template <class T>
Owned<T> jacobian(const Owned<T>& z) {  // [1, 1, n] scores; [n, 1, n]: row i is ∂p_i/∂z
  const int64_t n = z.shape[2];
  const Owned<T> identity = Owned<T>::identity(n);
  std::vector<int64_t> again(static_cast<std::size_t>(n), 0);
  return gradients(z.rows(again), identity, identity, identity, {.scale = 1}).dq;
}

TEST(Spec, S1_19_TheGradientOfSoftmaxVanishesWhereItIsSure) {
  for (const float gap : {0.0f, 1.0f, 3.0f, 8.0f, 20.0f}) {
    const Floats z = Floats::of({{gap, 0}});
    const Floats p = weights_of(z, Floats::identity(2), {.scale = 1});
    const Floats j = jacobian(z);
    for (int64_t i = 0; i < 2; ++i) {
      const double sigma = p(0, 0, i);
      EXPECT_NEAR(j(i, 0, i), sigma * (1 - sigma), 1e-7);
    }
    EXPECT_LE(std::abs(j(0, 0, 0)), 0.25f + 1e-7f);
  }
}

TEST(Spec, S2_20_TheJacobianOfSoftmaxIsPTimesDeltaMinusP) {
  Random random(2);
  Doubles z = Doubles::normal(random, 1, 1, 7);
  z(0, 0, 3) = 6;  // p = .99
  const Doubles identity = Doubles::identity(7);
  const auto p_of = [&](const Doubles& scores) {
    return weights_of(scores, identity, {.scale = 1});
  };
  const Doubles p = p_of(z), j = jacobian(z);
  for (int64_t a = 0; a < 7; ++a) {
    double sum = 0;
    for (int64_t b = 0; b < 7; ++b) {
      EXPECT_NEAR(j(a, 0, b), p(0, 0, a) * ((a == b ? 1 : 0) - p(0, 0, b)), 1e-12);
      Doubles above = z, below = z;
      above(0, 0, b) += 1e-5;
      below(0, 0, b) -= 1e-5;
      EXPECT_NEAR((p_of(above)(0, 0, a) - p_of(below)(0, 0, a)) / 2e-5, j(a, 0, b), 1e-9);
      sum += j(a, 0, b);
    }
    EXPECT_NEAR(sum, 0, 1e-12);
  }
}

// One pass over tiles and the formula with whole matrices agree, forwards and backwards, and the
// workspace does not grow with rows times keys (16k x 16k scores would be 1 GB).
TEST(Spec, S2_43_TilesGiveWhatWholeMatricesGive) {
  Random random(3);
  const Floats q = Floats::normal(random, 140, 2, 16), k = Floats::normal(random, 600, 1, 16),
               v = Floats::normal(random, 600, 1, 16), dout = Floats::normal(random, 140, 2, 16);
  const AttentionOptions options{.mask = causal()};
  const auto doubles = [](const Floats& x) {
    return std::vector<double>(x.data.begin(), x.data.end());
  };
  const Reference out = reference_attention(q.view(), k.view(), v.view(), options);
  EXPECT_LE(relative_difference(doubles(attend(q, k, v, options)), out.out), 1e-5);
  const auto g = gradients(q, k, v, dout, options);
  const auto want = reference_gradients(q.view(), k.view(), v.view(), dout.view(), options);
  EXPECT_LE(relative_difference(doubles(g.dq), want.dq), 1e-5);
  EXPECT_LE(relative_difference(doubles(g.dk), want.dk), 1e-5);
  EXPECT_LE(relative_difference(doubles(g.dv), want.dv), 1e-5);

  const std::vector<int32_t> table(256, 0);
  int64_t bytes[2] = {};
  for (const int64_t n : {8192, 16384}) {
    const Segment all{.rows = n, .keys = n, .block_table = table};
    bytes[n / 16384] = AttentionPlan({8, 8, 64, 64}, {&all, 1}, {.mask = causal(), .threads = 2})
                           .workspace_bytes();
  }
  EXPECT_LE(bytes[1], 2 * bytes[0]);
  EXPECT_LT(bytes[1], 16 << 20);
}

TEST(Spec, S2_43_NoMatrixOfAllPairsIsEverAllocated) {
  Random random(5);
  const int64_t n = 16384;  // n x n numbers would be 1 GiB
  const Floats q = Floats::normal(random, n, 1, 8), k = Floats::normal(random, n, 1, 8),
               v = Floats::normal(random, n, 1, 8), dout = Floats::normal(random, n, 1, 8);
  if (!forget_peak()) GTEST_SKIP() << "the peak of this process cannot be measured";
  const int64_t grown =
      peak_growth([&] { EXPECT_EQ(gradients(q, k, v, dout, {.mask = causal()}).dq.tokens(), n); });
  EXPECT_GT(grown, 0);
  EXPECT_LT(grown, int64_t{128} << 20);
}

TEST(Spec, S3_6_GradientsOfGroupedHeadsAreSumsOverTheGroup) {
  Random random(4);
  const Floats q = Floats::normal(random, 9, 6, 16), k = Floats::normal(random, 40, 2, 16),
               v = Floats::normal(random, 40, 2, 16), dout = Floats::normal(random, 9, 6, 16);
  const auto repeated = [](const Floats& x) {
    Floats y(x.tokens(), 6, 16);
    for (int64_t j = 0; j < x.tokens(); ++j)
      for (int64_t h = 0; h < 6; ++h)
        for (int64_t d = 0; d < 16; ++d) y(j, h, d) = x(j, h / 3, d);
    return y;
  };
  const auto grouped = gradients(q, k, v, dout);
  const auto single = gradients(q, repeated(k), repeated(v), dout);
  EXPECT_TRUE(same_bits(grouped.dq.data, single.dq.data));
  const auto summed = [](const Floats& x) {
    Floats y(x.tokens(), 2, 16);
    for (int64_t j = 0; j < x.tokens(); ++j)
      for (int64_t h = 0; h < 6; ++h)
        for (int64_t d = 0; d < 16; ++d) y(j, h / 3, d) += x(j, h, d);
    return y.data;
  };
  EXPECT_LE(relative_difference(grouped.dk.data, summed(single.dk)), 1e-6);
  EXPECT_LE(relative_difference(grouped.dv.data, summed(single.dv)), 1e-6);
}

}  // namespace
}  // namespace regard
