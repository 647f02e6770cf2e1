// The same bits: whatever the target, the threads, the pages, the neighbours, and whether a row is
// computed alone, in a block, in chunks of a prompt or after it.
#include <gtest/gtest.h>

#include "problem.h"

namespace regard {
namespace {

using namespace regard::testing;

const std::vector<Size> kSizes{
    {.rows = 1, .keys = 1, .dim = 16, .dim_v = 16},
    {.rows = 1, .keys = 1300, .heads = 3, .kv_heads = 1, .dim = 20, .dim_v = 36},
    {.rows = 5, .keys = 129, .heads = 2, .kv_heads = 2, .dim = 64, .dim_v = 64, .causal = true},
    {.rows = 200, .keys = 200, .heads = 3, .kv_heads = 1, .dim = 16, .dim_v = 32, .causal = true},
    {.rows = 61, .keys = 700, .heads = 4, .kv_heads = 1, .dim = 17, .dim_v = 16},
};

TEST(Bits, AreThoseOfTheOneLaneTargetEverywhere) {
  for (const Size& size : kSizes) {
    const Problem p(size);
    Result reference;
    {
      const ScopedTarget scope(Target::scalar);
      reference = run_paged(p, {.k_dtype = DType::f16, .v_dtype = DType::bf16});
    }
    for (const Target target : available_targets()) {
      const ScopedTarget scope(target);
      EXPECT_EQ(compiled_target(), target);
      EXPECT_TRUE(
          same_bits(run_paged(p, {.k_dtype = DType::f16, .v_dtype = DType::bf16}), reference))
          << describe(size) << " on " << name(target);
    }
  }
}

TEST(Bits, DoNotDependOnThreadsPagesOrLayout) {
  for (const Size& size : kSizes) {
    SCOPED_TRACE(describe(size));
    const Problem p(size);
    const Result reference = run_strided(p);
    for (const int threads : {1, 2, 3, 8}) {
      EXPECT_TRUE(same_bits(run_strided(p, threads), reference)) << threads;
      for (const int64_t page : {16, 32, 64}) {
        for (const bool scattered : {false, true}) {
          EXPECT_TRUE(same_bits(run_paged(p, {.page_keys = page, .scattered = scattered}, threads),
                                reference))
              << threads << " threads, pages of " << page;
        }
      }
    }
  }
}

// Row i of a causal block is the last row of the first i + 1 keys: prefill, chunked prefill and
// decode are one computation.
TEST(Bits, S0_5_ARowAloneEqualsTheRowInItsBlock) {
  const Problem all({.rows = 530,
                     .keys = 530,
                     .heads = 3,
                     .kv_heads = 1,
                     .dim = 16,
                     .dim_v = 16,
                     .causal = true});
  for (const Target target : available_targets()) {
    const ScopedTarget scope(target);
    const Result whole = run_strided(all, 2);
    const int64_t width = 3 * 16;
    for (const int64_t first : {0, 1, 15, 16, 127, 128, 300, 511, 512, 529}) {
      for (const int64_t rows : {1, 2, 7, 64, 230}) {
        if (first + rows > 530) continue;
        Problem part({.rows = rows,
                      .keys = first + rows,
                      .heads = 3,
                      .kv_heads = 1,
                      .dim = 16,
                      .dim_v = 16,
                      .causal = true});
        part.q.assign(all.q.begin() + first * width, all.q.begin() + (first + rows) * width);
        part.k.assign(all.k.begin(), all.k.begin() + (first + rows) * 16);
        part.v.assign(all.v.begin(), all.v.begin() + (first + rows) * 16);
        const Result alone = run_strided(part);
        const std::vector<float> expected(whole.out.begin() + first * width,
                                          whole.out.begin() + (first + rows) * width);
        EXPECT_TRUE(same_bits(alone.out, expected)) << first << " + " << rows;
      }
    }
  }
}

TEST(Bits, DoNotDependOnNeighboursInARaggedBatch) {
  struct Sequence {
    int64_t rows, keys;
  };
  const std::vector<Sequence> sequences{{1, 120}, {3, 900}, {0, 40}, {35, 35}, {1, 1}, {100, 613}};
  const int64_t heads = 4, kv_heads = 2, dim = 32, page = 32;
  int64_t total_rows = 0, total_pages = 0;
  for (const Sequence& s : sequences) {
    total_rows += s.rows;
    total_pages += (s.keys + page - 1) / page;
  }
  KvCache cache(
      {.pages = total_pages, .page_keys = page, .kv_heads = kv_heads, .dim = dim, .dim_v = dim});
  std::vector<Problem> problems;
  std::vector<std::vector<int32_t>> tables;
  std::vector<float> q;
  int32_t next_page = 0;
  for (const Sequence& s : sequences) {
    problems.emplace_back(Size{s.rows, s.keys, heads, kv_heads, dim, dim, true},
                          10 + tables.size());
    tables.emplace_back((s.keys + page - 1) / page);
    for (int32_t& id : tables.back())
      id = static_cast<int32_t>((7 * next_page++ + 3) % total_pages);
    q.insert(q.end(), problems.back().q.begin(), problems.back().q.end());
  }
  ASSERT_NE(total_pages % 7, 0);  // so that the page ids above are a permutation
  std::vector<Segment> segments;
  int64_t row = 0;
  for (std::size_t i = 0; i < sequences.size(); ++i) {
    cache.append(0, tables[i], 0, problems[i].k_view(), problems[i].v_view());
    segments.push_back({row, sequences[i].rows, sequences[i].keys, tables[i]});
    row += sequences[i].rows;
  }
  for (const int threads : {1, 2, 3}) {
    AttentionPlan plan({heads, kv_heads, dim, dim}, segments,
                       {.mask = causal(), .threads = threads});
    ThreadPool pool(threads);
    std::vector<float> out(static_cast<std::size_t>(total_rows * heads * dim));
    plan.run(cache, 0, View<const float, 3>(q.data(), {total_rows, heads, dim}),
             View<float, 3>(out.data(), {total_rows, heads, dim}), pool);
    int64_t first = 0;
    for (std::size_t i = 0; i < sequences.size(); ++i) {
      const Result alone =
          run_paged(problems[i], {.k_dtype = DType::f16, .v_dtype = DType::f16, .page_keys = 16});
      const int64_t count = sequences[i].rows * heads * dim;
      EXPECT_TRUE(same_bits(alone.out, {out.begin() + first, out.begin() + first + count})) << i;
      first += count;
    }
  }
}

TEST(Bits, OfARecomputedRowAreTheKernelsOwn) {
  const Problem p({.rows = 1, .keys = 1100, .heads = 2, .kv_heads = 1, .dim = 64, .dim_v = 32});
  const PagedProblem paged(p, {.k_dtype = DType::f16, .v_dtype = DType::f32});
  const Result whole = run_paged(p, {.k_dtype = DType::f16, .v_dtype = DType::f32}, 2);
  for (const int64_t head : {0, 1}) {
    const RowOfMap row =
        attention_row(paged.cache, 1, paged.block_table, 1100, 0,
                      View<const float, 1>(p.q.data() + head * 64, {64}), p.scale());
    EXPECT_TRUE(same_bits({row.lse}, {whole.lse[head]}));
    double sum = 0;
    std::vector<double> mixed(32);
    for (int64_t j = 0; j < 1100; ++j) {
      sum += row.weights[j];
      for (int64_t d = 0; d < 32; ++d)
        mixed[d] += static_cast<double>(row.weights[j]) * p.v[j * 32 + d];
      double score = 0;
      for (int64_t d = 0; d < 64; ++d) {
        score += static_cast<double>(p.q[head * 64 + d]) * to_f32(to_f16(p.k[j * 64 + d]));
      }
      EXPECT_NEAR(row.scores[j], score * p.scale(), 1e-5);
    }
    EXPECT_NEAR(sum, 1.0, 1e-5);
    for (int64_t d = 0; d < 32; ++d) EXPECT_NEAR(mixed[d], whole.out[head * 32 + d], 1e-5);
  }
}

}  // namespace
}  // namespace regard
