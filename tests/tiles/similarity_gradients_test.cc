// Gradients of similarities against central differences of their formulas.
#include <gtest/gtest.h>

#include "similarity_problem.h"

namespace regard {
namespace {

using namespace regard::testing;

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
