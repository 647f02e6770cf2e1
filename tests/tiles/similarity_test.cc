// Similarities as products of mapped rows and panels, against their formulas in f64, and their
// gradients against central differences: every target, every edge of a vector and a panel.
#include "tiles/similarity.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "kernels/bits.h"
#include "regard/half.h"
#include "simd/target.h"
#include "tiles/backward.h"

namespace regard {
namespace {

using Kind = Similarity::Kind;
using Numbers = std::vector<float>;
using Wide = std::vector<double>;
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

struct Case {
  Kind kind;
  int64_t dim_q, dim_k;
  int rows, keys;
  DType dtype = DType::f32;
  int64_t step = 1;
  float scale = 0.25f;
};

// Unit-normal rows, keys and one W for each of three heads that take turns.
struct Problem {
  explicit Problem(const Case& about, float size = 1) : c(about) {
    std::mt19937 random(7);
    std::normal_distribution<float> normal(0, 1);
    for (Numbers* x : {&q, &k, &w}) {
      x->resize(static_cast<std::size_t>(x == &q   ? c.rows * c.dim_q * c.step
                                         : x == &k ? c.keys * c.dim_k
                                                   : 3 * c.dim_q * c.dim_k));
      for (float& number : *x) number = (x == &w ? 0.125f : size) * normal(random);
    }
    if (c.dtype == DType::f16) {
      for (float& x : k) x = to_f32(to_f16(x));
    } else if (c.dtype == DType::bf16) {
      for (float& x : k) x = to_f32(to_bf16(x));
    }
  }
  std::vector<const float*> rows() const {
    std::vector<const float*> at;
    for (int r = 0; r < c.rows; ++r) at.push_back(q.data() + r * c.dim_q * c.step);
    return at;
  }
  std::vector<const float*> key_rows() const {
    std::vector<const float*> at;
    for (int j = 0; j < c.keys; ++j) at.push_back(k.data() + j * c.dim_k);
    return at;
  }
  SimilarityMap map() const { return {c.kind, c.dim_q, c.dim_k, c.scale}; }

  // Packed weights, and for each row its own.
  struct Weights {
    std::vector<Numbers> packed;
    std::vector<const float*> of_row;
  };
  Weights weights(bool transposed) const {
    Weights all;
    const int64_t in = transposed ? c.dim_k : c.dim_q, out = transposed ? c.dim_q : c.dim_k;
    for (int head = 0; head < 3; ++head) {
      all.packed.emplace_back(static_cast<std::size_t>(packed_weight_size(in, out)));
      pack_weight(w.data() + head * c.dim_q * c.dim_k, transposed ? 1 : c.dim_k,
                  transposed ? c.dim_k : 1, in, out, all.packed.back().data());
    }
    for (int r = 0; r < c.rows; ++r) {
      all.of_row.push_back(all.packed[static_cast<std::size_t>(r % 3)].data());
    }
    return all;
  }

  Case c;
  Numbers q, k, w;
};

// u(q, k) times scale in f64.
double formula(const Case& c, const double* q, const double* k, const double* w) {
  double qk = 0, qq = 0, kk = 0, far = 0;
  if (c.kind == Kind::bilinear) {
    for (int64_t e = 0; e < c.dim_q; ++e) {
      for (int64_t d = 0; d < c.dim_k; ++d) qk += q[e] * w[e * c.dim_k + d] * k[d];
    }
    return c.scale * qk;
  }
  for (int64_t d = 0; d < c.dim_q; ++d) {
    qk += q[d] * k[d];
    qq += q[d] * q[d];
    kk += k[d] * k[d];
    far += (q[d] - k[d]) * (q[d] - k[d]);
  }
  if (c.kind == Kind::negative_distance) return -c.scale * far;
  if (c.kind == Kind::cosine) return qq == 0 || kk == 0 ? 0 : c.scale * qk / std::sqrt(qq * kk);
  return c.scale * qk;
}

// Rows and keys as numbers of f64, without the gaps.
struct Exact {
  explicit Exact(const Problem& p) : c(p.c), k(p.k.begin(), p.k.end()), w(p.w.begin(), p.w.end()) {
    for (int r = 0; r < c.rows; ++r) {
      for (int64_t d = 0; d < c.dim_q; ++d) {
        q.push_back(p.q[static_cast<std::size_t>((r * c.dim_q + d) * c.step)]);
      }
    }
  }
  double score(int r, int j) const {
    return formula(c, q.data() + r * c.dim_q, k.data() + j * c.dim_k,
                   w.data() + r % 3 * c.dim_q * c.dim_k);
  }
  // Σ ds s over all pairs.
  double loss(const Numbers& ds) const {
    double sum = 0;
    for (int r = 0; r < c.rows; ++r) {
      for (int j = 0; j < c.keys; ++j) {
        const float g = ds[static_cast<std::size_t>(r * c.keys + j)];
        if (g != 0) sum += g * score(r, j);
      }
    }
    return sum;
  }
  Case c;
  Wide q, k, w;
};

// The keys as panels of the case's dtype; lanes behind the last key are NaN.
struct Panels {
  explicit Panels(const Problem& p) {
    const int64_t numbers = kTilePanels * p.c.dim_k * kPanelKeys;
    memory.assign(static_cast<std::size_t>(numbers), kNaN);
    tile.k_dtype = p.c.dtype;
    tile.keys = p.c.keys;
    auto* const at = reinterpret_cast<std::byte*>(memory.data());
    for (int first = 0, panel = 0; first < p.c.keys; first += kPanelKeys, ++panel) {
      std::byte* const to = at + row_bytes(p.c.dtype, panel * p.c.dim_k * kPanelKeys);
      pack_keys(p.k.data() + first * p.c.dim_k, p.c.dim_k, 1, p.c.dim_k,
                std::min(kPanelKeys, p.c.keys - first), 0, p.c.dtype, to);
      tile.keys_of_panel[panel] = to;
    }
  }
  Numbers memory;
  KeyTile tile;
};

// All scores [rows][keys], and what they were made of.
struct Mapped {
  explicit Mapped(const Problem& p) : panels(p) {
    const SimilarityMap map = p.map();
    const std::vector<const float*> rows = p.rows();
    const Problem::Weights weights = p.weights(false);
    q.resize(static_cast<std::size_t>(p.c.rows * map.mapped_step()));
    std::vector<const float*> at(rows.size());
    map_queries(map, rows.data(), p.c.step, p.c.rows, weights.of_row.data(), q.data(), at.data());
    k.resize(static_cast<std::size_t>(kTileKeys * map.mapped_dim()));
    tile = map_tile(map, panels.tile, k.data());
    Numbers packed(static_cast<std::size_t>(kPackedRows * map.mapped_dim()));
    for (int r = 0; r < p.c.rows; ++r) {
      pack_queries(&at[static_cast<std::size_t>(r)], 1, 1, map.mapped_dim(), 1, packed.data());
      float row[kTileKeys];
      score_row(packed.data(), map.mapped_dim(), tile, row);
      scores.insert(scores.end(), row, row + p.c.keys);
    }
  }
  Panels panels;
  Numbers q, k, scores;
  KeyTile tile;
};

std::string describe(Target target, const Case& c) {
  return std::string(name(target)) + ", similarity " + std::to_string(static_cast<int>(c.kind)) +
         ", dims " + std::to_string(c.dim_q) + " and " + std::to_string(c.dim_k) + ", " +
         std::to_string(c.rows) + " x " + std::to_string(c.keys) + ", dtype " +
         std::to_string(static_cast<int>(c.dtype));
}

std::vector<Case> cases() {
  std::vector<Case> all;
  const std::pair<int, int> sizes[] = {{1, 1}, {5, 15}, {13, 17}, {40, 128}};
  for (const Kind kind : {Kind::dot, Kind::cosine, Kind::negative_distance, Kind::bilinear}) {
    for (const int64_t dim : {1, 2, 14, 15, 16, 17, 64, 100}) {
      const auto& [rows, keys] = sizes[all.size() % 4];
      Case c{kind, dim, dim, rows, keys};
      if (kind == Kind::bilinear) c.dim_q = dim == 16 ? 33 : dim + 3;
      if (dim % 3 == 2) c.step = 3;
      all.push_back(c);
      c.dtype = dim % 2 == 0 ? DType::f16 : DType::bf16;
      c.keys = 128 - c.keys + 1;
      all.push_back(c);
    }
  }
  return all;
}

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

// ---- gradients ----

// x's gradient of the loss by central differences.
Wide differences(Exact exact, Wide Exact::*x, const Numbers& ds) {
  Wide gradient;
  for (std::size_t i = 0; i < (exact.*x).size(); ++i) {
    const double before = (exact.*x)[i], step = 1e-4;
    (exact.*x)[i] = before + step;
    const double above = exact.loss(ds);
    (exact.*x)[i] = before - step;
    gradient.push_back((above - exact.loss(ds)) / (2 * step));
    (exact.*x)[i] = before;
  }
  return gradient;
}

struct Gradients {
  Numbers dq, dk, dw;  // without padding
};
// As the backward pass makes them: gradients of q' and k' are sums over mapped numbers.
Gradients gradients_of(const Problem& p, const Numbers& ds) {
  const Case& c = p.c;
  const SimilarityMap map = p.map();
  const Mapped mapped(p);
  const auto step = static_cast<std::size_t>(map.mapped_step());
  Numbers gq(static_cast<std::size_t>(c.rows) * step), gk(static_cast<std::size_t>(c.keys) * step);
  for (int r = 0; r < c.rows; ++r) {
    for (int j = 0; j < c.keys; ++j) {
      const float g = ds[static_cast<std::size_t>(r * c.keys + j)];
      if (g == 0) continue;
      const auto* const panel = reinterpret_cast<const float*>(mapped.tile.keys_of_panel[j / 16]);
      for (int64_t d = 0; d < map.mapped_dim(); ++d) {
        gq[static_cast<std::size_t>(r * map.mapped_step() + d)] += g * panel[d * 16 + j % 16];
        gk[static_cast<std::size_t>(j * map.mapped_step() + d)] +=
            g * mapped.q[static_cast<std::size_t>(r * map.mapped_step() + d)];
      }
    }
  }
  const int64_t columns_q = (c.dim_q + 15) / 16 * 16, columns_k = (c.dim_k + 15) / 16 * 16;
  Numbers dq(static_cast<std::size_t>(c.rows * columns_q), kNaN);
  Numbers dk(static_cast<std::size_t>(c.keys * columns_k), kNaN);
  const Problem::Weights weights = p.weights(true);
  query_gradients(map, p.rows().data(), c.step, c.rows, weights.of_row.data(), gq.data(),
                  dq.data());
  key_gradients(map, p.key_rows().data(), 1, c.keys, gk.data(), dk.data());
  Gradients all;
  for (int r = 0; r < c.rows; ++r) {
    all.dq.insert(all.dq.end(), dq.begin() + r * columns_q, dq.begin() + r * columns_q + c.dim_q);
  }
  for (int j = 0; j < c.keys; ++j) {
    all.dk.insert(all.dk.end(), dk.begin() + j * columns_k, dk.begin() + j * columns_k + c.dim_k);
  }
  if (c.kind != Kind::bilinear) return all;
  for (int head = 0; head < 3; ++head) {
    std::vector<const float*> rows;
    Numbers g, dw(static_cast<std::size_t>(c.dim_q) * step);
    for (int r = head; r < c.rows; r += 3) {
      rows.push_back(p.rows()[static_cast<std::size_t>(r)]);
      const auto from = gq.begin() + r * map.mapped_step();
      g.insert(g.end(), from, from + map.mapped_step());
    }
    const int64_t middle = c.dim_q / 2;  // as two threads share the inputs
    for (const auto& [first, end] : {std::pair{middle, c.dim_q}, {int64_t{0}, middle}}) {
      add_weight_gradient(map, rows.data(), c.step, static_cast<int>(rows.size()), g.data(), first,
                          end, dw.data());
    }
    for (int64_t e = 0; e < c.dim_q; ++e) {
      const auto from = dw.begin() + e * map.mapped_step();
      all.dw.insert(all.dw.end(), from, from + c.dim_k);
    }
  }
  return all;
}

void expect_near(const Numbers& is, const Wide& expected, double tolerance, const char* what) {
  ASSERT_EQ(is.size(), expected.size()) << what;
  for (std::size_t i = 0; i < is.size(); ++i) {
    ASSERT_NEAR(is[i], expected[i], tolerance * (1 + std::abs(expected[i]))) << what << " " << i;
  }
}

TEST(Similarity, GradientsAgreeWithCentralDifferences) {
  for (const Kind kind : {Kind::dot, Kind::cosine, Kind::negative_distance, Kind::bilinear}) {
    for (const int64_t dim : {2, 15, 20}) {
      Case c{kind, dim, dim, 7, 18};
      if (kind == Kind::bilinear) c.dim_q = dim + 2;
      if (dim == 15) c.step = 2;
      const Problem p(c);
      std::mt19937 random(3);
      std::normal_distribution<float> normal(0, 1);
      Numbers ds(static_cast<std::size_t>(c.rows * c.keys));
      for (float& x : ds) x = normal(random);
      const Exact exact(p);
      Gradients first;
      for (const Target target : available_targets()) {
        SCOPED_TRACE(describe(target, c));
        const ScopedTarget forced(target);
        const Gradients is = gradients_of(p, ds);
        expect_near(is.dq, differences(exact, &Exact::q, ds), 5e-6, "dq");
        expect_near(is.dk, differences(exact, &Exact::k, ds), 5e-6, "dk");
        if (kind == Kind::bilinear) {
          expect_near(is.dw, differences(exact, &Exact::w, ds), 5e-6, "dw");
        }
        if (first.dq.empty()) first = is;
        EXPECT_EQ(first_difference(first.dq, is.dq), -1);
        EXPECT_EQ(first_difference(first.dk, is.dk), -1);
        EXPECT_EQ(first_difference(first.dw, is.dw), -1);
      }
    }
  }
}

TEST(Similarity, AMaskedRowOrKeyPassesNoGradientWhateverItHolds) {
  for (const Kind kind : {Kind::cosine, Kind::negative_distance, Kind::bilinear}) {
    const Case c{kind, 18, 18, 6, 17};
    Problem p(c);
    Numbers ds(6 * 17, 1.0f);
    for (int j = 0; j < 17; ++j) ds[static_cast<std::size_t>(2 * 17 + j)] = 0;
    for (int r = 0; r < 6; ++r) ds[static_cast<std::size_t>(r * 17 + 16)] = 0;
    const Gradients clean = gradients_of(p, ds);
    p.q[2 * 18 + 5] = kNaN;
    p.k[16 * 18] = std::numeric_limits<float>::infinity();
    const Gradients is = gradients_of(p, ds);
    EXPECT_EQ(first_difference(clean.dq, is.dq), -1);
    EXPECT_EQ(first_difference(clean.dk, is.dk), -1);
    EXPECT_EQ(first_difference(clean.dw, is.dw), -1);
    for (int d = 0; d < 18; ++d) {
      EXPECT_EQ(is.dq[static_cast<std::size_t>(2 * 18 + d)], 0);
      EXPECT_EQ(is.dk[static_cast<std::size_t>(16 * 18 + d)], 0);
    }
  }
}

}  // namespace
}  // namespace regard
