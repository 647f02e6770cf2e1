// Parts of attention put together: any split of the keys, in any order, is attention over all of
// them; empty parts change nothing; a NaN stays visible.
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

#include "base/check.h"
#include "plan/expect_error.h"
#include "problem.h"

namespace regard {
namespace {

using namespace regard::testing;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();

struct Part {
  std::vector<float> out, lse;
};

// Attention of all rows over keys [first, end).
Part part_of(const Problem& p, int64_t first, int64_t end) {
  const Size& s = p.size;
  Part part{std::vector<float>(static_cast<std::size_t>(s.rows * s.heads * s.dim_v)),
            std::vector<float>(static_cast<std::size_t>(s.rows * s.heads))};
  attention(p.q_view(), p.k_view().rows(first, end - first), p.v_view().rows(first, end - first),
            View<float, 3>(part.out.data(), {s.rows, s.heads, s.dim_v}), {.scale = p.scale()},
            View<float, 2>(part.lse.data(), {s.rows, s.heads}));
  return part;
}

// a = a ⊕ b, in place.
void merge_into(const Size& s, Part& a, const Part& b) {
  const View<float, 3> out(a.out.data(), {s.rows, s.heads, s.dim_v});
  const View<float, 2> lse(a.lse.data(), {s.rows, s.heads});
  merge(out, lse, View<const float, 3>(b.out.data(), out.shape),
        View<const float, 2>(b.lse.data(), lse.shape), out, lse);
}

double difference(const std::vector<float>& a, const std::vector<float>& b) {
  double error = 0, norm = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    error += (static_cast<double>(a[i]) - b[i]) * (static_cast<double>(a[i]) - b[i]);
    norm += static_cast<double>(b[i]) * b[i];
  }
  return std::sqrt(error / norm);
}

TEST(Merge, S0_7_AnySplitOfKeysInAnyOrderIsOnePass) {
  for (const Size& size :
       {Size{.rows = 3, .keys = 700, .heads = 4, .kv_heads = 2, .dim = 32, .dim_v = 24},
        Size{.rows = 20, .keys = 90, .heads = 1, .kv_heads = 1, .dim = 8, .dim_v = 17}}) {
    const Problem p(size);
    const Part whole = part_of(p, 0, size.keys);
    for (uint64_t seed = 1; seed <= 20; ++seed) {
      // Cuts at random keys, some of them equal: empty blocks.
      std::vector<int64_t> cuts{0, size.keys};
      for (uint64_t i = 0; i < seed; ++i) {
        const float x = std::abs(normal(seed, i));
        cuts.push_back(static_cast<int64_t>(x * static_cast<float>(size.keys)) % (size.keys + 1));
      }
      std::sort(cuts.begin(), cuts.end());
      std::vector<Part> parts;
      for (std::size_t i = 0; i + 1 < cuts.size(); ++i) {
        parts.push_back(part_of(p, cuts[i], cuts[i + 1]));
      }
      for (std::size_t i = parts.size(); i > 1; --i) {  // a random order
        const auto j = static_cast<std::size_t>(std::abs(normal(seed + 100, i)) * 1000) % i;
        std::swap(parts[i - 1], parts[j]);
      }
      Part sum = parts.front();
      for (std::size_t i = 1; i < parts.size(); ++i) merge_into(size, sum, parts[i]);
      EXPECT_LE(difference(sum.out, whole.out), 1e-6) << describe(size) << " seed " << seed;
      EXPECT_LE(difference(sum.lse, whole.lse), 1e-6) << describe(size) << " seed " << seed;
    }
  }
}

TEST(Merge, AnEmptyPartChangesNotABit) {
  const Size size{.rows = 5, .keys = 40, .heads = 3, .kv_heads = 1, .dim = 16, .dim_v = 20};
  const Problem p(size);
  const Part whole = part_of(p, 0, 40), none = part_of(p, 0, 0);
  for (const float x : none.lse) ASSERT_EQ(x, -kInf);
  Part a = whole;
  merge_into(size, a, none);
  EXPECT_TRUE(same_bits(a.out, whole.out));
  EXPECT_TRUE(same_bits(a.lse, whole.lse));
  a = none;
  merge_into(size, a, whole);
  EXPECT_TRUE(same_bits(a.out, whole.out));
  EXPECT_TRUE(same_bits(a.lse, whole.lse));
  a = none;
  merge_into(size, a, none);
  EXPECT_EQ(a.out, none.out);
  EXPECT_EQ(a.lse, none.lse);
  // What lies in out of a part that saw no key is not looked at.
  Part garbage = none;
  std::fill(garbage.out.begin(), garbage.out.end(), kNan);
  a = whole;
  merge_into(size, a, garbage);
  EXPECT_TRUE(same_bits(a.out, whole.out));
  // Nothing but +0 for zeros.
  Part zeros{std::vector<float>(none.out.size(), -0.0f), std::vector<float>(none.lse.size(), 0.0f)};
  merge_into(size, zeros, none);
  for (const float x : zeros.out) EXPECT_FALSE(std::signbit(x));
}

TEST(Merge, KeepsANanVisibleInItsRowAlone) {
  const Size size{.rows = 19, .keys = 40, .heads = 1, .kv_heads = 1, .dim = 16, .dim_v = 20};
  const Problem p(size);
  const Part left = part_of(p, 0, 20), right = part_of(p, 20, 40);
  Part clean = left;
  merge_into(size, clean, right);
  for (const bool in_left : {false, true}) {
    for (const bool in_lse : {false, true}) {
      Part a = left, b = right;
      Part& bad = in_left ? a : b;
      if (in_lse) bad.lse[7] = kNan;
      bad.out[7 * 20 + 3] = kNan;
      // Even where the other part outweighs it.
      if (!in_lse) bad.lse[7] = -200;
      merge_into(size, a, b);
      for (int64_t row = 0; row < 19; ++row) {
        const std::vector<float> got(a.out.begin() + row * 20, a.out.begin() + (row + 1) * 20);
        if (row != 7) {
          EXPECT_TRUE(
              same_bits(got, {clean.out.begin() + row * 20, clean.out.begin() + (row + 1) * 20}));
        } else {
          EXPECT_TRUE(std::isnan(got[3]));
          EXPECT_EQ(std::isnan(a.lse[7]), in_lse);
        }
      }
    }
  }
}

TEST(Merge, HasTheSameBitsOnEveryTargetAndForAnyStrides) {
  const Size size{.rows = 7, .keys = 64, .heads = 5, .kv_heads = 1, .dim = 16, .dim_v = 33};
  const Problem p(size);
  const Part left = part_of(p, 0, 11), right = part_of(p, 11, 64);
  Part reference = left;
  {
    const ScopedTarget scope(Target::scalar);
    merge_into(size, reference, right);
  }
  for (const Target target : available_targets()) {
    const ScopedTarget scope(target);
    Part a = left;
    merge_into(size, a, right);
    EXPECT_TRUE(same_bits(a.out, reference.out)) << name(target);
    EXPECT_TRUE(same_bits(a.lse, reference.lse)) << name(target);
  }
  // Transposed results between guard numbers, no lse.
  std::vector<float> memory(left.out.size() + 32, 123.0f);
  const View<float, 3> out(memory.data() + 16, {7, 5, 33}, {1, 7 * 33, 7});
  merge({left.out.data(), {7, 5, 33}}, {left.lse.data(), {7, 5}}, {right.out.data(), {7, 5, 33}},
        {right.lse.data(), {7, 5}}, out, {});
  for (int64_t t = 0; t < 7; ++t)
    for (int64_t h = 0; h < 5; ++h)
      for (int64_t d = 0; d < 33; ++d) {
        EXPECT_TRUE(same_bits({out(t, h, d)}, {reference.out[(t * 5 + h) * 33 + d]}));
      }
  for (std::size_t i = 0; i < 16; ++i) {
    EXPECT_EQ(memory[i], 123.0f);
    EXPECT_EQ(memory[memory.size() - 1 - i], 123.0f);
  }
}

TEST(Merge, RefusesOtherShapesAndOverlaps) {
  std::vector<float> x(200), y(200), z(200);
  const View<float, 3> out(z.data(), {2, 3, 4});
  const View<float, 2> lse(z.data() + 100, {2, 3});
  const View<const float, 3> a(x.data(), {2, 3, 4}), b(y.data(), {2, 3, 4});
  const View<const float, 2> la(x.data() + 100, {2, 3}), lb(y.data() + 100, {2, 3});
  merge(a, la, b, lb, out, lse);
  merge({x.data(), {0, 3, 4}}, {x.data(), {0, 3}}, {y.data(), {0, 3, 4}}, {y.data(), {0, 3}},
        {z.data(), {0, 3, 4}}, {z.data(), {0, 3}});
  expect_error([&] { merge({x.data(), {2, 3, 5}}, la, b, lb, out, lse); }, "out_a is 2 x 3 x 5");
  expect_error([&] { merge(a, la, b, {y.data(), {3, 2}}, out, lse); }, "lse_b is 3 x 2");
  expect_error([&] { merge(a, la, b, lb, out, {z.data() + 100, {1, 3}}); }, "lse is 1 x 3");
  expect_error([&] { merge(a, la, b, lb, {x.data() + 4, {2, 3, 4}}, lse); }, "overlaps out_a");
  expect_error([&] { merge(a, la, b, lb, {y.data(), {2, 3, 4}}, lse); }, "overlaps part b");
  expect_error([&] { merge(a, la, b, lb, out, {z.data() + 20, {2, 3}}); }, "out and lse overlap");
  expect_error([&] { merge(a, la, b, lb, out, {x.data() + 101, {2, 3}}); }, "overlaps lse_a");
}

}  // namespace
}  // namespace regard
