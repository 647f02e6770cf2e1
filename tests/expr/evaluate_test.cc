// What programs mean, at single points; and that the programs from papers are what papers say.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "regard/error.h"
#include "regard/program.h"

namespace regard {
namespace {

using namespace regard::program;

double at(const Expr& e, const Point& point = {}) { return evaluate(e, point); }

TEST(Evaluate, IsTheFormula) {
  EXPECT_DOUBLE_EQ(at(softcap(30), {.s = 45}), 30 * std::tanh(1.5));
  EXPECT_DOUBLE_EQ(at(sigmoid(score()), {.s = 2}), 1 / (1 + std::exp(-2)));
  EXPECT_EQ(at(query() * 10 + key() - row() + head() * 100 + batch() * 1000 + sequence() * 10000,
               {.batch = 1, .head = 2, .i = 3, .j = 4, .row = 5, .sequence = 6}),
            61229);
  EXPECT_EQ(at(where(score() > 1, score(), -score()), {.s = 0.5}), -0.5);
  EXPECT_EQ(at(query() / 2, {.i = 3}), 1.5);
  EXPECT_EQ(at(weight() * 2, {.s = 0.25}), 0.5);
}

TEST(Evaluate, IntegersWrapAroundAndDivideAsInPython) {
  const Expr i = query(), j = key();
  EXPECT_EQ(at(i + 1, {.i = 2147483647}), -2147483648.0);
  EXPECT_EQ(at(i * i, {.i = 65536}), 0);
  for (const auto& [a, b, quotient, rest] :
       {std::array{7, 2, 3, 1}, std::array{-7, 2, -4, 1}, std::array{7, -2, -4, -1},
        std::array{-7, -2, 3, -1}, std::array{6, -3, -2, 0}, std::array{5, 0, 0, 0}}) {
    const Point p{.i = a, .j = b};
    EXPECT_EQ(at(floor_div(i, j), p), quotient) << a << " // " << b;
    EXPECT_EQ(at(mod(i, j), p), rest) << a << " % " << b;
    if (b != 0) {
      EXPECT_EQ(at(floor_div(to_real(i), to_real(j)), p), quotient);
      EXPECT_EQ(at(mod(to_real(i), to_real(j)), p), rest);
    }
  }
  EXPECT_EQ(at(floor_div(score(), 0.1f), {.s = 1}), 9);  // 0.1f is a little more than 0.1
  EXPECT_EQ(at(i >> 1, {.i = -3}), -2);
  EXPECT_EQ(at(i << 32, {.i = 1}), 0);
  EXPECT_EQ(at(i >> 40, {.i = -5}), -1);
  EXPECT_EQ(at(~i, {.i = 5}), -6);
  EXPECT_EQ(at(~(i == 5), {.i = 5}), 0);
}

TEST(Evaluate, NaNIsVisible) {
  const double nan = std::nan("");
  EXPECT_TRUE(std::isnan(at(min(score(), 1.0), {.s = nan})));
  EXPECT_TRUE(std::isnan(at(max(1.0, score()), {.s = nan})));
  EXPECT_TRUE(std::isnan(at(score() * 0, {.s = nan})));
  EXPECT_EQ(at(where(key() == 0, 0.0, score()), {.s = nan}), 0);
  EXPECT_EQ(at(score() < 1, {.s = nan}), 0);
  EXPECT_EQ(at(score() != 1, {.s = nan}), 1);
}

// OPERATOR 1.16: an index out of range gives NaN, never a stray read.
TEST(Evaluate, AnIndexOutOfRangeIsNaN) {
  // The numbers lie between others that must not be seen.
  const float numbers[] = {99, 1, 2, 99};
  const int32_t ids[] = {99, 1, 2, 99};
  const Array reals("reals", View<const float, 1>(numbers + 1, {2}));
  const Array whole("whole", View<const int32_t, 1>(ids + 1, {2}));
  EXPECT_EQ(at(reals(key()), {.j = 1}), 2);
  for (const int64_t j : {-1, 2, 2147483647}) {
    EXPECT_TRUE(std::isnan(at(reals(key()), {.j = j})));
    EXPECT_TRUE(std::isnan(at(whole(key()) == 1, {.j = j})));
    EXPECT_TRUE(std::isnan(at(where(key() == 0, whole(key()), 5), {.j = j})));
    EXPECT_EQ(at(where(key() == 0, reals(key()), 5), {.j = j}), 5);  // a real NaN not taken
  }
}

TEST(Evaluate, ReadsStridedArraysOfEveryRank) {
  const float numbers[] = {0, 1, 2, 3, 4, 5};
  View<const float, 2> transposed(numbers, {3, 2});
  transposed.strides = {1, 3};
  EXPECT_EQ(at(Array("t", transposed)(query(), key()), {.i = 2, .j = 1}), 5);
  View<const float, 4> backwards(numbers + 5, {1, 6, 6, 6});
  backwards.strides = {0, 0, 0, -1};
  EXPECT_EQ(at(Array("b", backwards)(0, head(), query(), key()), {.head = 3, .i = 4, .j = 2}), 3);
  const bool flags[] = {false, true};
  EXPECT_EQ(at(Array("f", View<const bool, 1>(flags, {2}))(key()), {.j = 1}), 1);
}

// Every pair of positions below n.
void expect_mask(const Expr& mask, int n, const std::function<bool(int, int)>& definition,
                 int64_t batch = 0) {
  Evaluator evaluator(mask);
  for (int i = 0; i < n; ++i) {
    for (int j = 0; j < n; ++j) {
      EXPECT_EQ(evaluator({.batch = batch, .i = i, .j = j, .row = i}), definition(i, j))
          << to_string(mask) << " at " << i << ", " << j;
    }
  }
}

TEST(Masks, AreWhatTheirNamesSay) {
  expect_mask(causal_mask(), 9, [](int i, int j) { return j <= i; });
  expect_mask(window(2, 1), 9, [](int i, int j) { return -2 <= j - i && j - i <= 1; });
  expect_mask(causal_mask() | prefix(4), 9, [](int i, int j) { return j <= i || j < 4; });
  expect_mask(chunk(4), 12, [](int i, int j) { return i / 4 == j / 4; });
  expect_mask(dilated(3), 12, [](int i, int j) { return (i - j) % 3 == 0; });
  const Array ids = Array::of("ids", std::vector<int32_t>{0, 0, 1, 1, 1, 7, 7, 9});
  expect_mask(documents(ids), 8, [](int i, int j) {
    const int id[] = {0, 0, 1, 1, 1, 7, 7, 9};
    return id[i] == id[j];
  });
  const Array two = Array::of("two", std::vector<int32_t>{0, 0, 1, 5, 6, 6}, {2, 3});
  expect_mask(
      documents(two), 3, [](int i, int j) { return (i == 0) == (j == 0); }, 1);
  const Array counts = Array::of("counts", std::vector<int32_t>{5, 3});
  expect_mask(
      lengths(counts), 6, [](int, int j) { return j < 3; }, 1);
  expect_mask(
      left_padding(counts), 6, [](int, int j) { return j >= 3; }, 1);
}

TEST(Masks, ComeFromArraysOfEveryRank) {
  const uint8_t bytes[] = {1, 0, 0, 1, 1, 0, 1, 1, 0, 0, 0, 1};
  expect_mask(allowed(Array("m", View<const uint8_t, 1>(bytes, {12}))), 12,
              [&](int, int j) { return bytes[j] != 0; });
  expect_mask(allowed(Array("m", View<const uint8_t, 2>(bytes, {3, 4}))), 3,
              [&](int i, int j) { return bytes[i * 4 + j] != 0; });
  expect_mask(
      allowed(Array("m", View<const uint8_t, 4>(bytes, {2, 1, 1, 6}))), 6,
      [&](int, int j) { return bytes[6 + j] != 0; }, 1);
  expect_mask(block_sparse(Array("b", View<const uint8_t, 2>(bytes, {3, 4})), 4, 3), 12,
              [&](int i, int j) { return bytes[i / 4 * 4 + j / 3] != 0; });
}

TEST(Masks, TreeBitsLetADraftSeeItsAncestors) {
  // Keys 0 .. 4 are the text; drafts 5 and 6 follow it, 7 follows 5.
  const Array bits = Array::of("bits", std::vector<int32_t>{0b001, 0b010, 0b101}, {3, 1});
  Evaluator mask(tree_bits(bits));
  for (int row = 0; row < 3; ++row) {
    const Point place{.i = 5 + row, .row = row};
    for (int j = 0; j < 8; ++j) {
      const bool ancestor = j < 5 || j == 5 + row || (row == 2 && j == 5);
      Point p = place;
      p.j = j;
      EXPECT_EQ(mask(p), ancestor) << row << " " << j;
    }
  }
  // More drafts than a word holds.
  std::vector<int32_t> wide(2 * 40);
  wide[39 * 2 + 1] = 1 << 3;
  EXPECT_EQ(at(tree_bits(Array::of("wide", wide, {40, 2}), 5), {.j = 40, .row = 39}), 1);
  EXPECT_EQ(at(tree_bits(Array::of("wide", wide, {40, 2}), 5), {.j = 41, .row = 39}), 0);
}

// The kernel-sized run whose middle is nearest to the query, among positions of its residue.
bool is_neighbour(int i, int j, int length, int kernel, int dilation) {
  if (i % dilation != j % dilation) return false;
  const int count = (length - i % dilation + dilation - 1) / dilation;
  int best = 0;
  for (int first = 0; first + kernel <= count; ++first) {
    const auto away = [&](int f) { return std::abs(f + kernel / 2 - i / dilation); };
    if (away(first) < away(best)) best = first;
  }
  return best <= j / dilation && j / dilation < best + kernel;
}

TEST(Masks, NattenTakesTheNearestNeighbours) {
  for (const auto& [length, kernel, dilation] :
       {std::array{9, 3, 1}, std::array{10, 4, 1}, std::array{11, 3, 2}, std::array{16, 5, 3},
        std::array{5, 5, 1}, std::array{1, 1, 1}}) {
    expect_mask(natten(length, kernel, dilation), length,
                [&](int i, int j) { return is_neighbour(i, j, length, kernel, dilation); });
  }
  expect_mask(natten_2d(5, 7, 3, 5), 35, [](int i, int j) {
    return is_neighbour(i / 7, j / 7, 5, 3, 1) && is_neighbour(i % 7, j % 7, 7, 5, 1);
  });
  EXPECT_THROW(natten(5, 3, 2), Error);
}

TEST(Masks, RefuseArraysOfAnotherType) {
  const Array reals = Array::of("reals", std::vector<float>{1});
  const Array ids = Array::of("ids", std::vector<int32_t>{1});
  EXPECT_THROW(documents(reals), Error);
  EXPECT_THROW(lengths(reals), Error);
  EXPECT_THROW(allowed(ids), Error);
  EXPECT_THROW(block_sparse(ids, 4, 4), Error);
  EXPECT_THROW(tree_bits(ids), Error);
  EXPECT_THROW(alibi(ids), Error);
}

// Press et al. 2022: 8 heads begin at 1/2; 12 heads have those of 8, then every other one of 16.
TEST(Scores, AlibiSlopesForAnyNumberOfHeads) {
  EXPECT_EQ(alibi_slopes(8), (std::vector<float>{0.5f, 0.25f, 0.125f, 0.0625f, 0.03125f, 0.015625f,
                                                 0.0078125f, 0.00390625f}));
  const std::vector<float> twelve = alibi_slopes(12);
  ASSERT_EQ(twelve.size(), 12u);
  EXPECT_EQ(twelve[7], 0x1p-8f);
  for (int k = 0; k < 4; ++k) {
    EXPECT_FLOAT_EQ(twelve[8 + k], static_cast<float>(std::exp2(-0.5 * (2 * k + 1))));
  }
  EXPECT_EQ(alibi_slopes(1), std::vector<float>{0x1p-8f});
  EXPECT_EQ(alibi_slopes(3).size(), 3u);
  const Array slopes = Array::of("slopes", alibi_slopes(8));
  EXPECT_EQ(at(alibi(slopes), {.s = 2, .head = 1, .i = 10, .j = 6}), 2 - 0.25 * 4);
}

// The buckets that the T5 models use.
TEST(Scores, T5BucketsGrowWithDistance) {
  const std::vector<int32_t> both = t5_buckets(32, 128, true);
  const auto bucket = [&](int ahead) { return both[128 + ahead]; };
  for (int n = 0; n < 8; ++n) EXPECT_EQ(bucket(-n), n);
  for (const auto& [first, number] :
       {std::pair{8, 8}, {12, 9}, {16, 10}, {23, 11}, {32, 12}, {46, 13}, {64, 14}, {91, 15}}) {
    EXPECT_EQ(bucket(-first), number);
    EXPECT_EQ(bucket(first), 16 + number);
    EXPECT_EQ(bucket(1 - first), number - 1);
  }
  EXPECT_EQ(bucket(-128), 15);
  const std::vector<int32_t> past = t5_buckets(32, 128, false);
  EXPECT_EQ(past[128 + 5], 0);
  EXPECT_EQ(past[128 - 15], 15);
  EXPECT_EQ(past[128 - 112], 30);  // 16 · 8^(15/16) = 112.4
  EXPECT_EQ(past[128 - 113], 31);

  std::vector<float> numbers(64);
  for (int k = 0; k < 64; ++k) numbers[k] = static_cast<float>(k);
  const Expr biased = t5_bias(Array::of("table", numbers, {32, 2}), 32, 128, true);
  EXPECT_EQ(at(biased, {.s = 0.5, .head = 1, .i = 1000, .j = 3}), 0.5 + 15 * 2 + 1);
  EXPECT_EQ(at(biased, {.s = 0.5, .head = 0, .i = 3, .j = 1000}), 0.5 + 31 * 2);
}

TEST(Scores, AddWhatTheyAreGiven) {
  const Array table = Array::of("table", std::vector<float>{10, 20, 30, 40, 50});
  EXPECT_EQ(at(relative_position(table), {.s = 1, .i = 9, .j = 8}), 41);
  EXPECT_EQ(at(relative_position(table), {.s = 1, .i = 9, .j = 0}), 51);
  EXPECT_EQ(at(relative_position(table), {.s = 1, .i = 0, .j = 9}), 11);
  const Array bias = Array::of("bias", std::vector<float>{1, 2, 3, 4, 5, 6}, {2, 1, 3});
  EXPECT_EQ(at(additive_bias(bias), {.s = 1, .head = 1, .i = 7, .j = 2, .row = 0}), 7);
  EXPECT_EQ(at(softcap(2, alibi(Array::of("m", std::vector<float>{1}))), {.s = 4, .i = 4, .j = 0}),
            0);
}

}  // namespace
}  // namespace regard
