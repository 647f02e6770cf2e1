// The contract at its edges: empty rows and sizes, NaN and infinity where they are and are not
// allowed to matter, strides, aliases, guard bytes, refusals.
#include <gtest/gtest.h>

#include <limits>

#include "base/check.h"
#include "plan/expect_error.h"
#include "problem.h"

namespace regard {
namespace {

using namespace regard::testing;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();

TEST(Edges, ARowWithoutKeysIsZeroAndItsLseMinusInfinity) {
  for (const int64_t keys : {0, 1, 5}) {
    const Problem p({.rows = 9, .keys = keys, .heads = 2, .kv_heads = 1, .causal = true});
    const Result r = run_strided(p, 2);
    for (int64_t row = 0; row < 9; ++row) {
      for (int64_t h = 0; h < 2; ++h) {
        const bool empty = row < 9 - keys;
        EXPECT_EQ(r.lse[row * 2 + h] == -kInf, empty);
        for (int64_t d = 0; d < 64; ++d) {
          if (empty) {
            EXPECT_TRUE(same_bits({r.out[(row * 2 + h) * 64 + d]}, {0.0f}));
          }
        }
      }
    }
  }
}

TEST(Edges, AnySizeMayBeZero) {
  for (const Size& size : {Size{.rows = 0, .keys = 5}, Size{.rows = 5, .keys = 0},
                           Size{.rows = 2, .keys = 3, .heads = 0, .kv_heads = 0},
                           Size{.rows = 2, .keys = 3, .dim = 64, .dim_v = 0}}) {
    const Problem p(size);
    Result r = empty_result(size);
    attention(p.q_view(), p.k_view(), p.v_view(),
              View<float, 3>(r.out.data(), {size.rows, size.heads, size.dim_v}));
    for (const float x : r.out) EXPECT_EQ(x, 0.0f);
  }
  // With dim 0 every score is 0: the mean of the values.
  const float v[] = {1, 2, 6};
  float out[1];
  attention(View<const float, 3>(v, {1, 1, 0}), View<const float, 3>(v, {3, 1, 0}),
            View<const float, 3>(v, {3, 1, 1}), View<float, 3>(out, {1, 1, 1}));
  EXPECT_FLOAT_EQ(out[0], 3.0f);
}

TEST(Edges, CausalTopLeftCountsFromTheFirstKey) {
  const Problem p({.rows = 4, .keys = 9});
  Result r = empty_result(p.size);
  attention(p.q_view(), p.k_view(), p.v_view(), View<float, 3>(r.out.data(), {4, 1, 64}),
            {.mask = causal(Align::top_left)});
  for (int64_t d = 0; d < 64; ++d) EXPECT_EQ(r.out[d], p.v[d] + 0.0f);  // row 0: key 0 alone
}

// For every size around vector, panel, tile and chunk: a NaN that a row may use makes that row NaN,
// and no other.
TEST(Edges, NanIsVisibleExactlyWhereItIsUsed) {
  for (const Target target : available_targets()) {
    const ScopedTarget scope(target);
    for (const int64_t keys : {1, 2, 7, 8, 9, 15, 16, 17, 127, 128, 129, 511, 512, 513}) {
      for (const int64_t bad : {int64_t{0}, keys / 2, keys - 1}) {
        for (const int what : {0, 1, 2}) {  // in k, in v, infinite v
          for (const int64_t rows : {std::min<int64_t>(keys, 3), std::min<int64_t>(keys, 40)}) {
            Problem p({.rows = rows, .keys = keys, .dim = 16, .dim_v = 16, .causal = true});
            (what == 0 ? p.k : p.v)[bad * 16 + 3] = what == 2 ? kInf : kNan;
            for (const Result& r : {run_strided(p), run_paged(p, {.page_keys = 16})}) {
              for (int64_t row = 0; row < rows; ++row) {
                const bool uses = keys - rows + row >= bad;
                for (int64_t d = 0; d < 16; ++d) {
                  const float x = r.out[row * 16 + d];
                  const bool spoilt = uses && (what == 0 || d == 3);
                  ASSERT_EQ(std::isfinite(x), !spoilt)
                      << name(target) << " keys " << keys << " bad " << bad << " what " << what
                      << " rows " << rows << " row " << row << " d " << d << " x " << x;
                }
                ASSERT_EQ(std::isnan(r.lse[row]), uses && what == 0);
              }
            }
          }
        }
      }
    }
  }
}

TEST(Edges, ANanQuerySpoilsItsRowAtEverySize) {
  for (const Target target : available_targets()) {
    const ScopedTarget scope(target);
    for (const int64_t keys : {1, 3, 7, 8, 9, 16, 17, 129}) {
      Problem p({.rows = 5, .keys = keys, .dim = 16, .dim_v = 16});
      p.q[2 * 16 + 5] = kNan;
      const Result r = run_strided(p);
      for (int64_t i = 0; i < 5 * 16; ++i) EXPECT_EQ(std::isnan(r.out[i]), i / 16 == 2);
    }
  }
}

TEST(Edges, UnusedPageTailsAndFormerOwnersNeverShow) {
  const Problem former({.rows = 1, .keys = 64, .dim = 16, .dim_v = 16});
  for (const int64_t keys : {1, 5, 16, 17, 40, 63}) {
    const Problem p({.rows = 3,
                     .keys = std::max<int64_t>(keys, 3),
                     .heads = 1,
                     .kv_heads = 1,
                     .dim = 16,
                     .dim_v = 16,
                     .causal = true});
    KvCache cache({.pages = 1,
                   .kv_heads = 1,
                   .dim = 16,
                   .dim_v = 16,
                   .k_dtype = DType::f32,
                   .v_dtype = DType::f32});
    const std::vector<int32_t> table{0};
    std::vector<float> poison(64 * 16, kNan);
    const View<const float, 3> bad(poison.data(), {64, 1, 16});
    cache.append(0, table, 0, bad, bad);
    cache.append(0, table, 0, p.k_view(), p.v_view());
    const Segment segment{0, 3, p.size.keys, table};
    AttentionPlan plan({1, 1, 16, 16}, {&segment, 1}, {.mask = causal(), .threads = 1});
    ThreadPool pool(1);
    Result r = empty_result(p.size);
    plan.run(cache, 0, p.q_view(), View<float, 3>(r.out.data(), {3, 1, 16}), pool);
    EXPECT_TRUE(same_bits(r.out, run_strided(p).out)) << keys;
  }
}

TEST(Edges, LargeScoresDoNotOverflow) {
  Problem p({.rows = 2, .keys = 300, .dim = 16, .dim_v = 16});
  for (float& x : p.q) x *= 1e10f;
  for (float& x : p.k) x *= 1e9f;
  EXPECT_LE(distance(p, run_strided(p)).out, 2e-6);
  for (float& x : p.k) x = -std::abs(x) * 1e3f;
  for (float& x : p.q) x = std::abs(x);
  EXPECT_LE(distance(p, run_strided(p)).out, 2e-6);  // every score far below zero
}

TEST(Edges, AnInfiniteScoreGivesNanAsTheFormulaDoes) {
  Problem p({.rows = 1, .keys = 20, .dim = 1, .dim_v = 1});
  for (float& x : p.q) x = 1;
  p.k[7] = kInf;
  EXPECT_TRUE(std::isnan(run_strided(p).out[0]));
  for (float& x : p.k) x = -kInf;  // every allowed score -inf: an empty row
  const Result r = run_strided(p);
  EXPECT_EQ(r.out[0], 0.0f);
  EXPECT_EQ(r.lse[0], -kInf);
}

TEST(Edges, MinusZeroNeverAppears) {
  Problem p({.rows = 3, .keys = 40, .dim = 16, .dim_v = 16});
  for (float& x : p.v) x = -0x1p-149f;
  p.k.assign(p.k.size(), 0.0f);
  const Result r = run_strided(p);
  for (const float x : r.out) EXPECT_FALSE(x == 0 && std::signbit(x));
  for (float& x : p.v) x = -0.0f;
  for (const float x : run_strided(p).out) EXPECT_TRUE(same_bits({x}, {0.0f}));
}

TEST(Edges, ScaleMayBeZeroOrNegative) {
  const Problem p({.rows = 2, .keys = 33, .dim = 16, .dim_v = 16});
  for (const float scale : {0.0f, -0.7f, 3.0f}) {
    Result r = empty_result(p.size);
    attention(p.q_view(), p.k_view(), p.v_view(), View<float, 3>(r.out.data(), {2, 1, 16}),
              {.scale = scale});
    const Reference o = reference_attention(p.q_view(), p.k_view(), p.v_view(), {.scale = scale});
    for (int64_t i = 0; i < 32; ++i) EXPECT_NEAR(r.out[i], o.out[i], 2e-6);
  }
}

// Head-first, packed, reversed and repeated layouts give the bits of the dense one.
TEST(Edges, AnyStridesGiveTheSameBits) {
  const Problem p(
      {.rows = 20, .keys = 90, .heads = 4, .kv_heads = 2, .dim = 24, .dim_v = 24, .causal = true});
  const Result dense = run_strided(p);
  const Size s = p.size;
  // Transposed storage: [dim][head][token], and keys from the last to the first.
  std::vector<float> q(p.q.size()), k(p.k.size()), v(p.v.size());
  const View<float, 3> qt(q.data(), {s.rows, 4, 24}, {1, s.rows, 4 * s.rows});
  const View<float, 3> kt(k.data() + (s.keys - 1) * 48, {s.keys, 2, 24}, {-48, 24, 1});
  const View<float, 3> vt(v.data(), {s.keys, 2, 24}, {2, 1, 2 * s.keys});
  for (int64_t i = 0; i < s.rows; ++i)
    for (int64_t h = 0; h < 4; ++h)
      for (int64_t d = 0; d < 24; ++d) qt(i, h, d) = p.q_view()(i, h, d);
  for (int64_t j = 0; j < s.keys; ++j)
    for (int64_t h = 0; h < 2; ++h)
      for (int64_t d = 0; d < 24; ++d) {
        kt(j, h, d) = p.k_view()(j, h, d);
        vt(j, h, d) = p.v_view()(j, h, d);
      }
  std::vector<float> out(dense.out.size());
  const View<float, 3> out_view(out.data(), {s.rows, 4, 24}, {1, 24 * s.rows, s.rows});
  attention(qt, kt, vt, out_view, {.mask = causal()});
  for (int64_t i = 0; i < s.rows; ++i)
    for (int64_t h = 0; h < 4; ++h)
      for (int64_t d = 0; d < 24; ++d)
        ASSERT_TRUE(same_bits({out_view(i, h, d)}, {dense.out[(i * 4 + h) * 24 + d]}));

  // Stride 0: every key the same one, every head the same q.
  float mean[24];
  attention(View<const float, 3>(p.q.data(), {1, 1, 24}, {0, 0, 1}),
            View<const float, 3>(p.k.data(), {50, 1, 24}, {0, 0, 1}),
            View<const float, 3>(p.v.data(), {50, 1, 24}, {0, 0, 1}),
            View<float, 3>(mean, {1, 1, 24}));
  for (int64_t d = 0; d < 24; ++d) EXPECT_NEAR(mean[d], p.v[d], 1e-6);
}

TEST(Edges, InputsMayShareABufferAndOutMayNot) {
  std::vector<float> x = normals(5, 10 * 2 * 16);
  const View<const float, 3> all(x.data(), {10, 2, 16});
  std::vector<float> out(x.size()), copy_out(x.size());
  attention(all, all, all, View<float, 3>(out.data(), {10, 2, 16}));
  const std::vector<float> q = x, k = x, v = x;
  attention(
      View<const float, 3>(q.data(), {10, 2, 16}), View<const float, 3>(k.data(), {10, 2, 16}),
      View<const float, 3>(v.data(), {10, 2, 16}), View<float, 3>(copy_out.data(), {10, 2, 16}));
  EXPECT_TRUE(same_bits(out, copy_out));
  expect_error([&] { attention(all, all, all, View<float, 3>(x.data() + 16, {9, 2, 16})); }, "out");
  expect_error(
      [&] {
        attention(all, all, all, View<float, 3>(x.data(), {10, 2, 16}));
      },
      "overlaps q");
}

// Parts of one packed array, [tokens][q k v out][heads][dim], and [tokens][heads][q k v out][dim].
TEST(Edges, OutMayLieBetweenTheInputs) {
  const std::vector<float> x = normals(5, 6 * 2 * 16);
  const View<const float, 3> plain(x.data(), {6, 2, 16});
  std::vector<float> wanted(x.size());
  attention(plain, plain, plain, View<float, 3>(wanted.data(), {6, 2, 16}));
  for (const bool heads_outside : {false, true}) {
    std::vector<float> packed(4 * x.size());
    const auto part = [&](int n) {
      return heads_outside ? View<float, 3>(packed.data() + n * 16, {6, 2, 16}, {128, 64, 1})
                           : View<float, 3>(packed.data() + n * 32, {6, 2, 16}, {128, 16, 1});
    };
    for (int64_t i = 0; i < 6; ++i)
      for (int64_t h = 0; h < 2; ++h)
        for (int64_t d = 0; d < 16; ++d)
          for (int n = 0; n < 3; ++n) part(n)(i, h, d) = plain(i, h, d);
    const View<float, 3> out = part(3);
    attention(part(0), part(1), part(2), out);
    for (int64_t i = 0; i < 6; ++i)
      for (int64_t h = 0; h < 2; ++h)
        for (int64_t d = 0; d < 16; ++d) EXPECT_EQ(out(i, h, d), wanted[(i * 2 + h) * 16 + d]);
    const View<float, 3> shifted(part(2).data + 1, out.shape, out.strides);
    expect_error([&] { attention(part(0), part(1), part(2), shifted); }, "out overlaps v");
  }
}

TEST(Edges, NothingOutsideTheOutputIsTouched) {
  const Problem p({.rows = 13, .keys = 77, .heads = 3, .kv_heads = 3, .dim = 20, .dim_v = 20});
  std::vector<float> out(13 * 3 * 20 + 64, 123.0f), lse(13 * 3 + 64, 123.0f);
  attention(p.q_view(), p.k_view(), p.v_view(), View<float, 3>(out.data() + 32, {13, 3, 20}), {},
            View<float, 2>(lse.data() + 32, {13, 3}));
  for (int i = 0; i < 32; ++i) {
    EXPECT_EQ(out[i], 123.0f);
    EXPECT_EQ(out[out.size() - 1 - i], 123.0f);
    EXPECT_EQ(lse[i], 123.0f);
    EXPECT_EQ(lse[lse.size() - 1 - i], 123.0f);
  }
}

TEST(Edges, RefusalsNameTheRuleAndTheNumbers) {
  const Problem p({.rows = 2, .keys = 3, .heads = 9, .kv_heads = 3, .dim = 8, .dim_v = 8});
  std::vector<float> memory(1000);
  const View<float, 3> out(memory.data(), {2, 9, 8});
  const View<const float, 3> q = p.q_view(), k = p.k_view(), v = p.v_view();
  expect_error(
      [&] {
        attention(q, View<const float, 3>(k.data, {3, 2, 8}),
                  View<const float, 3>(v.data, {3, 2, 8}), out);
      },
      "heads (9) is not a multiple of kv_heads (2)");
  expect_error(
      [&] {
        attention(q, View<const float, 3>(k.data, {3, 3, 7}), v, out);
      },
      "k has dim 7");
  expect_error(
      [&] {
        attention(q, k, View<const float, 3>(v.data, {2, 3, 8}), out);
      },
      "v has 2 keys");
  expect_error(
      [&] {
        attention(q, k, v, View<float, 3>(memory.data(), {2, 9, 7}));
      },
      "out is 2 x 9 x 7");
  expect_error([&] { attention(q, k, v, out, {.scale = kNan}); }, "scale (nan)");
  expect_error([&] { attention(q, k, v, out, {.threads = -1}); }, "threads (-1)");
  expect_error(
      [&] {
        attention(q, k, v, out, {}, View<float, 2>(memory.data() + 500, {2, 8}));
      },
      "lse is 2 x 8");
  expect_error([&] { KvCache({.page_keys = 48}); }, "page_keys (48)");
  expect_error([&] { KvCache({.k_dtype = DType::q8_0}); }, "keys (q8_0)");

  KvCache cache({.pages = 2, .kv_heads = 3, .dim = 8, .dim_v = 8});
  const std::vector<int32_t> table{0, 5};
  expect_error([&] { cache.append(0, table, 100, k, v); }, "names page 5 of 2");
  expect_error([&] { cache.append(0, table, 127, k, v); }, "do not fit 2 pages");
  expect_error([&] { cache.append(1, table, 0, k, v); }, "layer 1");
  const Segment segment{0, 2, 100, table};
  AttentionPlan plan({9, 3, 8, 8}, {&segment, 1}, {.mask = causal(), .scale = 1.0f, .threads = 1});
  ThreadPool pool(1);
  memory.assign(memory.size(), 5.0f);
  expect_error([&] { plan.run(cache, 0, q, out, pool); }, "names page 5 of 2");
  for (const float x : memory) EXPECT_EQ(x, 5.0f);  // nothing was written
}

TEST(Plan, SaysWhatItDoesAndHowMuchMemory) {
  const std::vector<int32_t> table(64, 0);
  const Segment one{0, 1, 4096, table};
  const AttentionPlan decode({8, 2, 64, 64}, {&one, 1},
                             {.mask = causal(), .scale = 1.0f, .threads = 2});
  EXPECT_NE(decode.explain().find("chunks of keys are shared out"), std::string::npos);
  EXPECT_NE(decode.explain().find(name(active_target())), std::string::npos);
  EXPECT_GT(decode.workspace_bytes(), 0);
  // Workspace does not grow with rows times keys.
  const Segment small{0, 1024, 1024, table}, large{0, 16384, 16384, table};
  for (const Segment& segment : {small, large}) {
    const AttentionPlan plan({1, 1, 64, 64}, {&segment, 1},
                             {.mask = causal(), .scale = 1.0f, .threads = 2});
    EXPECT_LT(plan.workspace_bytes(), 1 << 20);  // the scores would be 1 GB
  }
}

}  // namespace
}  // namespace regard
