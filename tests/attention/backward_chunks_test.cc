// The backward pass over several chunks and blocks of rows, where dq is handed from task to task
// and gradients of captured arrays meet: every kind of option against the reference, and the same
// bits whatever the threads and the target.
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "problem.h"
#include "reference/reference.h"

namespace regard {
namespace {

using namespace regard::testing;
using namespace regard::program;

struct Gradients {
  std::vector<float> dq, dk, dv;
  std::vector<std::vector<float>> arrays;
};

struct Batch {
  int64_t tokens = 430, keys = 900, heads = 2, kv_heads = 1, dim = 16, dim_v = 8;
  std::vector<Segment> segments = {
      {.first_row = 3, .rows = 260, .keys = 620, .first_key = 1},
      {.first_row = 263, .rows = 0, .keys = 10, .first_key = 622},
      {.first_row = 270, .rows = 150, .keys = 250, .first_key = 640, .sequence = 9}};
  std::vector<float> q = normals(1, tokens*heads*dim), k = normals(2, keys*kv_heads*dim),
                     v = normals(3, keys*kv_heads*dim_v), dout = normals(4, tokens*heads*dim_v);
  InputView<3> q_view() const { return {q.data(), {tokens, heads, dim}}; }
  InputView<3> k_view() const { return {k.data(), {keys, kv_heads, dim}}; }
  InputView<3> v_view() const { return {v.data(), {keys, kv_heads, dim_v}}; }
  InputView<3> dout_view() const { return {dout.data(), {tokens, heads, dim_v}}; }
};

Gradients run(const Batch& b, AttentionOptions options, const std::vector<Array>& arrays,
              int threads) {
  options.threads = threads;
  std::vector<float> out(b.dout.size()), lse(static_cast<std::size_t>(b.tokens * b.heads));
  AttentionExtras extras;
  const bool has_lse = options.normaliser.kind == Normaliser::Kind::softmax;
  if (has_lse) extras.lse = {lse.data(), {1, b.tokens, b.heads}};
  attention(b.q_view(), b.k_view(), b.v_view(),
            View<float, 3>(out.data(), {b.tokens, b.heads, b.dim_v}), b.segments, options, extras);
  Gradients g{std::vector<float>(b.q.size(), 7.0f),
              std::vector<float>(b.k.size(), 7.0f),
              std::vector<float>(b.v.size(), 7.0f),
              {}};
  std::vector<ArrayGradient> wanted;
  for (const Array& array : arrays) {
    int64_t size = 1;
    for (int axis = 0; axis < array.rank(); ++axis) size *= array.shape(axis);
    g.arrays.emplace_back(static_cast<std::size_t>(size), 7.0f);
  }
  for (std::size_t n = 0; n < arrays.size(); ++n) {
    wanted.push_back({arrays[n], g.arrays[n].data(), {}});
  }
  const View<const float, 2> lse_view(lse.data(), {b.tokens, b.heads});
  attention_backward(b.q_view(), b.k_view(), b.v_view(), {out.data(), {b.tokens, b.heads, b.dim_v}},
                     has_lse ? lse_view : View<const float, 2>(), b.dout_view(),
                     View<float, 3>(g.dq.data(), {b.tokens, b.heads, b.dim}),
                     View<float, 3>(g.dk.data(), {b.keys, b.kv_heads, b.dim}),
                     View<float, 3>(g.dv.data(), {b.keys, b.kv_heads, b.dim_v}), b.segments,
                     options, wanted);
  return g;
}

// ‖error‖ / ‖wanted‖ of the whole.
double off(const std::vector<float>& is, const std::vector<double>& want) {
  double error = 0, norm = 0;
  for (std::size_t n = 0; n < want.size(); ++n) {
    error += (is[n] - want[n]) * (is[n] - want[n]);
    norm += want[n] * want[n];
  }
  return norm == 0 ? error : std::sqrt(error / norm);
}

bool same(const Gradients& a, const Gradients& b) {
  bool equal = same_bits(a.dq, b.dq) && same_bits(a.dk, b.dk) && same_bits(a.dv, b.dv);
  for (std::size_t n = 0; n < a.arrays.size(); ++n) {
    equal = equal && same_bits(a.arrays[n], b.arrays[n]);
  }
  return equal;
}

void expect_right(const char* what, const AttentionOptions& options,
                  const std::vector<Array>& arrays = {}, double accuracy = 2e-6) {
  SCOPED_TRACE(what);
  const Batch b;
  const Gradients g = run(b, options, arrays, 1);
  const ReferenceGradients want =
      reference_gradients(as_batch(b.q_view()), as_batch(b.k_view()), as_batch(b.v_view()),
                          as_batch(b.dout_view()), b.segments, options);
  EXPECT_LE(off(g.dq, want.dq), accuracy);
  EXPECT_LE(off(g.dk, want.dk), accuracy);
  EXPECT_LE(off(g.dv, want.dv), accuracy);
  for (std::size_t n = 0; n < arrays.size(); ++n) {
    const std::vector<double> numbers = want.of(arrays[n]);
    EXPECT_LE(off(g.arrays[n], numbers), accuracy) << arrays[n].name();
    EXPECT_GT(off(std::vector<float>(numbers.size()), numbers), 0) << arrays[n].name();
  }
  for (const int threads : {2, 5})
    EXPECT_TRUE(same(run(b, options, arrays, threads), g)) << threads;
  for (const Target target : available_targets()) {
    if (target == Target::scalar) continue;
    const ScopedTarget forced(target);
    EXPECT_TRUE(same(run(b, options, arrays, 3), g)) << name(target);
  }
}

Array real(const char* name, std::vector<int64_t> shape, float scale = 1) {
  int64_t size = 1;
  for (const int64_t extent : shape) size *= extent;
  std::vector<float> numbers = normals(77, size);
  for (float& x : numbers) x *= scale;
  return Array::of(name, std::move(numbers), std::move(shape), true);
}

TEST(BackwardChunks, Masks) {
  expect_right("causal", {.mask = causal()});
  expect_right("window", {.mask = window(100, 20)});
  expect_right("top left", {.mask = causal(Align::top_left)});
  std::vector<int32_t> ids(640);
  for (int i = 0; i < 640; ++i) ids[static_cast<std::size_t>(i)] = i / 90;
  expect_right("documents", {.mask = documents(Array::of("ids", ids))});
  expect_right("dilated and a prefix", {.mask = (causal() & dilated(3)) | prefix(5)});
}

TEST(BackwardChunks, Normalisers) {
  const Array sinks = real("sinks", {2});
  expect_right("sinks", {.mask = causal(), .normaliser = softmax_with_sink(sinks)}, {sinks});
  expect_right("sigmoid", {.normaliser = sigmoid(-3)});
  expect_right("relu", {.mask = window(300, 0), .normaliser = relu()});
  expect_right("sparsemax", {.mask = causal(), .normaliser = sparsemax()}, {}, 4e-6);
  expect_right("entmax", {.mask = window(200, 200), .normaliser = entmax15()}, {}, 4e-6);
  expect_right("Gumbel", {.mask = causal(), .normaliser = gumbel_softmax(0.7f, 3)}, {}, 4e-6);
}

TEST(BackwardChunks, WeightPrograms) {
  expect_right("dropout", {.mask = causal(), .weight = dropout(0.3f, 4)});
  const Array gain = real("gain", {640});
  expect_right("squares", {.weight = weight() * weight() * gain(key())}, {gain}, 4e-6);
}

// Small arrays have a copy for each slot; the large ones here have more elements than that, and
// tasks that own rows, positions, keys, heads, sequences, or all.
TEST(BackwardChunks, CapturedArrays) {
  const Array slopes = real("slopes", {2}, 0.01f), table = real("table", {32, 2});
  expect_right("ALiBi and T5",
               {.mask = causal(), .score = t5_bias(table, 32, 128, false, alibi(slopes))},
               {slopes, table}, 8e-6);  // sums of terms that cancel
  const Array by_row = real("by row", {260, 620}, 0.5f),
              by_head = real("by head", {2, 40000}, 0.5f);
  ASSERT_GT(by_row.shape(0) * by_row.shape(1), 1 << 15);
  expect_right("by row", {.score = score() + by_row(row(), key())}, {by_row});
  const Array position = real("position", {640, 64}, 0.5f);
  expect_right("by position", {.score = score() + position(query(), mod(key(), 64))}, {position});
  const Array by_key = real("by key", {64, 640}, 0.5f);
  expect_right("by key", {.mask = causal(), .score = score() + by_key(mod(query(), 64), key())},
               {by_key});
  expect_right("by head", {.score = score() + by_head(head(), query() * 50 + mod(key(), 50))},
               {by_head});
  const Array by_batch = real("by sequence", {3, 16384}, 0.5f);
  expect_right("by sequence", {.score = score() + by_batch(batch(), query() * 20 + mod(key(), 20))},
               {by_batch});
  const Array shared = real("shared", {40000}, 0.5f);
  expect_right("by nobody", {.score = score() + shared(query() * 50 + mod(key(), 50))}, {shared});
  expect_right("twice, transposed",
               {.mask = key() < 600,
                .score = score() + by_row(row(), key()) + by_row(mod(key(), 260), row())},
               {by_row});
}

TEST(BackwardChunks, Similarities) {
  expect_right("cosine", {.mask = causal(), .similarity = cosine(), .scale = 4});
  expect_right("distance", {.mask = window(400, 9), .similarity = negative_distance()}, {}, 4e-6);
  const Array w = real("w", {2, 16, 16}, 0.25f), shared = real("w", {16, 16}, 0.25f);
  expect_right("bilinear", {.mask = causal(), .similarity = bilinear(w)}, {w});
  expect_right("bilinear, shared", {.similarity = bilinear(shared)}, {shared});
  const Array v = real("v", {2, 16});
  expect_right("additive", {.mask = causal(), .similarity = additive(v)}, {v}, 4e-6);
}

}  // namespace
}  // namespace regard
