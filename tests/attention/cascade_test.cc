// Shared prefixes: the keys that all sequences begin with are attended once, and no bit changes,
// whether or not the prefix is a multiple of a chunk; put together by merge() it is the same to
// rounding.
#include <gtest/gtest.h>

#include "base/check.h"
#include "plan/expect_error.h"
#include "problem.h"

namespace regard {
namespace {

using namespace regard::testing;

// Sequences that begin with the same pages and go on each with its own keys.
struct Batch {
  static constexpr int64_t heads = 6, kv_heads = 2, dim = 16, dim_v = 20, page = 32;
  struct Own {
    int64_t rows, keys;  // behind the prefix
  };

  int64_t prefix, rows = 0;
  KvCache cache;
  std::vector<std::vector<int32_t>> tables;
  std::vector<Segment> segments;
  std::vector<float> q;

  Batch(int64_t prefix_keys, const std::vector<Own>& own, DType dtype)
      : prefix(prefix_keys),
        cache({.pages = 200,
               .page_keys = page,
               .kv_heads = kv_heads,
               .dim = dim,
               .dim_v = dim_v,
               .k_dtype = dtype,
               .v_dtype = dtype}) {
    int32_t next = 0;
    const auto take = [&] { return (next++ * 37 + 11) % 200; };
    std::vector<int32_t> shared;
    for (int64_t i = 0; i < prefix / page; ++i) shared.push_back(take());
    for (std::size_t s = 0; s < own.size(); ++s) {
      const int64_t keys = prefix + own[s].keys;
      // The page that the prefix fills in part is each sequence's own copy.
      tables.push_back(shared);
      while (static_cast<int64_t>(tables.back().size()) * page < keys)
        tables.back().push_back(take());
      const auto k = normals(1, prefix * kv_heads * dim), v = normals(2, prefix * kv_heads * dim_v);
      cache.append(0, tables.back(), 0, {k.data(), {prefix, kv_heads, dim}},
                   {v.data(), {prefix, kv_heads, dim_v}});
      const auto more_k = normals(10 + s, own[s].keys * kv_heads * dim);
      const auto more_v = normals(50 + s, own[s].keys * kv_heads * dim_v);
      cache.append(0, tables.back(), prefix, {more_k.data(), {own[s].keys, kv_heads, dim}},
                   {more_v.data(), {own[s].keys, kv_heads, dim_v}});
    }
    for (std::size_t s = 0; s < own.size(); ++s) {
      segments.push_back({rows, own[s].rows, prefix + own[s].keys, tables[s]});
      rows += own[s].rows;
    }
    q = normals(3, rows * heads * dim);
  }

  Result run(const AttentionOptions& options, int64_t shared_keys, std::string* words = nullptr,
             int64_t expected = -1) const {
    Result r{std::vector<float>(static_cast<std::size_t>(rows * heads * dim_v), 7.0f),
             std::vector<float>(static_cast<std::size_t>(rows * heads), 7.0f)};
    AttentionPlan plan({heads, kv_heads, dim, dim_v}, {}, options);
    plan.replan(segments, shared_keys);
    if (words != nullptr) *words = plan.explain();
    plan.run(cache, 0, View<const float, 3>(q.data(), {rows, heads, dim}),
             View<float, 3>(r.out.data(), {rows, heads, dim_v}),
             View<float, 2>(r.lse.data(), {rows, heads}));
    if (expected > 0) {
      EXPECT_NE(
          plan.explain().find("the first " + std::to_string(expected) + " keys are attended once"),
          std::string::npos)
          << plan.explain();
    }
    return r;
  }
};

TEST(Cascade, ChangesNoBitWhateverThePrefix) {
  const std::vector<Batch::Own> own{{1, 1}, {1, 130}, {3, 40}, {1, 700}, {0, 5}, {2, 2}};
  for (const int64_t prefix : {0, 1, 511, 512, 513, 640, 1024, 1500}) {
    for (const DType dtype : {DType::f32, DType::f16, DType::i8}) {
      const Batch batch(prefix, own, dtype);
      const Result plain = batch.run({.mask = causal(), .threads = 1}, 0);
      for (const Target target : available_targets()) {
        if (target == Target::scalar && (prefix != 513 || dtype != DType::i8)) continue;
        const ScopedTarget scope(target);
        for (const int threads : {1, 2, 3}) {
          const Result shared = batch.run({.mask = causal(), .threads = threads}, prefix, nullptr,
                                          prefix / 512 * 512);
          EXPECT_TRUE(same_bits(shared, plain))
              << prefix << " " << info(dtype).name << " " << name(target) << " " << threads;
        }
      }
    }
  }
}

// Nothing behind the prefix but the row itself; nothing at all; sinks, full masks, other
// normalisers, similarities.
TEST(Cascade, ChangesNoBitWhateverTheOptions) {
  const Batch batch(1024, {{1, 1}, {1, 0}, {4, 600}}, DType::bf16);
  const std::vector<AttentionOptions> all{
      {},
      {.normaliser = softmax_with_sink(0.5f)},
      {.normaliser = sigmoid()},
      {.normaliser = relu()},
      {.normaliser = hardmax()},
      {.similarity = cosine(), .scale = 8.0f},
      {.similarity = negative_distance()},
  };
  for (AttentionOptions options : all) {
    for (const int threads : {1, 2}) {
      options.threads = threads;
      const bool has_lse = options.normaliser.kind == Normaliser::Kind::softmax;
      const auto run = [&](int64_t shared_keys) {
        std::vector<float> out(static_cast<std::size_t>(batch.rows * batch.heads * batch.dim_v));
        std::vector<float> lse(static_cast<std::size_t>(batch.rows * batch.heads));
        AttentionPlan plan({batch.heads, batch.kv_heads, batch.dim, batch.dim_v}, {}, options);
        plan.replan(batch.segments, shared_keys);
        EXPECT_EQ(plan.explain().find("attended once") != std::string::npos, shared_keys > 0);
        plan.run(
            batch.cache, 0, {batch.q.data(), {batch.rows, batch.heads, batch.dim}},
            {out.data(), {batch.rows, batch.heads, batch.dim_v}},
            has_lse ? View<float, 2>(lse.data(), {batch.rows, batch.heads}) : View<float, 2>());
        return Result{out, lse};
      };
      EXPECT_TRUE(same_bits(run(1024), run(0)));
    }
  }
}

// The prefix attended once and the rest of each, put together by merge(): the same to rounding.
TEST(Cascade, IsAlsoWhatMergeMakesOfPrefixAndRest) {
  for (const int64_t prefix : {512, 700}) {
    const Batch batch(prefix, {{1, 30}, {1, 600}}, DType::f32);
    const Result whole = batch.run({.mask = causal(), .threads = 1}, prefix);
    std::vector<float> k(1400 * batch.kv_heads * batch.dim), v(1400 * batch.kv_heads * batch.dim_v);
    for (std::size_t s = 0; s < 2; ++s) {
      const int64_t keys = batch.segments[s].keys, rest = keys - prefix;
      const View<float, 3> k_view(k.data(), {keys, batch.kv_heads, batch.dim});
      const View<float, 3> v_view(v.data(), {keys, batch.kv_heads, batch.dim_v});
      batch.cache.read(0, batch.tables[s], 0, k_view, v_view);
      std::vector<float> out[2], lse[2];
      for (int part = 0; part < 2; ++part) {
        out[part].resize(batch.heads * batch.dim_v);
        lse[part].resize(batch.heads);
        const int64_t first = part == 0 ? 0 : prefix, count = part == 0 ? prefix : rest;
        attention(
            View<const float, 3>(batch.q.data() + static_cast<int64_t>(s) * batch.heads * batch.dim,
                                 {1, batch.heads, batch.dim}),
            k_view.rows(first, count), v_view.rows(first, count),
            View<float, 3>(out[part].data(), {1, batch.heads, batch.dim_v}), {},
            View<float, 2>(lse[part].data(), {1, batch.heads}));
      }
      const View<float, 3> into(out[0].data(), {1, batch.heads, batch.dim_v});
      const View<float, 2> into_lse(lse[0].data(), {1, batch.heads});
      merge(into, into_lse, {out[1].data(), into.shape}, {lse[1].data(), into_lse.shape}, into,
            into_lse);
      for (std::size_t i = 0; i < out[0].size(); ++i) {
        EXPECT_NEAR(out[0][i], whole.out[s * out[0].size() + i], 1e-6);
      }
    }
  }
}

TEST(Cascade, SaysWhyItIsNotUsedAndRefusesWhatIsWrong) {
  Batch batch(1024, {{1, 10}, {1, 20}}, DType::f16);
  const auto reason = [&](const AttentionOptions& options) {
    std::string words;
    const bool lse = options.normaliser.kind == Normaliser::Kind::softmax;
    if (lse) {
      EXPECT_TRUE(same_bits(batch.run(options, 1024, &words), batch.run(options, 0)));
    } else {
      AttentionPlan plan({batch.heads, batch.kv_heads, batch.dim, batch.dim_v}, {}, options);
      plan.replan(batch.segments, 1024);
      words = plan.explain();
    }
    return words;
  };
  EXPECT_NE(reason({.mask = causal() & program::window(100, 0)}).find("the mask hides some"),
            std::string::npos);
  EXPECT_NE(reason({.score = program::softcap(10)}).find("program may tell"), std::string::npos);
  EXPECT_NE(reason({.normaliser = sparsemax()}).find("all scores of a row"), std::string::npos);
  std::swap(batch.segments[0], batch.segments[1]);
  EXPECT_NE(reason({.mask = causal()}).find("next to each other"), std::string::npos);
  std::swap(batch.segments[0], batch.segments[1]);

  AttentionPlan plan({batch.heads, batch.kv_heads, batch.dim, batch.dim_v}, {},
                     {.mask = causal(), .threads = 1});
  expect_error([&] { plan.replan(batch.segments, 1035); },
               "1035 keys are shared, a segment has 1034");
  expect_error([&] { plan.replan(batch.segments, -1); }, "must not be negative");
  plan.replan(batch.segments, 1024);
  std::vector<float> out(2 * batch.heads * batch.dim_v, 7.0f);
  const View<float, 3> out_view(out.data(), {2, batch.heads, batch.dim_v});
  const View<const float, 3> q_view(batch.q.data(), {2, batch.heads, batch.dim});
  std::vector<int32_t> other = batch.tables[1];
  std::swap(other[3], other[4]);
  std::vector<Segment> segments = batch.segments;
  segments[1].block_table = other;
  plan.replan(segments, 1024);
  expect_error([&] { plan.run(batch.cache, 0, q_view, out_view); }, "block tables have pages");
  const std::vector<float> arrays(1100 * batch.kv_heads * batch.dim_v);
  expect_error(
      [&] {
        plan.run(q_view, {arrays.data(), {1044, batch.kv_heads, batch.dim}},
                 {arrays.data(), {1044, batch.kv_heads, batch.dim_v}}, out_view);
      },
      "takes pages, not arrays");
  for (const float x : out) EXPECT_EQ(x, 7.0f);
}

}  // namespace
}  // namespace regard
