// linear_attention() against its recurrence in f64 and its quadratic form, and the bits it
// promises.
#include "regard/linear_attention.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <limits>

#include "kernels/bits.h"
#include "linear/recurrence.h"
#include "regard/error.h"

namespace regard::linear_test {
namespace {

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

Results<float> run(const Problem& p, int threads = 1) {
  const Size& s = p.size;
  Results<float> r;
  r.out.assign(static_cast<std::size_t>(s.batch * s.tokens * s.heads * s.dim_v), kNaN);
  r.state.assign(p.x.state.size(), kNaN);
  r.key_sum.assign(p.x.key_sum.size(), kNaN);
  LinearAttentionOutputs out;
  out.out = {r.out.data(), {s.batch, s.tokens, s.heads, s.dim_v}};
  out.state = {r.state.data(), {s.batch, s.kv_heads, s.dim, s.dim_v}};
  if (p.options.normalise) out.key_sum = {r.key_sum.data(), {s.batch, s.kv_heads, s.dim}};
  LinearAttentionOptions options = p.options;
  options.threads = threads;
  linear_attention(p.inputs(), out, options);
  return r;
}

void expect_same(const Results<float>& a, const Results<float>& b) {
  EXPECT_EQ(first_difference(a.out, b.out), -1);
  EXPECT_EQ(first_difference(a.state, b.state), -1);
  EXPECT_EQ(first_difference(a.key_sum, b.key_sum), -1);
}

// ‖is - expected‖ / ‖expected‖ over each row of `width` numbers; the worst.
double error_of(const Numbers& is, const Wide& expected, int64_t width) {
  double worst = 0;
  for (std::size_t row = 0; row < is.size(); row += static_cast<std::size_t>(width)) {
    double error = 0, size = 1e-30;
    for (std::size_t i = row; i < row + static_cast<std::size_t>(width); ++i) {
      error += (is[i] - expected[i]) * (is[i] - expected[i]);
      size += expected[i] * expected[i];
    }
    worst = std::max(worst, std::sqrt(error / size));
  }
  return worst;
}

const std::vector<Size> kSizes = {{1, 1, 1, 1, 1, 1},     {2, 3, 2, 2, 5, 17},
                                  {1, 35, 4, 2, 16, 64},  {2, 33, 3, 1, 33, 16},
                                  {1, 70, 1, 1, 15, 100}, {1, 6, 6, 2, 24, 130}};

TEST(LinearAttention, AgreesWithTheRecurrenceAndItsBitsWithEveryTargetAndThread) {
  for (const Problem& p : problems(kSizes)) {
    const Results<double> expected = recurrence(p, exact(p.x));
    Results<float> first;
    for (const Target target : available_targets()) {
      const ScopedTarget forced(target);
      SCOPED_TRACE(describe(p));
      const Results<float> is = run(p);
      EXPECT_LT(error_of(is.out, expected.out, static_cast<int64_t>(is.out.size())), 2e-6);
      EXPECT_LT(error_of(is.state, expected.state, static_cast<int64_t>(is.state.size())), 2e-6);
      if (p.options.normalise) {
        EXPECT_LT(error_of(is.key_sum, expected.key_sum, p.size.dim), 2e-6);
      }
      if (first.out.empty()) first = is;
      expect_same(first, is);
      expect_same(first, run(p, 3));
    }
  }
}

TEST(LinearAttention, LongSequencesStayExact) {
  for (const UpdateRule rule : {UpdateRule::gated, UpdateRule::gated_delta}) {
    const Problem p = make_problem({1, 4000, 1, 1, 32, 16}, {.rule = rule});
    const Results<double> expected = recurrence(p, exact(p.x));
    EXPECT_LT(error_of(run(p).out, expected.out, 4000 * 16), 1e-6);
  }
}

// The first `count` tokens, or those behind them, with a state of their own.
Problem part_of(const Problem& p, int64_t first, int64_t count, const Results<float>* before) {
  Problem part = p;
  part.size.tokens = count;
  const auto cut = [&](Numbers& x, int64_t width) {
    x.assign(x.begin() + first * width, x.begin() + (first + count) * width);
  };
  cut(part.x.q, p.size.heads * p.size.dim);
  cut(part.x.k, p.size.kv_heads * p.size.dim);
  cut(part.x.v, p.size.kv_heads * p.size.dim_v);
  if (p.decays()) cut(part.x.decay, p.size.kv_heads * p.wide());
  if (p.delta()) cut(part.x.beta, p.betas());
  if (before != nullptr) {
    part.x.state = before->state;
    part.x.key_sum = before->key_sum;
  }
  return part;
}

TEST(LinearAttention, APromptInChunksOrTokenByTokenHasTheSameBits) {
  for (const Problem& p : problems({{1, 70, 4, 2, 20, 70}})) {
    if (!p.options.causal) continue;
    SCOPED_TRACE(describe(p));
    const Results<float> whole = run(p);
    for (const std::vector<int64_t>& cuts :
         {std::vector<int64_t>{31, 1, 38}, std::vector<int64_t>(70, 1), {64, 6}, {0, 70, 0}}) {
      Results<float> chunks;
      int64_t first = 0;
      for (const int64_t count : cuts) {
        const Results<float> part =
            run(part_of(p, first, count, first == 0 && chunks.state.empty() ? nullptr : &chunks));
        chunks.out.insert(chunks.out.end(), part.out.begin(), part.out.end());
        chunks.state = part.state;
        chunks.key_sum = part.key_sum;
        first += count;
      }
      expect_same(whole, chunks);
    }
  }
}

TEST(LinearAttention, ABatchIsItsSequencesAndARaggedOneToo) {
  for (const Problem& p : problems({{3, 33, 2, 1, 18, 20}})) {
    SCOPED_TRACE(describe(p));
    const Results<float> all = run(p, 2);
    const Size& s = p.size;
    // Sequences next to each other in one array.
    Problem ragged = p;
    ragged.size.batch = 1;
    ragged.size.tokens = 3 * s.tokens;
    Results<float> r = all;
    std::fill(r.out.begin(), r.out.end(), kNaN);
    LinearAttentionInputs in = ragged.inputs();
    in.state.shape[0] = 3;
    if (p.options.normalise) in.key_sum.shape[0] = 3;
    const int64_t offsets[] = {0, s.tokens, 2 * s.tokens, 3 * s.tokens};
    in.offsets = offsets;
    if (!p.options.causal) in.key_offsets = offsets;
    LinearAttentionOutputs out;
    out.out = {r.out.data(), {1, 3 * s.tokens, s.heads, s.dim_v}};
    out.state = {r.state.data(), {3, s.kv_heads, s.dim, s.dim_v}};
    if (p.options.normalise) out.key_sum = {r.key_sum.data(), {3, s.kv_heads, s.dim}};
    linear_attention(in, out, p.options);
    expect_same(all, r);

    Problem one = p;
    one.size.batch = 1;
    const auto second = [](Numbers& x) {
      const auto third = static_cast<int64_t>(x.size()) / 3;
      x.assign(x.begin() + third, x.begin() + 2 * third);
    };
    for (Numbers* x :
         {&one.x.q, &one.x.k, &one.x.v, &one.x.decay, &one.x.beta, &one.x.state, &one.x.key_sum}) {
      second(*x);
    }
    for (Numbers* x : {&r.out, &r.state, &r.key_sum}) second(*x);
    expect_same(run(one), r);
  }
}

TEST(LinearAttention, RaggedSequencesMayBeEmptyAndRowsInNoneAreLeftAlone) {
  Problem p = make_problem({1, 10, 1, 1, 3, 5}, {.rule = UpdateRule::gated});
  p.x.state.resize(3 * 15);
  Numbers out(50, 7), state(45, kNaN);
  LinearAttentionInputs in = p.inputs();
  in.state.shape[0] = 3;
  const int64_t offsets[] = {2, 5, 5, 9};
  in.offsets = offsets;
  linear_attention(in,
                   {.out = View<float, 4>(out.data(), {1, 10, 1, 5}),
                    .state = View<float, 4>(state.data(), {3, 1, 3, 5})},
                   p.options);
  for (int i : {0, 9, 45, 49}) EXPECT_EQ(out[static_cast<std::size_t>(i)], 7);
  for (int i : {10, 44}) EXPECT_NE(out[static_cast<std::size_t>(i)], 7);
  for (std::size_t i = 15; i < 30; ++i) EXPECT_EQ(state[i], p.x.state[i]);
}

TEST(LinearAttention, StorageIsRoundedOnceAndStateMayStayWhereItIs) {
  for (const UpdateRule rule : {UpdateRule::linear, UpdateRule::gated_delta}) {
    Problem p = make_problem({2, 37, 2, 2, 20, 70}, {.rule = rule});
    const auto narrow = [](Numbers& x) {
      std::vector<f16> y;
      for (float& number : x) {
        y.push_back(to_f16(number));
        number = to_f32(y.back());
      }
      return y;
    };
    const std::vector<f16> q = narrow(p.x.q), k = narrow(p.x.k), beta = narrow(p.x.beta),
                           decay = narrow(p.x.decay), first_state = narrow(p.x.state);
    std::vector<bf16> v;
    for (float& number : p.x.v) {
      v.push_back(to_bf16(number));
      number = to_f32(v.back());
    }
    const Results<float> expected = run(p);
    for (const Target target : available_targets()) {
      const ScopedTarget forced(target);
      LinearAttentionInputs in = p.inputs();
      const auto replace = [](auto& view, const auto& memory) {
        if (view.data == nullptr) return;
        view.data = memory.data();
        view.dtype = dtype_of<std::remove_cvref_t<decltype(memory[0])>>();
      };
      std::vector<f16> state = first_state;
      replace(in.q, q);
      replace(in.k, k);
      replace(in.v, v);
      replace(in.beta, beta);
      replace(in.decay, decay);
      replace(in.state, state);
      std::vector<bf16> out(expected.out.size());
      LinearAttentionOutputs to;
      to.out = {out.data(), {2, 37, 2, 70}};
      to.state = {state.data(), {2, 2, 20, 70}};
      linear_attention(in, to, p.options);
      for (std::size_t i = 0; i < out.size(); ++i) {
        ASSERT_EQ(out[i].bits, to_bf16(expected.out[i]).bits);
      }
      for (std::size_t i = 0; i < state.size(); ++i) {
        ASSERT_EQ(state[i].bits, to_f16(expected.state[i]).bits);
      }
    }
  }
}

TEST(LinearAttention, AnyStrides) {
  const Problem p =
      make_problem({2, 9, 4, 2, 6, 7}, {.features = FeatureMap::elu, .normalise = true});
  const Results<float> expected = run(p);
  // Heads outside, and every number of q backwards.
  const Size& s = p.size;
  Numbers q(p.x.q.rbegin(), p.x.q.rend()), out(expected.out.size());
  LinearAttentionInputs in = p.inputs();
  in.q = View<const float, 4>(q.data() + q.size() - 1, {s.batch, s.tokens, s.heads, s.dim},
                              {-s.tokens * s.heads * s.dim, -s.heads * s.dim, -s.dim, -1});
  LinearAttentionOutputs to;
  to.out = View<float, 4>(out.data(), {s.batch, s.tokens, s.heads, s.dim_v},
                          {1, s.batch * s.heads * s.dim_v, s.batch * s.dim_v, s.batch});
  linear_attention(in, to, p.options);
  for (int64_t b = 0, i = 0; b < s.batch; ++b) {
    for (int64_t rest = 0; rest < s.tokens * s.heads * s.dim_v; ++rest, ++i) {
      ASSERT_TRUE(same_bits(out[static_cast<std::size_t>(rest * s.batch + b)],
                            expected.out[static_cast<std::size_t>(i)]));
    }
  }
}

// ---- the quadratic form: Σ_j φ(q)·φ(k_j) v_j over all keys, or over those up to the query ----

TEST(LinearAttention, S1_26_EqualsItsQuadraticForm) {
  for (const FeatureMap map : {FeatureMap::elu, FeatureMap::relu, FeatureMap::exp}) {
    for (const bool causal : {true, false}) {
      Problem p = make_problem({1, 520, 2, 1, 12, 10},
                               {.features = map, .normalise = true, .causal = causal});
      if (!causal) {
        p = make_problem({1, 70, 2, 1, 12, 10, 1100},
                         {.features = map, .normalise = true, .causal = false});
      }
      std::fill(p.x.state.begin(), p.x.state.end(), 0.0f);
      std::fill(p.x.key_sum.begin(), p.x.key_sum.end(), 0.0f);
      const Numbers out = run(p).out;
      Wide expected;
      for (int64_t i = 0; i < p.size.tokens; ++i) {
        for (int64_t h = 0; h < 2; ++h) {
          Wide sum(10);
          double weights = 0;
          for (int64_t j = 0; j < (causal ? i + 1 : p.size.keys); ++j) {
            double w = 0;
            for (int64_t d = 0; d < 12; ++d) {
              w += feature(map, p.x.q[static_cast<std::size_t>((i * 2 + h) * 12 + d)]) *
                   feature(map, p.x.k[static_cast<std::size_t>(j * 12 + d)]);
            }
            weights += w;
            for (int64_t m = 0; m < 10; ++m) {
              sum[static_cast<std::size_t>(m)] += w * p.x.v[static_cast<std::size_t>(j * 10 + m)];
            }
          }
          for (double x : sum) expected.push_back(weights == 0 ? 0 : x / weights);
        }
      }
      EXPECT_LT(error_of(out, expected, 10), 1e-5) << describe(p);
    }
  }
}

TEST(LinearAttention, ARowWhoseFeaturesAreAllZeroGivesZeros) {
  Problem p = make_problem({1, 3, 1, 1, 4, 5}, {.features = FeatureMap::relu, .normalise = true});
  for (std::size_t d = 4; d < 8; ++d) p.x.q[d] = -1;
  const Numbers out = run(p).out;
  for (std::size_t m = 0; m < 15; ++m) EXPECT_EQ(out[m] == 0, m / 5 == 1) << m;
}

TEST(LinearAttention, ANanIsSeenFromItsTokenOnAndNowhereElse) {
  for (const UpdateRule rule : {UpdateRule::linear, UpdateRule::gated_delta}) {
    for (const int64_t tokens : {4, 40}) {
      Problem p = make_problem({2, tokens, 1, 1, 5, 20}, {.rule = rule});
      p.x.v[static_cast<std::size_t>((tokens + 2) * 20 + 17)] = kNaN;  // sequence 1, token 2
      const Numbers out = run(p).out;
      for (int64_t i = 0; i < 2 * tokens * 20; ++i) {
        EXPECT_EQ(std::isnan(out[static_cast<std::size_t>(i)]),
                  i / 20 >= tokens + 2 && i % 20 == 17);
      }
      Problem q = make_problem({1, tokens, 2, 1, 5, 20}, {.rule = rule});
      q.x.q[static_cast<std::size_t>((2 * 2 + 1) * 5 + 4)] = kNaN;  // token 2, head 1
      const Results<float> r = run(q);
      for (int64_t i = 0; i < tokens * 40; ++i) {
        EXPECT_EQ(std::isnan(r.out[static_cast<std::size_t>(i)]), i / 20 == 5);
      }
      for (float x : r.state) EXPECT_FALSE(std::isnan(x));
    }
  }
}

TEST(LinearAttention, AnySizeMayBeZero) {
  for (const Size& s : {Size{0, 3, 2, 1, 4, 5}, Size{1, 0, 2, 1, 4, 5}, Size{1, 3, 0, 0, 4, 5},
                        Size{1, 3, 2, 1, 0, 5}, Size{1, 3, 2, 1, 4, 0}}) {
    for (const UpdateRule rule : {UpdateRule::linear, UpdateRule::gated, UpdateRule::delta}) {
      const Problem p = make_problem(s, {.rule = rule}, 1, true);
      const Results<float> r = run(p);
      for (float x : r.out) EXPECT_EQ(x, 0);
      EXPECT_EQ(first_difference(r.state, p.x.state),
                s.tokens > 0 && s.dim > 0 && s.dim_v > 0 && s.kv_heads > 0 && s.batch > 0 ? 0 : -1);
    }
  }
  const Problem p = make_problem({1, 4, 1, 1, 3, 2, 0}, {.normalise = true, .causal = false});
  EXPECT_EQ(first_difference(run(p).key_sum, p.x.key_sum), -1);
}

TEST(LinearAttention, RefusesInOneLine) {
  const auto refused =
      [](const std::string& words, LinearAttentionOptions options,
         const std::function<void(LinearAttentionInputs&, LinearAttentionOutputs&)>& spoil) {
        const Problem p = make_problem({1, 3, 4, 2, 5, 6}, options);
        Numbers out(3 * 4 * 6, 9), state(2 * 5 * 6);
        LinearAttentionInputs in = p.inputs();
        LinearAttentionOutputs to;
        to.out = {out.data(), {1, 3, 4, 6}};
        to.state = {state.data(), {1, 2, 5, 6}};
        spoil(in, to);
        try {
          linear_attention(in, to, options);
          ADD_FAILURE() << "taken: " << words;
        } catch (const Error& error) {
          const std::string text = error.what();
          EXPECT_NE(text.find(words), std::string::npos) << text;
          EXPECT_EQ(text.find("linear_attention: "), 0u) << text;
          EXPECT_EQ(text.find('\n'), std::string::npos);
        }
        EXPECT_EQ(out[0], 9);
      };
  using In = LinearAttentionInputs&;
  using Out = LinearAttentionOutputs&;
  const LinearAttentionOptions linear, gated{.rule = UpdateRule::gated},
      delta{.rule = UpdateRule::delta};
  refused("k is 1 x 2 x 2 x 5, must be 1 x 3 x 2 x 5", linear,
          [](In in, Out) { in.k.shape[1] = 2; });
  refused("v is", linear, [](In in, Out) { in.v.shape[2] = 1; });
  refused("heads (3) is not a positive multiple of kv_heads (2)", linear,
          [](In in, Out) { in.q.shape[2] = 3; });
  refused("out is 1 x 3 x 4 x 5, must be 1 x 3 x 4 x 6", linear,
          [](In, Out to) { to.out.shape[3] = 5; });
  refused("q holds f64", linear, [](In in, Out) { in.q.dtype = DType::f64; });
  refused("q has no memory", linear, [](In in, Out) { in.q.data = nullptr; });
  refused("a gated rule needs decay", gated, [](In in, Out) { in.decay = {}; });
  refused("decay is for gated rules", linear, [](In in, Out) { in.decay = in.q; });
  refused("decay has 3 numbers for each head, must have 1 or 5", gated,
          [](In in, Out) { in.decay.shape[3] = 3; });
  refused("a delta rule needs beta", delta, [](In in, Out) { in.beta = {}; });
  refused("beta has 3 heads, must have 1 or 2", delta, [](In in, Out) { in.beta.shape[2] = 3; });
  refused("state is 2 x 2 x 5 x 6", linear, [](In in, Out) { in.state.shape[0] = 2; });
  refused("key_sum is for normalise", linear, [](In in, Out) {
    in.key_sum = in.beta = {};
    in.key_sum.shape = {1, 2, 5};
  });
  refused("normalise is not for delta rules", {.rule = UpdateRule::delta, .normalise = true},
          [](In, Out) {});
  refused("scale cancels", {.normalise = true, .scale = 2.0f}, [](In, Out) {});
  refused("scale (nan)", {.scale = kNaN}, [](In, Out) {});
  refused("causal = false is for the linear rule", {.rule = UpdateRule::gated, .causal = false},
          [](In, Out) {});
  refused("threads (-1)", {.threads = -1}, [](In, Out) {});
  refused("output out overlaps v", linear,
          [](In in, Out to) { to.out.data = const_cast<void*>(in.v.data); });
  refused("output state overlaps state", linear, [](In in, Out to) {
    to.state.data = static_cast<float*>(const_cast<void*>(in.state.data)) + 1;
  });
  static const int64_t back[] = {0, 2, 1}, far[] = {0, 4};
  refused("offsets[2] is 1, must be in 2 .. 3", linear, [](In in, Out) { in.offsets = back; });
  refused("offsets[1] is 4, must be in 0 .. 3", linear, [](In in, Out) { in.offsets = far; });
  refused("key_offsets", linear, [](In in, Out) { in.key_offsets = far; });
}

}  // namespace
}  // namespace regard::linear_test
