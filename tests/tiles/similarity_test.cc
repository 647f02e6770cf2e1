// Similarities as products of mapped rows and panels, against their formulas in f64: every target,
// every edge of a vector and a panel.
#include <gtest/gtest.h>

#include "similarity_problem.h"

namespace regard {
namespace {

using namespace regard::testing;

TEST(Similarity, ScoresAgreeWithTheFormulaAndTheirBitsWithEveryTarget) {
  for (const Case& c : cases()) {
    const Problem p(c);
    const Exact exact(p);
    Numbers first;
    for (const Target target : available_targets()) {
      SCOPED_TRACE(describe(target, c));
      const ScopedTarget forced(target);
      const Mapped mapped(p);
      for (int r = 0; r < c.rows; ++r) {
        for (int j = 0; j < c.keys; ++j) {
          const double expected = exact.score(r, j);
          const double size = c.kind == Kind::bilinear ? static_cast<double>(c.dim_q)
                                                       : 4 + static_cast<double>(c.dim_q) / 16;
          ASSERT_NEAR(mapped.scores[static_cast<std::size_t>(r * c.keys + j)], expected,
                      2e-7 * (size + std::abs(expected)))
              << r << " " << j;
        }
      }
      if (first.empty()) first = mapped.scores;
      ASSERT_EQ(first_difference(first, mapped.scores), -1);
    }
  }
}

// What OPERATOR.md asks of an output at unit-normal inputs rests on this: of 2e-6.
TEST(Similarity, DistancesOfWideVectorsLoseLittle) {
  const Case c{.kind = Kind::negative_distance,
               .dim_q = 1024,
               .dim_k = 1024,
               .rows = 16,
               .keys = 128,
               .scale = 1 / 64.0f};
  const Problem p(c);
  const Exact exact(p);
  const Mapped mapped(p);
  double squares = 0;
  for (int i = 0; i < c.rows * c.keys; ++i) {
    const double error =
        mapped.scores[static_cast<std::size_t>(i)] - exact.score(i / c.keys, i % c.keys);
    squares += error * error;
  }
  EXPECT_LT(std::sqrt(squares / (c.rows * c.keys)), 1.6e-6);
}

TEST(Similarity, ARowAndAKeyAloneHaveTheSameBits) {
  for (const Case& c : cases()) {
    if (c.rows < 2 || c.keys < 2) continue;
    const Problem p(c);
    const Mapped all(p);
    Problem one = p;
    one.c.rows = one.c.keys = 1;
    const int r = c.rows / 3 * 3, j = c.keys - 1;  // the first head's W
    if (r >= c.rows) continue;
    one.q.assign(p.q.begin() + r * c.dim_q * c.step, p.q.begin() + (r + 1) * c.dim_q * c.step);
    one.k.assign(p.k.begin() + j * c.dim_k, p.k.begin() + (j + 1) * c.dim_k);
    EXPECT_TRUE(
        same_bits(Mapped(one).scores[0], all.scores[static_cast<std::size_t>(r * c.keys + j)]))
        << describe(active_target(), c);
  }
}

TEST(Similarity, CosineKnowsTheDirectionOfLongAndShortVectors) {
  const Case c{Kind::cosine, 33, 33, 4, 20};
  const Numbers plain = Mapped(Problem(c)).scores;
  for (const float size : {1e30f, 1e-30f, 3e37f, 1e-41f}) {
    const Numbers scores = Mapped(Problem(c, size)).scores;
    for (std::size_t i = 0; i < plain.size(); ++i) {
      ASSERT_NEAR(scores[i], plain[i], size == 1e-41f ? 1e-3 : 1e-6) << size;
    }
  }
}

TEST(Similarity, CosineWithAZeroVectorIsZeroAndPassesNoGradient) {
  for (const Target target : available_targets()) {
    const ScopedTarget forced(target);
    Problem p({Kind::cosine, 20, 20, 3, 18});
    std::fill_n(p.q.begin() + 20, 20, 0.0f);
    std::fill_n(p.k.begin() + 17 * 20, 20, 0.0f);
    const Mapped mapped(p);
    for (int r = 0; r < 3; ++r) EXPECT_EQ(mapped.scores[static_cast<std::size_t>(r * 18 + 17)], 0);
    for (int j = 0; j < 18; ++j) EXPECT_EQ(mapped.scores[static_cast<std::size_t>(18 + j)], 0);
    const Numbers g(3 * 32, 1.0f);
    Numbers dq(3 * 32, kNaN);
    query_gradients(p.map(), p.rows().data(), 1, 3, nullptr, g.data(), dq.data());
    for (int d = 0; d < 20; ++d) EXPECT_EQ(dq[static_cast<std::size_t>(32 + d)], 0);
  }
}

TEST(Similarity, ANanStaysInItsRowAndItsKey) {
  for (const Target target : available_targets()) {
    const ScopedTarget forced(target);
    for (const Kind kind : {Kind::cosine, Kind::negative_distance, Kind::bilinear}) {
      Problem p({kind, 19, 19, 14, 33});
      p.q[2 * 19 + 18] = kNaN;
      p.k[20 * 19 + 3] = kNaN;
      const Mapped mapped(p);
      for (int i = 0; i < 14 * 33; ++i) {
        EXPECT_EQ(std::isnan(mapped.scores[static_cast<std::size_t>(i)]),
                  i / 33 == 2 || i % 33 == 20)
            << i;
      }
    }
  }
}

// Keys stored as i8 are mapped as the numbers that they stand for.
TEST(Similarity, QuantisedKeysAreMappedWithTheirScales) {
  for (const Target target : available_targets()) {
    const ScopedTarget forced(target);
    for (const Kind kind : {Kind::cosine, Kind::negative_distance}) {
      for (const int keys : {3, 70, 128}) {
        Problem p({kind, 19, 19, 1, keys});
        std::vector<int8_t> whole(static_cast<std::size_t>(kTileKeys * 19));
        Numbers scales(kTileKeys), is(static_cast<std::size_t>(kTileKeys * 21)), expected = is;
        for (std::size_t i = 0; i < whole.size(); ++i)
          whole[i] = static_cast<int8_t>(i * 37 % 255 - 127);
        for (std::size_t j = 0; j < scales.size(); ++j) {
          scales[j] = 0.01f + 0.001f * static_cast<float>(j);
        }
        KeyTile tile;
        tile.k_dtype = DType::i8;
        tile.keys = keys;
        tile.scaled_keys = true;
        for (int panel = 0; panel * kPanelKeys < keys; ++panel) {
          tile.keys_of_panel[panel] = whole.data() + panel * 19 * kPanelKeys;
          tile.key_scales_of_panel[panel] = scales.data() + panel * kPanelKeys;
        }
        for (int j = 0; j < keys; ++j) {
          for (int d = 0; d < 19; ++d) {
            p.k[static_cast<std::size_t>(j * 19 + d)] =
                static_cast<float>(whole[static_cast<std::size_t>(
                    (j / kPanelKeys * 19 + d) * kPanelKeys + j % kPanelKeys)]) *
                scales[static_cast<std::size_t>(j)];
          }
        }
        const Panels wide(p);
        const KeyTile mapped = map_tile(p.map(), tile, is.data());
        EXPECT_FALSE(mapped.scaled_keys);
        map_tile(p.map(), wide.tile, expected.data());
        const auto dim = static_cast<int>(p.map().mapped_dim());
        for (int j = 0; j < keys; ++j) {
          for (int d = 0; d < dim; ++d) {
            const auto at =
                static_cast<std::size_t>((j / kPanelKeys * dim + d) * kPanelKeys + j % kPanelKeys);
            ASSERT_TRUE(same_bits(is[at], expected[at])) << j << " " << d;
          }
        }
      }
    }
  }
}

TEST(Similarity, StagedPanelsAreStagedRows) {
  for (const Target target : available_targets()) {
    const ScopedTarget forced(target);
    for (const auto& [dim, keys] : {std::pair{1, 1}, {15, 17}, {16, 16}, {33, 128}}) {
      const Problem p({Kind::dot, dim, dim, 1, keys});
      const Panels panels(p);
      Numbers a(static_cast<std::size_t>((dim + 15) / 16 * 16 * 128), 5), b = a;
      EXPECT_TRUE(stage_panels(panels.tile, dim, a.data()));
      EXPECT_TRUE(stage_rows({p.k.data(), DType::f32, p.c.dim_k, 1, keys}, dim, 1, b.data()));
      EXPECT_EQ(first_difference(a, b), -1);
    }
    Problem p({Kind::dot, 20, 20, 1, 17});
    p.k.back() = kNaN;
    Numbers out(32 * 128);
    EXPECT_FALSE(stage_panels(Panels(p).tile, 20, out.data()));
  }
}

}  // namespace
}  // namespace regard
