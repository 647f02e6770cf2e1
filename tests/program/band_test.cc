// Bands: what a mask's comparisons say of the keys of a row, and that band & rest is the mask.
#include "program/band.h"

#include <gtest/gtest.h>

#include "expr/random_program.h"
#include "regard/program.h"

namespace regard {
namespace {

using namespace regard::program;
using regard::testing::RandomProgram;

bool in_band(const Band& band, int64_t i, int64_t row, int64_t j, int64_t keys) {
  const KeyRun run = band.keys_of(i, row, keys);
  return run.first <= j && j < run.end;
}

// band & rest is the mask at every point of a square, rows before the first key included.
void expect_same_mask(const Expr& mask) {
  SCOPED_TRACE(to_string(mask));
  const SplitMask split = split_mask(mask);
  Evaluator whole(mask);
  constexpr int64_t kKeys = 24;
  for (int64_t i = -6; i < kKeys; ++i) {
    for (int64_t row = 0; row < 12; row += 5) {
      for (int64_t j = 0; j < kKeys; ++j) {
        const Point point{.batch = 1, .head = 2, .i = i, .j = j, .row = row};
        const bool rest = split.rest.empty() || evaluate(split.rest, point) != 0;
        ASSERT_EQ(in_band(split.band, i, row, j, kKeys) && rest, whole(point) != 0)
            << "i " << i << " row " << row << " j " << j;
      }
    }
  }
}
// The band is all of it.
void expect_band(const Expr& mask) {
  expect_same_mask(mask);
  EXPECT_TRUE(split_mask(mask).rest.empty()) << to_string(mask);
}
// Nothing of it is a band.
void expect_rest(const Expr& mask) {
  expect_same_mask(mask);
  EXPECT_TRUE(split_mask(mask).band.everything()) << to_string(mask);
}

TEST(Band, TakesEveryFormOfComparison) {
  const Expr i = query(), j = key(), r = row();
  for (const Expr& bound : {Expr(7), i, r, i + 3, i - 3, r + 2, 4 + r, -(-i), i + 5 - 2}) {
    expect_band(j < bound);
    expect_band(j <= bound);
    expect_band(j > bound);
    expect_band(j >= bound);
    expect_band(bound < j);
    expect_band(bound <= j);
    expect_band(bound > j);
    expect_band(bound >= j);
    expect_band(j == bound);
    expect_band(bound == j);
    expect_band(~(j < bound));
    expect_band(~(bound <= j));
    expect_band(j - bound > 0);
    expect_band(-2 <= bound - j);
    expect_band(0 < 1 + j - bound);
    expect_band(abs(j - bound) <= 4);
    expect_band(4 > abs(bound - j));
  }
}

TEST(Band, TakesTheMasksOfPapers) {
  expect_band(causal_mask());
  expect_band(key() <= row());  // causal(Align::top_left)
  for (const int left : {0, 3, 100}) {
    for (const int right : {0, 5}) {
      expect_band(window(left, right));
      expect_band(window(left, right) & causal_mask());
    }
  }
  expect_band(window(-2, 5));  // behind the query and nothing else
  expect_band(window(5, -2));
  expect_band(window(-4, 2));  // nothing
  expect_band(prefix(9) & causal_mask());
  expect_band(causal_mask() & (key() >= 4) & (query() - key() < 6));
  expect_band(causal_mask() & (key() >= row()) & (key() < row() + 9));
  expect_band(~(~causal_mask() | (key() < 3)));
  expect_band(mask([](Index a, Index b) { return b <= a && a - b < 256; }));
}

TEST(Band, LeavesTheRest) {
  const Array ids = Array::of("ids", std::vector<int32_t>(64, 1));
  const SplitMask split = split_mask(causal_mask() & documents(ids) & (key() > 2));
  EXPECT_EQ(to_string(split.rest), "ids[i] == ids[j]");
  EXPECT_EQ(split.band.to_query, 1);
  EXPECT_EQ(split.band.from, 3);
  expect_same_mask(window(4, 2) & (key() % 2 == 0) & (head() == 2));
  expect_same_mask(causal_mask() & (prefix(3) | (query() - key() < 4)));
}

TEST(Band, TakesNothingThatIsNoConjunct) {
  const Expr i = query(), j = key();
  expect_rest(causal_mask() | prefix(5));
  expect_rest(~(causal_mask() & prefix(5)));
  expect_rest(~window(2, 3));
  expect_rest(causal_mask() ^ prefix(5));
  expect_rest(where(i < 5, j < 3, j <= i));
  expect_rest((j < 3) == (i < 3));
  expect_rest(j != i);
  expect_rest(~(j == i));
  expect_rest(abs(i - j) > 3);
  expect_rest(~(abs(i - j) <= 3));
}

TEST(Band, TakesNothingThatIsNotLinear) {
  const Expr i = query(), j = key(), r = row();
  expect_rest(2 * j <= i);
  expect_rest(j + j <= i);
  expect_rest(j <= i + i);
  expect_rest(j <= i + r);
  expect_rest(j <= -i);
  expect_rest(i < 5);
  expect_rest(j % 4 <= i);
  expect_rest(j <= i + head());
  expect_rest(to_real(j) <= i + 0.5);
  expect_rest((j < 3) <= (i < 3));  // booleans as integers
  expect_rest(max(j, 3) <= i);
}

// What wraps around in 32 bits stays with the interpreter, which wraps as the mask means.
TEST(Band, TakesNothingThatMayWrapAround) {
  const Expr i = query(), j = key();
  EXPECT_TRUE(split_mask(j <= i + 2147483647).band.everything());
  EXPECT_TRUE(split_mask(j - 2147483647 - 10 <= i).band.everything());
  EXPECT_TRUE(split_mask(j + i + i + i + i <= i + i + i + i + 5).band.everything());
  EXPECT_FALSE(split_mask(j <= i + (1 << 30)).band.everything());
  // Up to the last position that is promised.
  const int64_t last = kMaxPosition - 1;
  for (const Expr& mask : {j <= i + (1 << 30), i - j < 256, j >= i - (1 << 30), abs(i - j) <= 3}) {
    const SplitMask split = split_mask(mask);
    ASSERT_TRUE(split.rest.empty());
    for (const int64_t at : {last, last - 300, int64_t{0}, -last}) {
      for (const int64_t k : {last, last - 255, last - 256, int64_t{0}}) {
        EXPECT_EQ(in_band(split.band, at, 0, k, kMaxPosition),
                  evaluate(mask, {.i = at, .j = k}) != 0)
            << to_string(mask) << " at " << at << " " << k;
      }
    }
  }
}

TEST(Band, RunsEndAtTheKeysAndMayBeEmpty) {
  const Band window_4_2 = split_mask(window(4, 2)).band;
  const auto expect_run = [](const KeyRun& run, int64_t first, int64_t end) {
    EXPECT_EQ(run.first, first);
    EXPECT_EQ(run.end, end);
  };
  expect_run(window_4_2.keys_of(10, 0, 100), 6, 13);
  expect_run(window_4_2.keys_of(2, 0, 100), 0, 5);
  expect_run(window_4_2.keys_of(99, 0, 100), 95, 100);
  expect_run(window_4_2.keys_of(103, 0, 100), 99, 100);
  expect_run(window_4_2.keys_of(104, 0, 100), 0, 0);
  expect_run(window_4_2.keys_of(-2, 0, 100), 0, 1);
  expect_run(window_4_2.keys_of(-3, 0, 100), 0, 0);  // a row before the first key
  expect_run(window_4_2.keys_of(0, 0, 0), 0, 0);
  expect_run(Band().keys_of(-5, 3, 7), 0, 7);
  EXPECT_TRUE(Band().everything());
  EXPECT_TRUE(split_mask({}).band.everything());
  EXPECT_TRUE(split_mask({}).rest.empty());
}

TEST(Band, AndRestIsTheMask) {
  int banded = 0;
  for (uint64_t seed = 0; seed < 3000; ++seed) {
    RandomProgram random(seed, false);
    const auto bound = [&] {
      const Expr of[] = {query(), row(), key(), Expr(random.pick(9) - 4), head()};
      return of[random.pick(5)] + (random.pick(9) - 4) - (random.pick(4) == 0 ? key() : Expr(0));
    };
    const auto comparison = [&]() -> Expr {
      const Expr a = bound(), b = bound();
      const Expr c = random.pick(4) == 0 ? abs(a) : a;
      switch (random.pick(6)) {
        case 0:
          return c < b;
        case 1:
          return c <= b;
        case 2:
          return c > b;
        case 3:
          return b >= c;
        case 4:
          return c == b;
        default:
          return random.boolean(1);
      }
    };
    Expr mask = comparison();
    for (int n = random.pick(5); n > 0; --n) {
      const int join = random.pick(4);
      mask = join == 0   ? mask | comparison()
             : join == 1 ? ~(mask & comparison())
                         : mask & comparison();
    }
    const SplitMask split = split_mask(mask);
    banded += split.band.everything() ? 0 : 1;
    Evaluator whole(mask);
    for (int k = 0; k < 60; ++k) {
      const Point point{.batch = random.pick(2),
                        .head = random.pick(4),
                        .i = random.pick(40) - 8,
                        .j = random.pick(32),
                        .row = random.pick(32)};
      const double expected = whole(point);
      if (expected != expected) continue;  // an index outside its array
      const bool rest = split.rest.empty() || evaluate(split.rest, point) != 0;
      ASSERT_EQ(in_band(split.band, point.i, point.row, point.j, 32) && rest, expected != 0)
          << to_string(mask) << " is not the band and " << to_string(split.rest);
    }
  }
  EXPECT_GT(banded, 400);
}

}  // namespace
}  // namespace regard
