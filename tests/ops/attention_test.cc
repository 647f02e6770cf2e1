// Attention on the tape: gradients of q, k, v and of captured leaves, for every slot that layers
// use; and that a cache passes none.
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "ops/gradient_check.h"
#include "ops/ops.h"
#include "regard/program.h"

namespace regard {
namespace {

using namespace program;

// Numbers that f32 holds exactly and still does when the check moves them by its step, so that an
// array's rounding to f32 adds nothing to its differences.
Tensor coarse_f64(Tensor::Extents shape, uint32_t seed) {
  Tensor made = random_f64(shape, seed, 0.3);
  for (double& x : made.writable_numbers<double>()) {
    x = std::clamp(std::round(x * 256) / 256, -0.9, 0.9);
  }
  return made;
}

struct Shape {
  int64_t rows, keys, heads, kv_heads, dim, dim_v;
};

std::vector<Tensor> inputs(const Shape& s, uint32_t seed = 1) {
  return {random_f64({s.rows, s.heads, s.dim}, seed),
          random_f64({s.keys, s.kv_heads, s.dim}, seed + 1),
          random_f64({s.keys, s.kv_heads, s.dim_v}, seed + 2)};
}

// With options that depend on what is captured of the fourth input.
using OptionsOf = std::function<AttentionOptions(const Array*)>;

TensorFunction attend(std::vector<Segment> segments, OptionsOf options) {
  return [segments = std::move(segments), options = std::move(options)](auto in) {
    if (in.size() == 3) return attention(in[0], in[1], in[2], segments, options(nullptr));
    const CapturedLeaf leaf = capture("leaf", in[3]);
    return attention(in[0], in[1], in[2], segments, options(&leaf.array), {&leaf, 1});
  };
}

void check_both(const TensorFunction& function, const std::vector<Tensor>& in) {
  EXPECT_TRUE(check_gradients(function, in));
  EXPECT_TRUE(check_f32(function, in));
}

const Shape kSmall{5, 5, 4, 2, 6, 3};

TEST(AttentionOp, PassesGradientsThroughACausalMaskAndSharedHeads) {
  check_both(
      attend({{.rows = 5, .keys = 5}}, [](auto) { return AttentionOptions{.mask = causal()}; }),
      inputs(kSmall));
}

TEST(AttentionOp, PassesGradientsThroughAWindow) {
  check_both(
      attend({{.rows = 5, .keys = 5}},
             [](auto) { return AttentionOptions{.mask = causal_mask() & (query() - key() < 2)}; }),
      inputs(kSmall));
}

TEST(AttentionOp, PassesGradientsInsidePackedDocumentsAndNoneToPadding) {
  const std::vector<Segment> packed{{.first_row = 0, .rows = 2, .keys = 2, .first_key = 0},
                                    {.first_row = 2, .rows = 3, .keys = 3, .first_key = 2}};
  const TensorFunction function =
      attend(packed, [](auto) { return AttentionOptions{.mask = causal()}; });
  Shape shape = kSmall;
  shape.rows = shape.keys = 7;  // two behind the last document
  std::vector<Tensor> in = inputs(shape);
  check_both(function, in);
  const gradient_check::Run run =
      gradient_check::run(function, in, random_f64({7, shape.heads, shape.dim_v}, 9));
  for (const Tensor& gradient : run.gradients) {
    const auto numbers = gradient.numbers<double>();
    const auto row = numbers.size() / 7;
    for (std::size_t i = 5 * row; i < numbers.size(); ++i) EXPECT_EQ(numbers[i], 0);
  }
}

TEST(AttentionOp, PassesGradientsToAnotherTextsKeys) {
  check_both(
      attend({{.rows = 2, .keys = 4}, {.first_row = 2, .rows = 3, .keys = 5, .first_key = 4}},
             [](auto) { return AttentionOptions{.scale = 0.7f}; }),
      inputs({5, 9, 2, 2, 4, 4}));
}

TEST(AttentionOp, PassesGradientsOverManyTiles) {
  const Shape shape{200, 200, 2, 1, 8, 8};
  EXPECT_TRUE(check_f32(attend({{.rows = 150, .keys = 150},
                                {.first_row = 150, .rows = 50, .keys = 50, .first_key = 150}},
                               [](auto) { return AttentionOptions{.mask = causal()}; }),
                        inputs(shape)));
}

TEST(AttentionOp, GivesARelativeBiasItsGradient) {
  std::vector<Tensor> in = inputs(kSmall);
  in.push_back(coarse_f64({4, 5}, 7));  // [heads, 2 m + 1]
  check_both(attend({{.rows = 5, .keys = 5}},
                    [](const Array* table) {
                      return AttentionOptions{.mask = causal(), .score = relative_position(*table)};
                    }),
             in);
}

TEST(AttentionOp, GivesT5sBucketsTheirGradient) {
  std::vector<Tensor> in = inputs({9, 9, 2, 2, 4, 4});
  in.push_back(coarse_f64({8, 2}, 7));  // [buckets, heads]
  check_both(attend({{.rows = 9, .keys = 9}},
                    [](const Array* table) {
                      return AttentionOptions{.score = t5_bias(*table, 8, 6, true), .scale = 1.0f};
                    }),
             in);
}

TEST(AttentionOp, GivesSlopesTheirGradient) {
  std::vector<Tensor> in = inputs(kSmall);
  in.push_back(coarse_f64({4}, 7));
  check_both(attend({{.rows = 5, .keys = 5}},
                    [](const Array* slopes) {
                      return AttentionOptions{.mask = causal(), .score = alibi(*slopes)};
                    }),
             in);
}

TEST(AttentionOp, GivesSinksTheirGradient) {
  std::vector<Tensor> in = inputs(kSmall);
  in.push_back(coarse_f64({4}, 7));
  check_both(attend({{.rows = 5, .keys = 5}},
                    [](const Array* sinks) {
                      return AttentionOptions{.mask = causal(),
                                              .normaliser = softmax_with_sink(*sinks)};
                    }),
             in);
}

TEST(AttentionOp, GivesTheMatrixOfABilinearSimilarityItsGradient) {
  std::vector<Tensor> in = inputs(kSmall);
  in[1] = random_f64({5, 2, 4}, 11);
  in.push_back(coarse_f64({6, 4}, 7));
  check_both(attend({{.rows = 5, .keys = 5}},
                    [](const Array* w) { return AttentionOptions{.similarity = bilinear(*w)}; }),
             in);
}

TEST(AttentionOp, GivesTheVectorOfAnAdditiveSimilarityItsGradient) {
  std::vector<Tensor> in = inputs({4, 5, 2, 2, 6, 3});
  in.push_back(coarse_f64({2, 6}, 7));
  check_both(attend({{.rows = 4, .keys = 5}},
                    [](const Array* v) { return AttentionOptions{.similarity = additive(*v)}; }),
             in);
}

TEST(AttentionOp, PassesGradientsThroughDropoutAndOtherNormalisers) {
  for (const AttentionOptions& options :
       {AttentionOptions{.mask = causal(), .weight = dropout(0.4f, 17)},
        AttentionOptions{.mask = causal(), .normaliser = sigmoid(-1)},
        AttentionOptions{.score = softcap(2.0f), .normaliser = entmax15()}}) {
    check_both(attend({{.rows = 5, .keys = 5}}, [&](auto) { return options; }), inputs(kSmall));
  }
}

TEST(AttentionOp, ReadsALeafThatWasWrittenSinceThePlanWasMade) {
  const std::vector<Segment> segments{{.rows = 5, .keys = 5}};
  Tensor slopes({4});
  std::ranges::fill(slopes.writable_numbers<float>(), 0.5f);
  slopes.require_gradient();
  const CapturedLeaf leaf = capture("slopes", slopes);
  AttentionPlan plan({4, 2, 6, 3}, segments,
                     {.mask = causal(), .score = alibi(leaf.array), .threads = 1});
  std::vector<Tensor> in;
  for (const Tensor& x : inputs(kSmall)) in.push_back(gradient_check::to_f32(x));
  const Tensor before = attention(in[0], in[1], in[2], plan, {&leaf, 1});
  std::ranges::fill(slopes.writable_numbers<float>(), 1.5f);
  const Tensor after = attention(in[0], in[1], in[2], plan, {&leaf, 1});
  const Tensor wanted =
      attention(in[0], in[1], in[2], segments,
                {.mask = causal(), .score = alibi(Array::of("s", std::vector<float>(4, 1.5f)))});
  EXPECT_FALSE(gradient_check::same_numbers(before, after));
  EXPECT_TRUE(gradient_check::same_numbers(after, wanted));
  backward(after, before.detach());
  EXPECT_TRUE(slopes.gradient());
}

template <class Call>
std::string message(const Call& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return {};
}

TEST(AttentionOp, RefusesGradientsThroughACache) {
  KvCache cache({.layers = 1, .pages = 1, .page_keys = 16, .kv_heads = 2, .dim = 6, .dim_v = 3});
  const std::vector<int32_t> pages{0};
  const std::vector<Segment> segments{{.rows = 5, .keys = 5, .block_table = pages}};
  AttentionPlan plan({4, 2, 6, 3}, segments, {.mask = causal(), .threads = 1});
  std::vector<Tensor> in;
  for (const Tensor& x : inputs(kSmall)) in.push_back(gradient_check::to_f32(x));
  EXPECT_EQ(message([&] { attention(in[0], in[1], in[2], cache, 0, segments, plan); }), "");
  const char* const wanted =
      "attention: no gradient passes a key/value cache; train on steps without one, or compute "
      "under NoGradient";
  for (Tensor& x : in) {
    x.require_gradient();
    EXPECT_EQ(message([&] { attention(in[0], in[1], in[2], cache, 0, segments, plan); }), wanted);
    const NoGradient quiet;
    EXPECT_EQ(message([&] { attention(in[0], in[1], in[2], cache, 0, segments, plan); }), "");
    x = x.detach();
  }
}

TEST(AttentionOp, SaysWhichTensorsDoNotFit) {
  const std::vector<Segment> segments{{.rows = 2, .keys = 2}};
  const Tensor q({2, 4, 8}), k({2, 2, 8}), v({2, 2, 8});
  EXPECT_EQ(message([&] {
              attention(q.reshape({2, 32}), k, v, segments, {});
            }),
            "attention: q is f32 [2, 32], k f32 [2, 2, 8] and v f32 [2, 2, 8]; each must have the "
            "axes tokens, heads, dim");
  EXPECT_EQ(message([&] {
              attention(q, Tensor({2, 2, 8}, DType::f64), v, segments, {});
            }),
            "attention: q is f32 [2, 4, 8], k f64 [2, 2, 8] and v f32 [2, 2, 8]; all must be f32 "
            "or all f64");
}

}  // namespace
}  // namespace regard
