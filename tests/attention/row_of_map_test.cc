// Rows of maps on demand: over every cache, with programs and normalisers, they are what made the
// output.
#include <gtest/gtest.h>

#include "base/check.h"
#include "problem.h"

namespace regard {
namespace {

using namespace regard::testing;

TEST(RowOfMap, MixesTheValuesIntoTheOutputOfEveryCacheAndOption) {
  const Problem p({.rows = 1, .keys = 700, .heads = 4, .kv_heads = 2, .dim = 24, .dim_v = 20});
  const std::vector<AttentionOptions> all{
      {.mask = causal() & program::window(300, 0)},
      {.score = program::softcap(3)},
      {.normaliser = softmax_with_sink(1.0f)},
      {.normaliser = sigmoid(-3)},
      {.normaliser = relu()},
      {.normaliser = sparsemax()},
      {.normaliser = entmax15()},
      {.normaliser = hardmax()},
      {.weight = dropout(0.5f, 3)},
      {.similarity = cosine(), .scale = 4.0f},
  };
  for (const DType dtype : {DType::f32, DType::f16, DType::bf16, DType::i8}) {
    const PagedProblem paged(p, {.k_dtype = dtype, .v_dtype = dtype, .page_keys = 32});
    std::vector<float> v(p.v.size());
    paged.cache.read(1, paged.block_table, 0, {}, {v.data(), {700, 2, 20}});
    for (std::size_t option = 0; option < all.size(); ++option) {
      AttentionOptions options = all[option];
      options.threads = 1;
      const Segment segment{0, 1, 700, paged.block_table};
      std::vector<float> out(4 * 20);
      AttentionPlan plan({4, 2, 24, 20}, {&segment, 1}, options);
      plan.run(paged.cache, 1, p.q_view(), View<float, 3>(out.data(), {1, 4, 20}));
      const RowsOfMap rows = attention_rows(paged.cache, 1, segment,
                                            View<const float, 2>(p.q.data(), {4, 24}), options);
      EXPECT_EQ(rows.lse.empty(), options.normaliser.kind != Normaliser::Kind::softmax);
      for (int64_t h = 0; h < 4; ++h) {
        for (int64_t d = 0; d < 20; ++d) {
          double sum = 0, size = 0;
          for (int64_t j = 0; j < 700; ++j) {
            const double term =
                static_cast<double>(rows.weights[h * 700 + j]) * v[(j * 2 + h / 2) * 20 + d];
            sum += term;
            size += std::abs(term);
          }
          EXPECT_NEAR(out[h * 20 + d], sum, 1e-6 * size + 1e-7)
              << info(dtype).name << " option " << option << " head " << h;
        }
        if (option == 0) {
          for (int64_t j = 0; j < 399; ++j) EXPECT_EQ(rows.weights[h * 700 + j], 0.0f);
          EXPECT_EQ(rows.scores[h * 700 + 398], -std::numeric_limits<float>::infinity());
          EXPECT_GT(rows.scores[h * 700 + 399], -100.0f);
        }
      }
    }
  }
}

TEST(RowOfMap, IsTheSameForOneHeadAlone) {
  const Problem p({.rows = 1, .keys = 530, .heads = 4, .kv_heads = 2, .dim = 24, .dim_v = 20});
  for (const DType dtype : {DType::f32, DType::i8}) {
    const PagedProblem paged(p, {.k_dtype = dtype, .v_dtype = dtype, .page_keys = 32});
    const RowsOfMap rows =
        attention_rows(paged.cache, 1, {0, 1, 530, paged.block_table},
                       View<const float, 2>(p.q.data(), {4, 24}), {.scale = p.scale()});
    for (int64_t h = 0; h < 4; ++h) {
      const RowOfMap row =
          attention_row(paged.cache, 1, paged.block_table, 530, h / 2,
                        View<const float, 1>(p.q.data() + h * 24, {24}), p.scale());
      const auto part = [&](const std::vector<float>& x) {
        return std::vector<float>(x.begin() + h * 530, x.begin() + (h + 1) * 530);
      };
      EXPECT_TRUE(same_bits(part(rows.scores), row.scores));
      EXPECT_TRUE(same_bits(part(rows.weights), row.weights));
      EXPECT_TRUE(same_bits({rows.lse[h]}, {row.lse}));
    }
  }
}

TEST(RowOfMap, RefusesWhatTheCacheDoesNotHold) {
  const Problem p({.rows = 1, .keys = 20, .heads = 2, .kv_heads = 1, .dim = 8, .dim_v = 8});
  const PagedProblem paged(p, {.page_keys = 32});
  const View<const float, 2> q(p.q.data(), {2, 8});
  EXPECT_THROW(attention_rows(paged.cache, 2, {0, 1, 20, paged.block_table}, q, {}), Error);
  EXPECT_THROW(attention_rows(paged.cache, 1, {0, 2, 20, paged.block_table}, q, {}), Error);
  EXPECT_THROW(attention_rows(paged.cache, 1, {0, 1, 33, paged.block_table}, q, {}), Error);
  EXPECT_THROW(attention_rows(paged.cache, 1, {0, 1, 20, paged.block_table},
                              View<const float, 2>(p.q.data(), {2, 7}), {}),
               Error);
}

}  // namespace
}  // namespace regard
