// What the texts claim of attention as a sum over keys: its symmetries, its linearity in values,
// and what a mask leaves untouched. Items are those of docs/spec.md.
#include <gtest/gtest.h>

#include "owned.h"
#include "problem.h"

namespace regard {
namespace {

using namespace regard::testing;

TEST(Spec, S0_6_TheOrderOfKeysDoesNotMatter) {
  Random random(1);
  const Floats q = Floats::normal(random, 7, 2, 16), k = Floats::normal(random, 300, 1, 16),
               v = Floats::normal(random, 300, 1, 8);
  const Floats out = attend(q, k, v);
  for (int n = 0; n < 100; ++n) {
    const auto order = shuffled(random, 300);
    const Floats again = attend(q, k.rows(order), v.rows(order));
    EXPECT_LE(largest_difference(again.data, out.data), 1e-6 * largest(out.data));
  }
}

// Deep Sets: Σ_j (exp(s_j) v_j, exp(s_j)) and a quotient. Blocks of keys, merged in any order.
TEST(Spec, S0_7_BlocksOfKeysMergedInAnyOrderEqualOnePass) {
  Random random(2);
  const int64_t keys = 700;
  const Floats q = Floats::normal(random, 5, 2, 16), k = Floats::normal(random, keys, 2, 16),
               v = Floats::normal(random, keys, 2, 24);
  const Floats whole = attend(q, k, v);
  for (int n = 0; n < 30; ++n) {
    std::vector<int64_t> cuts{0, keys};
    for (int64_t cut = random.between(0, 6); cut > 0; --cut) cuts.push_back(random.below(keys + 1));
    std::sort(cuts.begin(), cuts.end());
    Floats out(5, 2, 24);
    std::vector<float> lse(10, -INFINITY), part_lse(10);
    for (const int64_t block : shuffled(random, static_cast<int64_t>(cuts.size()) - 1)) {
      const auto at = static_cast<std::size_t>(block);
      const Floats part_k = k.rows(cuts[at], cuts[at + 1]), part_v = v.rows(cuts[at], cuts[at + 1]);
      Floats part(5, 2, 24);
      attention(q.view(), part_k.view(), part_v.view(), part.view(), {},
                View<float, 2>(part_lse.data(), {5, 2}));
      merge(out.view(), View<float, 2>(lse.data(), {5, 2}), part.view(),
            View<float, 2>(part_lse.data(), {5, 2}), out.view(),
            View<float, 2>(lse.data(), {5, 2}));
    }
    EXPECT_LE(relative_difference(out.data, whole.data), 1e-6);
  }
}

TEST(Spec, S0_11_WithTheWeightsFixedTheOutputIsLinearInTheValues) {
  Random random(3);
  const Floats q = Floats::normal(random, 9, 2, 16), k = Floats::normal(random, 140, 1, 16);
  const Floats v = Floats::normal(random, 140, 1, 20), w = Floats::normal(random, 140, 1, 20);
  Floats mixed = v, wanted(9, 2, 20);
  for (std::size_t n = 0; n < mixed.data.size(); ++n) {
    mixed.data[n] = 0.75f * v.data[n] - 2 * w.data[n];
  }
  const Floats of_v = attend(q, k, v), of_w = attend(q, k, w);
  for (std::size_t n = 0; n < wanted.data.size(); ++n) {
    wanted.data[n] = 0.75f * of_v.data[n] - 2 * of_w.data[n];
  }
  EXPECT_LE(relative_difference(attend(q, k, mixed).data, wanted.data), 1e-6);
}

Floats times(const Floats& x, const Floats& w) {  // one head: [n, dim] [dim, m]
  Floats y(x.tokens(), 1, w.shape[2]);
  for (int64_t i = 0; i < x.tokens(); ++i)
    for (int64_t c = 0; c < w.shape[2]; ++c) {
      double sum = 0;
      for (int64_t d = 0; d < w.tokens(); ++d) sum += static_cast<double>(x(i, 0, d)) * w(d, 0, c);
      y(i, 0, c) = static_cast<float>(sum);
    }
  return y;
}

TEST(Spec, S0_12_AggregateThenProjectEqualsProjectThenAggregate) {
  Random random(4);
  const Floats x = Floats::normal(random, 60, 1, 32), w = Floats::normal(random, 32, 1, 12);
  EXPECT_LE(relative_difference(times(attend(x, x, x), w).data, attend(x, x, times(x, w)).data),
            1e-5);
}

TEST(Spec, S1_6_PaddedPositionsGetExactlyNothing) {
  Random random(5);
  const Floats q = Floats::normal(random, 4, 1, 8), k = Floats::normal(random, 40, 1, 8);
  const Array valid = Array::of("valid", std::vector<int32_t>{23});
  const Floats p = weights_of(q, k, {.mask = program::lengths(valid)});
  for (int64_t i = 0; i < 4; ++i) {
    double sum = 0;
    for (int64_t j = 0; j < 40; ++j) {
      EXPECT_TRUE(j < 23 || p(i, 0, j) == 0.0f);
      sum += p(i, 0, j);
    }
    EXPECT_NEAR(sum, 1, 1e-6);
  }
  const Array none = Array::of("valid", std::vector<int32_t>{0});
  for (const float x : weights_of(q, k, {.mask = program::lengths(none)}).data) EXPECT_EQ(x, 0.0f);
}

TEST(Spec, S1_12_DimOfValuesIsFree) {
  Random random(6);
  for (const int64_t dim_v : {1, 7, 16, 100}) {
    const Floats q = Floats::normal(random, 6, 2, 12), k = Floats::normal(random, 50, 2, 12),
                 v = Floats::normal(random, 50, 2, dim_v),
                 dout = Floats::normal(random, 6, 2, dim_v);
    const Reference want = reference_attention(q.view(), k.view(), v.view());
    const Floats out = attend(q, k, v);
    EXPECT_LE(relative_difference(std::vector<double>(out.data.begin(), out.data.end()), want.out),
              2e-6);
    const auto g = gradients(q, k, v, dout);
    const auto back = reference_gradients(q.view(), k.view(), v.view(), dout.view());
    const std::vector<double> dv(g.dv.data.begin(), g.dv.data.end());
    EXPECT_LE(relative_difference(dv, back.dv), 2e-6);
  }
}

TEST(Spec, S1_26_AWindowOfAllKeysIsFullAttention) {
  Random random(7);
  const Floats q = Floats::normal(random, 130, 1, 16), k = Floats::normal(random, 150, 1, 16),
               v = Floats::normal(random, 150, 1, 16);
  EXPECT_TRUE(
      same_bits(attend(q, k, v, {.mask = program::window(150, 150)}).data, attend(q, k, v).data));
  EXPECT_FALSE(
      same_bits(attend(q, k, v, {.mask = program::window(148, 148)}).data, attend(q, k, v).data));
}

TEST(Spec, S2_11_LayoutsAreStrides) {
  Random random(8);
  const int64_t batch = 2, tokens = 9, heads = 2, dim = 8;
  // One buffer of packed rows: [batch, tokens, 3, heads, dim].
  const Floats packed = Floats::normal(random, batch * tokens, 3 * heads, dim);
  const int64_t row = 3 * heads * dim;
  const auto part = [&](int64_t n) {
    return View<const float, 4>(packed.data.data() + n * heads * dim, {batch, tokens, heads, dim},
                                {tokens * row, row, dim, 1});
  };
  std::vector<float> out(static_cast<std::size_t>(batch * heads * tokens * dim));
  const View<float, 4> head_first(out.data(), {batch, tokens, heads, dim},
                                  {heads * tokens * dim, dim, tokens * dim, 1});
  attention(part(0), part(1), part(2), head_first);
  for (int64_t b = 0; b < batch; ++b) {
    Floats q(tokens, heads, dim), k = q, v = q;
    for (int64_t t = 0; t < tokens; ++t)
      for (int64_t h = 0; h < heads; ++h)
        for (int64_t d = 0; d < dim; ++d) {
          q(t, h, d) = part(0)(b, t, h, d);
          k(t, h, d) = part(1)(b, t, h, d);
          v(t, h, d) = part(2)(b, t, h, d);
        }
    const Floats dense = attend(q, k, v);
    for (int64_t t = 0; t < tokens; ++t)
      for (int64_t h = 0; h < heads; ++h)
        for (int64_t d = 0; d < dim; ++d) EXPECT_EQ(head_first(b, t, h, d), dense(t, h, d));
  }
}

TEST(Spec, S2_32_PaddingChangesNothingAndGetsNoGradient) {
  Random random(9);
  const Floats q = Floats::normal(random, 20, 2, 16), k = Floats::normal(random, 20, 2, 16),
               v = Floats::normal(random, 20, 2, 16), dout = Floats::normal(random, 20, 2, 16);
  const Floats alone = attend(q, k, v, {.mask = causal()});
  const auto g = gradients(q, k, v, dout, {.mask = causal()});
  for (const int64_t padding : {1, 12, 300}) {
    const auto pad = [&](const Floats& x) {  // padding holds what must not show
      Floats y(20 + padding, 2, 16, NAN);
      std::copy(x.data.begin(), x.data.end(), y.data.begin());
      return y;
    };
    const Array valid = Array::of("valid", std::vector<int32_t>{20});
    // Rows stand at the first positions; those of the padding may use no key.
    const AttentionOptions options{.mask = causal(Align::top_left) & program::lengths(valid) &
                                           (program::row() < 20)};
    const Floats out = attend(pad(q), pad(k), pad(v), options);
    EXPECT_TRUE(same_bits(out.rows(0, 20).data, alone.data));
    EXPECT_EQ(largest(out.rows(20, 20 + padding).data), 0);
    const auto padded = gradients(pad(q), pad(k), pad(v), pad(dout), options);
    EXPECT_TRUE(same_bits(padded.dq.rows(0, 20).data, g.dq.data));
    EXPECT_TRUE(same_bits(padded.dk.rows(0, 20).data, g.dk.data));
    EXPECT_TRUE(same_bits(padded.dv.rows(0, 20).data, g.dv.data));
    EXPECT_EQ(largest(padded.dq.rows(20, 20 + padding).data), 0);
    EXPECT_EQ(largest(padded.dk.rows(20, 20 + padding).data), 0);
    EXPECT_EQ(largest(padded.dv.rows(20, 20 + padding).data), 0);
  }
}

// Three documents of one packed row: as segments, as a mask, and each alone.
TEST(Spec, S2_33_PackedDocumentsAreAlone) {
  Random random(10);
  const std::vector<int64_t> lengths{5, 130, 17};
  const Floats q = Floats::normal(random, 152, 2, 16), k = Floats::normal(random, 152, 1, 16);
  Floats v = Floats::normal(random, 152, 1, 16);
  const Floats dout = Floats::normal(random, 152, 2, 16);
  std::vector<Segment> segments;
  std::vector<int32_t> ids;
  for (std::size_t n = 0, first = 0; n < lengths.size();
       first += static_cast<std::size_t>(lengths[n++])) {
    segments.push_back({.first_row = static_cast<int64_t>(first),
                        .rows = lengths[n],
                        .keys = lengths[n],
                        .first_key = static_cast<int64_t>(first)});
    ids.insert(ids.end(), static_cast<std::size_t>(lengths[n]), static_cast<int32_t>(n));
  }
  const Array documents = Array::of("documents", ids);
  const AttentionOptions packed{.mask = causal() & program::documents(documents)};
  const auto ragged = [&] {
    Floats out(152, 2, 16);
    attention(q.view(), k.view(), v.view(), out.view(), segments, {.mask = causal()});
    return out;
  };
  const Floats as_segments = ragged(), as_mask = attend(q, k, v, packed);
  EXPECT_LE(relative_difference(as_mask.data, as_segments.data), 1e-6);
  const auto g = gradients(q, k, v, dout, packed);
  for (const Segment& s : segments) {
    const int64_t end = s.first_row + s.rows;
    const Floats own_q = q.rows(s.first_row, end), own_k = k.rows(s.first_row, end),
                 own_v = v.rows(s.first_row, end), own_dout = dout.rows(s.first_row, end);
    EXPECT_TRUE(same_bits(as_segments.rows(s.first_row, end).data,
                          attend(own_q, own_k, own_v, {.mask = causal()}).data));
    const auto own = gradients(own_q, own_k, own_v, own_dout, {.mask = causal()});
    EXPECT_LE(relative_difference(g.dq.rows(s.first_row, end).data, own.dq.data), 1e-5);
    EXPECT_LE(relative_difference(g.dk.rows(s.first_row, end).data, own.dk.data), 1e-5);
    EXPECT_LE(relative_difference(g.dv.rows(s.first_row, end).data, own.dv.data), 1e-5);
  }
  // A change of the first document reaches no other, unless the mask is forgotten.
  const Floats leaking = attend(q, k, v, {.mask = causal()});
  v(2, 0, 3) += 1;
  EXPECT_TRUE(same_bits(ragged().rows(5, 152).data, as_segments.rows(5, 152).data));
  EXPECT_TRUE(same_bits(attend(q, k, v, packed).rows(5, 152).data, as_mask.rows(5, 152).data));
  EXPECT_FALSE(
      same_bits(attend(q, k, v, {.mask = causal()}).rows(5, 152).data, leaking.rows(5, 152).data));
}

TEST(Spec, S3_1_EveryTokenIsAMixtureOfAllAllowedOnes) {
  Random random(11);
  const Floats x = Floats::normal(random, 70, 1, 8);
  const Floats p = weights_of(x, x), out = attend(x, x, x);
  for (const float weight : p.data) EXPECT_GT(weight, 0.0f);
  for (int64_t d = 0; d < 8; ++d) {
    float least = INFINITY, most = -INFINITY;
    for (int64_t j = 0; j < 70; ++j) {
      least = std::min(least, x(j, 0, d));
      most = std::max(most, x(j, 0, d));
    }
    for (int64_t i = 0; i < 70; ++i) {
      EXPECT_GT(out(i, 0, d), least);
      EXPECT_LT(out(i, 0, d), most);
    }
  }
}

TEST(Spec, S3_6_CausalRowsIgnoreWhatComesLaterAndEndAtTheLastKey) {
  Random random(12);
  const Floats q = Floats::normal(random, 40, 1, 16);
  Floats k = Floats::normal(random, 60, 1, 16), v = Floats::normal(random, 60, 1, 16);
  const Floats before = attend(q, k, v, {.mask = causal()});
  const int64_t changed = 45;  // seen by rows from 45 - (60 - 40) on
  k(changed, 0, 2) += 3;
  v(changed, 0, 5) -= 3;
  const Floats after = attend(q, k, v, {.mask = causal()});
  EXPECT_TRUE(same_bits(after.rows(0, 25).data, before.rows(0, 25).data));
  for (int64_t i = 25; i < 40; ++i) {
    EXPECT_FALSE(same_bits(after.rows(i, i + 1).data, before.rows(i, i + 1).data)) << i;
  }
}

// Without positions attention is a set function; a causal mask or a relative bias breaks it.
TEST(Spec, S4_20_PermutedTokensGivePermutedOutputs) {
  Random random(13);
  const Floats x = Floats::normal(random, 3, 1, 16);  // dog bit man
  const std::vector<int64_t> order{2, 1, 0};          // man bit dog
  const Floats y = x.rows(order);
  const auto permuted_differs_by = [&](const AttentionOptions& options) {
    return relative_difference(attend(y, y, y, options).data,
                               attend(x, x, x, options).rows(order).data);
  };
  EXPECT_LE(permuted_differs_by({}), 1e-5);
  EXPECT_EQ(weights_of(y, y)(2, 0, 1), weights_of(x, x)(0, 0, 1));  // how much dog uses bit
  const Array slopes = Array::of("slopes", std::vector<float>{0.5f});
  EXPECT_GT(permuted_differs_by({.mask = causal()}), 1e-2);
  EXPECT_GT(permuted_differs_by({.score = program::alibi(slopes)}), 1e-2);
  EXPECT_GT(permuted_differs_by({.score = program::score() + to_real(program::key())}), 1e-2);
}

}  // namespace
}  // namespace regard
