// Rows and keys for a similarity, its formula in f64, and what the mapped products make of them.
#pragma once

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
#include "tiles/similarity.h"

namespace regard::testing {

using Kind = Similarity::Kind;
using Numbers = std::vector<float>;
using Wide = std::vector<double>;
inline constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

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
inline double formula(const Case& c, const double* q, const double* k, const double* w) {
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

inline std::string describe(Target target, const Case& c) {
  return std::string(name(target)) + ", similarity " + std::to_string(static_cast<int>(c.kind)) +
         ", dims " + std::to_string(c.dim_q) + " and " + std::to_string(c.dim_k) + ", " +
         std::to_string(c.rows) + " x " + std::to_string(c.keys) + ", dtype " +
         std::to_string(static_cast<int>(c.dtype));
}

inline std::vector<Case> cases() {
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

}  // namespace regard::testing
