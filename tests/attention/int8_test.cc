// int8 keys and values: how they are rounded, that attention over them is attention over the
// dequantised numbers, that its bits depend on coordinates alone, and that a NaN is seen by those
// who use it.
#include "cache/int8.h"

#include <gtest/gtest.h>

#include <limits>

#include "problem.h"

namespace regard {
namespace {

using namespace regard::testing;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr Paging kInt8{.k_dtype = DType::i8, .v_dtype = DType::i8};

// Every vector of `width` numbers as it is read back: scale · n, in the header's words.
void dequantise(std::vector<float>& numbers, int64_t width) {
  for (std::size_t first = 0; first < numbers.size(); first += static_cast<std::size_t>(width)) {
    float most = 0;
    for (int64_t i = 0; i < width; ++i) most = std::max(most, std::abs(numbers[first + i]));
    const float scale = most / 127;
    if (scale == 0) continue;
    for (int64_t i = 0; i < width; ++i) {
      numbers[first + i] = scale * std::nearbyint(numbers[first + i] / scale);
    }
  }
}

Problem as_stored(Problem p, const Paging& paging) {
  if (paging.k_dtype == DType::i8) dequantise(p.k, p.size.dim);
  if (paging.v_dtype == DType::i8) dequantise(p.v, p.size.dim_v);
  return rounded(p, paging.k_dtype, paging.v_dtype);
}

TEST(Int8, RoundsToNearestEvenAndStoresEdgesAsStated) {
  struct Row {
    std::vector<float> x;
    float scale;
    std::vector<int> n;
  };
  const float tiny = std::numeric_limits<float>::denorm_min(),
              huge = std::numeric_limits<float>::max();
  const std::vector<Row> rows{
      {{127, 0.5f, 1.5f, 2.5f, -0.5f, -1.5f, -127, 0}, 1, {127, 0, 2, 2, 0, -2, -127, 0}},
      {{-254, 3, 127, 1}, 2, {-127, 2, 64, 0}},  // 1.5 -> 2, 63.5 -> 64, 0.5 -> 0
      {{0, -0.0f, 0}, 0, {0, 0, 0}},
      {{tiny, -tiny}, 0, {0, 0}},
      {{200 * tiny, -200 * tiny, tiny}, 2 * tiny, {100, -100, 0}},
      {{100 * tiny, 0}, tiny, {100, 0}},
      {{huge, -huge / 4}, huge / 127, {127, -32}},
  };
  for (const Target target : available_targets()) {
    const ScopedTarget scope(target);
    for (const Row& row : rows) {
      const auto count = static_cast<int64_t>(row.x.size());
      std::vector<int8_t> out(32, 99);
      float scale = 7;
      EXPECT_TRUE(quantise_value(row.x.data(), 1, count, 16, out.data(), &scale));
      EXPECT_EQ(scale, row.scale);
      for (int64_t i = 0; i < 16; ++i) EXPECT_EQ(out[i], i < count ? row.n[i] : 0) << i;
      EXPECT_EQ(out[16], 99);
      // The same numbers as a key, alone in lane 5 and as one of sixteen.
      std::vector<int8_t> panel(static_cast<std::size_t>(count) * 16 + 16, 99);
      std::vector<float> scales(16, 7);
      quantise_keys(row.x.data(), count, 1, count, 1, 5, panel.data(), scales.data());
      EXPECT_EQ(scales[5], row.scale);
      EXPECT_EQ(scales[4], 7);
      std::vector<float> sixteen;
      for (int key = 0; key < 16; ++key) sixteen.insert(sixteen.end(), row.x.begin(), row.x.end());
      std::vector<int8_t> whole(panel.size(), 99);
      quantise_keys(sixteen.data(), count, 1, count, 16, 0, whole.data(), scales.data());
      for (int64_t d = 0; d < count; ++d) {
        EXPECT_EQ(panel[d * 16 + 5], row.n[d]);
        EXPECT_EQ(panel[d * 16 + 4], 99);
        for (int key = 0; key < 16; ++key) EXPECT_EQ(whole[d * 16 + key], row.n[d]);
      }
      EXPECT_EQ(whole[count * 16], 99);
      for (int key = 0; key < 16; ++key) EXPECT_EQ(scales[key], row.scale);
    }
    for (const float bad : {kNan, kInf, -kInf}) {
      const float x[3] = {1, bad, 2};
      int8_t out[16];
      float scale = 0;
      EXPECT_FALSE(quantise_value(x, 1, 3, 16, out, &scale));
      EXPECT_TRUE(std::isnan(scale));
    }
  }
}

TEST(Int8, IsAttentionOverTheDequantisedNumbers) {
  for (const int64_t keys : {1, 15, 16, 17, 127, 128, 129, 511, 512, 513, 1100}) {
    for (const int64_t rows : {1, 8, 9, 60}) {
      if (rows > keys) continue;
      const Problem p({.rows = rows,
                       .keys = keys,
                       .heads = 2,
                       .kv_heads = 1,
                       .dim = 24,
                       .dim_v = 40,
                       .causal = true});
      for (const Paging& paging : {kInt8, Paging{.k_dtype = DType::i8, .v_dtype = DType::bf16},
                                   Paging{.k_dtype = DType::f32, .v_dtype = DType::i8}}) {
        const Problem stored = as_stored(p, paging);
        for (const Target target : available_targets()) {
          if (target == Target::scalar && keys * rows > 20000) continue;
          const ScopedTarget scope(target);
          const Distance d = distance(stored, run_paged(p, paging));
          EXPECT_LE(d.out, 2e-6) << rows << " x " << keys << " on " << name(target);
          EXPECT_LE(d.lse, 4e-6) << rows << " x " << keys << " on " << name(target);
        }
      }
    }
  }
}

TEST(Int8, KeepsItsBitsOverPagesThreadsTargetsAndBlocks) {
  const Problem p({.rows = 70,
                   .keys = 1157,
                   .heads = 3,
                   .kv_heads = 1,
                   .dim = 20,
                   .dim_v = 36,
                   .causal = true});
  const Result reference = run_paged(p, kInt8);
  for (const Target target : available_targets()) {
    const ScopedTarget scope(target);
    for (const int64_t page : {16, 32, 64}) {
      Paging paging = kInt8;
      paging.page_keys = page;
      paging.scattered = page != 64;
      EXPECT_TRUE(same_bits(run_paged(p, paging, page == 32 ? 2 : 3), reference))
          << page << " on " << name(target);
    }
    for (const int64_t row : {0, 3, 69}) {  // the row alone, as the next token
      Problem one(
          {.rows = 1, .keys = 1157 - 69 + row, .heads = 3, .kv_heads = 1, .dim = 20, .dim_v = 36});
      one.q.assign(p.q.begin() + row * 60, p.q.begin() + (row + 1) * 60);
      one.k.assign(p.k.begin(), p.k.begin() + one.size.keys * 20);
      one.v.assign(p.v.begin(), p.v.begin() + one.size.keys * 36);
      EXPECT_TRUE(
          same_bits(run_paged(one, kInt8, 2).out,
                    {reference.out.begin() + row * 108, reference.out.begin() + (row + 1) * 108}))
          << row << " on " << name(target);
    }
  }
}

// A key or value that is not finite makes its users NaN, and no other row.
TEST(Int8, ShowsANanToThoseWhoUseIt) {
  for (const int64_t keys : {1, 7, 16, 33, 128, 140, 513}) {
    for (const int64_t rows : {int64_t{1}, int64_t{3}, int64_t{30}}) {
      if (rows > keys) continue;
      for (const bool in_value : {false, true}) {
        for (const float bad : {kNan, kInf}) {
          Problem p({.rows = rows, .keys = keys, .dim = 8, .dim_v = 16, .causal = true});
          const Result clean = run_paged(p, kInt8);
          const int64_t at = keys - 1 - rows / 2;  // rows from this position on use it
          (in_value ? p.v : p.k)[at * (in_value ? 16 : 8) + 3] = bad;
          const Result r = run_paged(p, kInt8);
          for (int64_t row = 0; row < rows; ++row) {
            for (int64_t d = 0; d < 16; ++d) {
              const float got = r.out[row * 16 + d];
              if (keys - rows + row >= at) {
                EXPECT_TRUE(std::isnan(got)) << keys << " " << rows << " " << row;
              } else {
                EXPECT_TRUE(same_bits({got}, {clean.out[row * 16 + d]})) << keys << " " << row;
              }
            }
          }
        }
      }
    }
  }
}

TEST(Int8, CountsItsBytes) {
  const KvCacheShape shape{.layers = 2,
                           .pages = 3,
                           .page_keys = 32,
                           .kv_heads = 2,
                           .dim = 24,
                           .dim_v = 40,
                           .k_dtype = DType::i8,
                           .v_dtype = DType::i8};
  EXPECT_EQ(KvCache(shape).bytes(), 2 * 3 * 32 * 2 * (24 + 4 + 40 + 4));
}

}  // namespace
}  // namespace regard
