// The formula against the operator: every target, every size around the edges of panels, tiles and
// chunks, every cache dtype. OPERATOR accuracy: 2e-6 of each row's norm.
#include <gtest/gtest.h>

#include "problem.h"

namespace regard {
namespace {

using namespace regard::testing;

constexpr double kAccuracy = 2e-6;

// The oracle itself, on an example worked out by hand.
TEST(Oracle, IsTheFormula) {
  const float q[] = {1, 0}, k[] = {0, 5, 1, 0}, v[] = {2, 4};
  const Reference r =
      reference_attention({q, {1, 1, 2}}, {k, {2, 1, 2}}, {v, {2, 1, 1}}, {.scale = 1});
  const double e = std::exp(1.0);
  EXPECT_NEAR(r.out[0], (2 + 4 * e) / (1 + e), 1e-15);
  EXPECT_NEAR(r.lse[0], std::log(1 + e), 1e-15);
  const float many_q[] = {1, 1, 1};
  const float one_k[] = {1}, one_v[] = {3};
  const Reference rows = reference_attention({many_q, {3, 1, 1}}, {one_k, {1, 1, 1}},
                                             {one_v, {1, 1, 1}}, {.mask = causal(), .scale = 1});
  EXPECT_EQ(rows.out[0], 0.0);  // bottom-right: only the last row sees the only key
  EXPECT_TRUE(std::isinf(rows.lse[1]));
  EXPECT_EQ(rows.out[2], 3.0);
}

void expect_near_the_oracle(const Size& size) {
  const Problem p(size);
  for (const Target target : available_targets()) {
    const ScopedTarget scope(target);
    SCOPED_TRACE(describe(size) + " on " + std::string(name(target)));
    const Distance plain = distance(p, run_strided(p));
    EXPECT_LE(plain.out, kAccuracy);
    EXPECT_LE(plain.lse, 4e-6);
    const Distance paged = distance(p, run_paged(p, {}));
    EXPECT_LE(paged.out, kAccuracy);
  }
}

TEST(Attention, AgreesWithTheFormulaAtEveryEdge) {
  for (const int64_t keys : {1,   7,   8,   9,   15,  16,  17,  31,  32,  33,  63,   64,   65,
                             127, 128, 129, 255, 256, 257, 511, 512, 513, 640, 1023, 1024, 1025}) {
    for (const bool is_causal : {false, true}) {
      expect_near_the_oracle(
          {.rows = 1, .keys = keys, .dim = 16, .dim_v = 16, .causal = is_causal});
      expect_near_the_oracle({.rows = std::min<int64_t>(keys, 13),
                              .keys = keys,
                              .heads = 2,
                              .kv_heads = 1,
                              .dim = 16,
                              .dim_v = 20,
                              .causal = is_causal});
    }
  }
}

TEST(Attention, AgreesWithTheFormulaForEveryNumberOfRows) {
  for (int64_t rows = 1; rows <= 50; ++rows) {
    expect_near_the_oracle(
        {.rows = rows, .keys = 70, .dim = 8, .dim_v = 16, .causal = rows % 2 == 0});
  }
  for (const int64_t rows : {95, 96, 97, 191, 192, 193, 385}) {
    expect_near_the_oracle({.rows = rows, .keys = 400, .dim = 16, .dim_v = 16, .causal = true});
  }
}

// The formula O = softmax(Q Kᵀ / √d) V over a grid of shapes.
TEST(Attention, S0_21_AgreesWithTheFormulaOnTheGrid) {
  for (const int64_t rows : {1, 7, 64, 257}) {
    for (const int64_t keys : {1, 7, 64, 257}) {
      for (const int64_t dim : {16, 64, 80, 128}) {
        const bool is_causal = (rows + keys + dim) % 2 == 0;
        const Problem p({.rows = rows,
                         .keys = keys,
                         .heads = 4,
                         .kv_heads = dim == 64 ? 1 : 2,
                         .dim = dim,
                         .dim_v = dim == 80 ? 48 : 32,
                         .causal = is_causal});
        SCOPED_TRACE(describe(p.size));
        EXPECT_LE(distance(p, run_strided(p, 2)).out, kAccuracy);
        EXPECT_LE(distance(p, run_paged(p, {.scattered = true}, 2)).out, kAccuracy);
      }
    }
  }
}

TEST(Attention, TakesAnyDim) {
  for (const int64_t dim : {1, 2, 3, 15, 17, 20, 31, 33, 63, 65, 96, 100, 192, 256, 576, 1024}) {
    expect_near_the_oracle(
        {.rows = 3, .keys = 37, .dim = dim, .dim_v = std::max<int64_t>(8, 1025 - dim)});
  }
}

TEST(Attention, NarrowCachesGiveWhatTheyStore) {
  for (const DType k_dtype : {DType::f32, DType::f16, DType::bf16}) {
    for (const DType v_dtype : {DType::f32, DType::f16, DType::bf16}) {
      for (const int64_t rows : {1, 3, 12, 13, 50}) {
        const Problem p({.rows = rows,
                         .keys = 600,
                         .heads = 2,
                         .kv_heads = 1,
                         .dim = 32,
                         .dim_v = 48,
                         .causal = true});
        for (const Target target : available_targets()) {
          const ScopedTarget scope(target);
          const Problem stored = rounded(p, k_dtype, v_dtype);
          EXPECT_LE(distance(stored, run_paged(p, {.k_dtype = k_dtype, .v_dtype = v_dtype})).out,
                    kAccuracy)
              << describe(p.size) << " " << info(k_dtype).name << " " << info(v_dtype).name;
        }
      }
    }
  }
}

TEST(Attention, StaysAccurateOverLongSequences) {
  const Problem p({.rows = 2, .keys = 20000, .dim = 32, .dim_v = 32});
  EXPECT_LE(distance(p, run_strided(p, 2)).out, kAccuracy);
}

TEST(Attention, S3_6_GroupedHeadsEqualRepeatedKeys) {
  const Problem grouped({.rows = 9, .keys = 150, .heads = 6, .kv_heads = 2, .causal = true});
  Problem repeated({.rows = 9, .keys = 150, .heads = 6, .kv_heads = 6, .causal = true});
  repeated.q = grouped.q;
  for (int64_t key = 0; key < 150; ++key) {
    for (int64_t head = 0; head < 6; ++head) {
      std::copy_n(&grouped.k[(key * 2 + head / 3) * 64], 64, &repeated.k[(key * 6 + head) * 64]);
      std::copy_n(&grouped.v[(key * 2 + head / 3) * 64], 64, &repeated.v[(key * 6 + head) * 64]);
    }
  }
  for (const Target target : available_targets()) {
    const ScopedTarget scope(target);
    EXPECT_TRUE(same_bits(run_strided(grouped), run_strided(repeated)));
    EXPECT_TRUE(same_bits(run_paged(grouped, {}), run_paged(repeated, {})));
  }
}

}  // namespace
}  // namespace regard
