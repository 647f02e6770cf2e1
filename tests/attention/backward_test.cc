// The backward pass: against the formula's chain rule in double precision, that chain rule against
// central differences, the same bits, and NaN where it belongs.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/check.h"
#include "problem.h"

namespace regard {
namespace {

using namespace regard::testing;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();

struct Gradients {
  std::vector<float> dq, dk, dv;
};

struct BackwardProblem : Problem {
  std::vector<float> dout;
  explicit BackwardProblem(const Size& s, uint64_t seed = 1)
      : Problem(s, seed), dout(normals(1000 + seed, s.rows * s.heads * s.dim_v)) {}
  View<const float, 3> dout_view() const {
    return {dout.data(), {size.rows, size.heads, size.dim_v}};
  }
};

Gradients run_backward(const BackwardProblem& p, int threads = 1) {
  const Size& s = p.size;
  const Result forward = run_strided(p, threads);
  Gradients g{std::vector<float>(p.q.size(), 7.0f), std::vector<float>(p.k.size(), 7.0f),
              std::vector<float>(p.v.size(), 7.0f)};
  attention_backward(p.q_view(), p.k_view(), p.v_view(),
                     {forward.out.data(), {s.rows, s.heads, s.dim_v}},
                     {forward.lse.data(), {s.rows, s.heads}}, p.dout_view(),
                     View<float, 3>(g.dq.data(), {s.rows, s.heads, s.dim}),
                     View<float, 3>(g.dk.data(), {s.keys, s.kv_heads, s.dim}),
                     View<float, 3>(g.dv.data(), {s.keys, s.kv_heads, s.dim_v}),
                     {.mask = p.mask(), .threads = threads});
  return g;
}

ReferenceGradients oracle(const BackwardProblem& p) {
  return reference_gradients(p.q_view(), p.k_view(), p.v_view(), p.dout_view(),
                             {.mask = p.mask(), .scale = p.scale()});
}

// The largest error of a row of `dim` numbers, as a share of that row's norm or of the root mean
// square norm of rows that are not 0: a row whose terms cancel has no norm of its own to speak of.
double row_error(const std::vector<float>& is, const std::vector<double>& want, int64_t dim,
                 double cancelled = 0) {
  double total = 0;
  int64_t alive = 0;
  for (std::size_t row = 0; row < want.size(); row += dim) {
    double norm = 0;
    for (std::size_t i = row; i < row + dim; ++i) norm += want[i] * want[i];
    total += norm;
    alive += norm > 0 ? 1 : 0;
  }
  const double typical = alive == 0 ? 0 : std::sqrt(total / static_cast<double>(alive));
  double worst = 0;
  for (std::size_t row = 0; row < want.size(); row += dim) {
    double error = 0, norm = 0;
    for (std::size_t i = row; i < row + dim; ++i) {
      error += (is[i] - want[i]) * (is[i] - want[i]);
      norm += want[i] * want[i];
    }
    const double off =
        error == 0 ? 0 : std::sqrt(error) / std::max({std::sqrt(norm), typical, cancelled});
    worst = std::isnan(off) ? INFINITY : std::max(worst, off);
  }
  return worst;
}

void expect_close(const BackwardProblem& p, int threads) {
  const Gradients g = run_backward(p, threads);
  const ReferenceGradients want = oracle(p);
  // With one key every ds is the difference of two equal sums of dim_v terms of size 1, and the
  // gradients are 0: their error is that of the sums. Rows of few keys are close to it, and stand
  // beside rows of hundreds.
  const Size& s = p.size;
  const double one = s.keys == 1 ? std::sqrt(static_cast<double>(s.dim_v)) : 0;
  const double all = one * std::sqrt(static_cast<double>(s.rows * s.heads / s.kv_heads));
  EXPECT_LE(row_error(g.dq, want.dq, s.dim, one), 5e-6) << describe(s);
  EXPECT_LE(row_error(g.dk, want.dk, s.dim, all), 5e-6) << describe(s);
  EXPECT_LE(row_error(g.dv, want.dv, p.size.dim_v), 2e-6) << describe(p.size);
}

bool same_bits(const Gradients& a, const Gradients& b) {
  return testing::same_bits(a.dq, b.dq) && testing::same_bits(a.dk, b.dk) &&
         testing::same_bits(a.dv, b.dv);
}

TEST(Backward, S0_21_AgreesWithTheChainRuleAroundEveryEdge) {
  for (const Target target : available_targets()) {
    const ScopedTarget forced(target);
    for (const int64_t rows : {1, 2, 11, 13, 127, 129, 260}) {
      for (const int64_t keys : {1, 15, 17, 129, 300}) {
        if (target == Target::scalar && rows * keys > 3000) continue;
        for (const bool causal : {false, true}) {
          expect_close(BackwardProblem({.rows = rows,
                                        .keys = keys,
                                        .heads = 2,
                                        .kv_heads = 1,
                                        .dim = 20,
                                        .dim_v = 33,
                                        .causal = causal}),
                       1);
        }
      }
    }
  }
}

TEST(Backward, AgreesWithTheChainRuleOverSeveralChunks) {
  for (const bool causal : {false, true}) {
    expect_close(BackwardProblem({.rows = 300,
                                  .keys = 1100,
                                  .heads = 1,
                                  .kv_heads = 1,
                                  .dim = 32,
                                  .dim_v = 32,
                                  .causal = causal}),
                 2);
    expect_close(BackwardProblem({.rows = 700,
                                  .keys = 540,
                                  .heads = 3,
                                  .kv_heads = 1,
                                  .dim = 40,
                                  .dim_v = 16,
                                  .causal = causal}),
                 2);
  }
}

TEST(Backward, TheOraclesChainRuleIsTheSlopeOfItsFormula) {
  BackwardProblem p(
      {.rows = 5, .keys = 7, .heads = 2, .kv_heads = 1, .dim = 6, .dim_v = 4, .causal = true});
  const ReferenceGradients want = oracle(p);
  const auto loss = [&] {
    const Reference r = reference_attention(p.q_view(), p.k_view(), p.v_view(),
                                            {.mask = p.mask(), .scale = p.scale()});
    double sum = 0;
    for (std::size_t i = 0; i < r.out.size(); ++i) sum += r.out[i] * p.dout[i];
    return sum;
  };
  const auto expect_slopes = [&](std::vector<float>& x, const std::vector<double>& gradient) {
    for (std::size_t i = 0; i < x.size(); ++i) {
      const float at = x[i], above = at + 0x1p-9f, below = at - 0x1p-9f;
      x[i] = above;
      const double more = loss();
      x[i] = below;
      const double less = loss();
      x[i] = at;
      EXPECT_NEAR((more - less) / (static_cast<double>(above) - below), gradient[i], 2e-5);
    }
  };
  expect_slopes(p.q, want.dq);
  expect_slopes(p.k, want.dk);
  expect_slopes(p.v, want.dv);
}

TEST(Backward, BitsDoNotDependOnThreadsOrTarget) {
  for (const Size& size :
       {Size{.rows = 400, .keys = 1200, .heads = 1, .kv_heads = 1}, Size{.rows = 600,
                                                                    .keys = 600,
                                                                    .heads = 6,
                                                                    .kv_heads = 2,
                                                                    .dim = 40,
                                                                    .dim_v = 24,
                                                                    .causal = true}}) {
    const BackwardProblem p(size);
    const Gradients one = run_backward(p, 1);
    for (const int threads : {2, 3, 7}) {
      EXPECT_TRUE(same_bits(run_backward(p, threads), one)) << describe(size) << ' ' << threads;
    }
    for (const Target target : available_targets()) {
      if (target == Target::scalar) continue;
      const ScopedTarget forced(target);
      EXPECT_TRUE(same_bits(run_backward(p, 2), one)) << describe(size) << ' ' << name(target);
    }
  }
  const BackwardProblem small({.rows = 70, .keys = 90, .heads = 2, .kv_heads = 1, .causal = true});
  const Gradients active = run_backward(small);
  const ScopedTarget forced(Target::scalar);
  EXPECT_TRUE(same_bits(run_backward(small), active));
}

TEST(Backward, ANanReachesOnlyThoseWhoUseIt) {
  const Size size{
      .rows = 40, .keys = 40, .heads = 1, .kv_heads = 1, .dim = 16, .dim_v = 16, .causal = true};
  const Gradients clean = run_backward(BackwardProblem(size));
  BackwardProblem p(size);
  p.k[25 * 16 + 3] = kNan;  // seen by rows 25 and later
  Gradients g = run_backward(p);
  for (int64_t row = 0; row < 40; ++row) {
    EXPECT_EQ(std::isnan(g.dq[row * 16]), row >= 25) << row;
  }
  // A NaN in dout of row 20 reaches the keys it sees, 0 .. 20, and its own dq.
  p = BackwardProblem(size);
  p.dout[20 * 16] = kNan;
  g = run_backward(p);
  for (int64_t key = 0; key < 40; ++key) {
    EXPECT_EQ(std::isnan(g.dv[key * 16]), key <= 20) << key;
    EXPECT_EQ(std::isnan(g.dk[key * 16]), key <= 20) << key;
    EXPECT_EQ(std::isnan(g.dq[key * 16]), key == 20) << key;
    if (key > 20) {
      EXPECT_EQ(g.dv[key * 16], clean.dv[key * 16]);
    }
  }
}

TEST(Backward, ARowWithoutKeysPassesNoGradient) {
  // Rows 0 .. 3 see no key; row 4 sees one whose score is -inf.
  BackwardProblem p(
      {.rows = 7, .keys = 3, .heads = 1, .kv_heads = 1, .dim = 16, .dim_v = 16, .causal = true});
  for (int64_t d = 0; d < 16; ++d) p.k[d] = 0;
  p.k[0] = 1;
  p.q[4 * 16] = -kInf;
  const Gradients g = run_backward(p);
  for (int64_t row = 0; row < 5; ++row) {
    for (int64_t d = 0; d < 16; ++d) {
      EXPECT_TRUE(testing::same_bits({g.dq[row * 16 + d]}, {0.0f})) << row;
    }
  }
  for (const float x : g.dv) EXPECT_TRUE(std::isfinite(x));
  for (const int64_t rows : {0, 3}) {
    const Gradients none = run_backward(
        BackwardProblem({.rows = rows, .keys = rows == 0 ? 3 : 0, .dim = 16, .dim_v = 16}));
    for (const float x : none.dq) EXPECT_EQ(x, 0.0f);
    for (const float x : none.dk) EXPECT_EQ(x, 0.0f);
    for (const float x : none.dv) EXPECT_EQ(x, 0.0f);
  }
}

TEST(Backward, TakesAnyStrides) {
  const Size size{.rows = 30, .keys = 50, .heads = 2, .kv_heads = 1, .dim = 20, .dim_v = 12};
  const BackwardProblem p(size);
  const Gradients want = run_backward(p);
  const Result forward = run_strided(p);
  // dim runs slowest, keys run backwards.
  std::vector<float> k(p.k.size()), dq(p.q.size());
  for (int64_t j = 0; j < 50; ++j) {
    for (int64_t d = 0; d < 20; ++d) k[d * 50 + 49 - j] = p.k[j * 20 + d];
  }
  std::vector<float> dk(p.k.size()), dv(p.v.size());
  attention_backward(p.q_view(), View<const float, 3>(k.data() + 49, {50, 1, 20}, {-1, 1000, 50}),
                     p.v_view(), {forward.out.data(), {30, 2, 12}}, {forward.lse.data(), {30, 2}},
                     p.dout_view(), View<float, 3>(dq.data(), {30, 2, 20}, {1, 30, 60}),
                     View<float, 3>(dk.data(), {50, 1, 20}, {1, 1000, 50}),
                     View<float, 3>(dv.data(), {50, 1, 12}));
  for (int64_t i = 0; i < 30; ++i) {
    for (int64_t h = 0; h < 2; ++h) {
      for (int64_t d = 0; d < 20; ++d) {
        EXPECT_EQ(dq[i + 30 * h + 60 * d], want.dq[(i * 2 + h) * 20 + d]);
      }
    }
  }
  for (int64_t j = 0; j < 50; ++j) {
    for (int64_t d = 0; d < 20; ++d) EXPECT_EQ(dk[j + 50 * d], want.dk[j * 20 + d]);
  }
  EXPECT_TRUE(testing::same_bits(dv, want.dv));
}

TEST(Backward, RefusesWhatDoesNotFit) {
  const BackwardProblem p({.rows = 3, .keys = 4, .dim = 8, .dim_v = 8});
  std::vector<float> out(24), lse(3), dq(24), dk(32), dv(32);
  const auto call = [&](int64_t tokens_of_lse, float* where_dq, AttentionOptions options) {
    attention_backward(p.q_view(), p.k_view(), p.v_view(), {out.data(), {3, 1, 8}},
                       {lse.data(), {tokens_of_lse, 1}}, p.dout_view(),
                       View<float, 3>(where_dq, {3, 1, 8}), View<float, 3>(dk.data(), {4, 1, 8}),
                       View<float, 3>(dv.data(), {4, 1, 8}), options);
  };
  const auto message = [&](auto&&... arguments) {
    try {
      call(arguments...);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string("no error");
  };
  EXPECT_NE(message(2, dq.data(), AttentionOptions{}).find("lse is 2 x 1, must be 3 x 1"),
            std::string::npos);
  EXPECT_NE(message(3, dk.data(), AttentionOptions{}).find("dk overlaps dq"), std::string::npos);
  EXPECT_NE(message(3, out.data(), AttentionOptions{}).find("dq overlaps out"), std::string::npos);
  EXPECT_NE(message(3, dq.data(), AttentionOptions{.scale = kNan}).find("scale"),
            std::string::npos);
  EXPECT_EQ(message(3, dq.data(), AttentionOptions{}), "no error");
}

}  // namespace
}  // namespace regard
