// A random attention problem: unit-normal q, k, v from a seed, run through the public operator or
// through pages, and its distance from the oracle.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <numeric>
#include <string>
#include <vector>

#include "attention/attention.h"
#include "reference/reference.h"
#include "regard/half.h"
#include "simd/target.h"

namespace regard::testing {

struct Size {
  int64_t rows, keys, heads = 1, kv_heads = 1, dim = 64, dim_v = 64;
  bool causal = false;
};

inline std::string describe(const Size& s) {
  return std::to_string(s.rows) + "x" + std::to_string(s.keys) + " heads " +
         std::to_string(s.heads) + "/" + std::to_string(s.kv_heads) + " dim " +
         std::to_string(s.dim) + "/" + std::to_string(s.dim_v) + (s.causal ? " causal" : " full");
}

// Numbers that every machine makes alike: a counter through a mixing function, four uniforms
// summed to something near a normal of variance 1.
inline float normal(uint64_t seed, uint64_t index) {
  double sum = 0;
  for (uint64_t i = 0; i < 4; ++i) {
    uint64_t x = seed * 0x9E3779B97F4A7C15u + index * 4 + i;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
    x ^= x >> 31;
    sum += static_cast<double>(x >> 11) * 0x1p-53 - 0.5;
  }
  return static_cast<float>(sum * std::sqrt(3.0));
}

inline std::vector<float> normals(uint64_t seed, int64_t count) {
  std::vector<float> x(static_cast<std::size_t>(count));
  for (int64_t i = 0; i < count; ++i) x[i] = normal(seed, static_cast<uint64_t>(i));
  return x;
}

struct Problem {
  Size size;
  std::vector<float> q, k, v;

  explicit Problem(const Size& s, uint64_t seed = 1)
      : size(s),
        q(normals(3 * seed, s.rows * s.heads * s.dim)),
        k(normals(3 * seed + 1, s.keys * s.kv_heads * s.dim)),
        v(normals(3 * seed + 2, s.keys * s.kv_heads * s.dim_v)) {}

  View<const float, 3> q_view() const { return {q.data(), {size.rows, size.heads, size.dim}}; }
  View<const float, 3> k_view() const { return {k.data(), {size.keys, size.kv_heads, size.dim}}; }
  View<const float, 3> v_view() const { return {v.data(), {size.keys, size.kv_heads, size.dim_v}}; }
  Expr mask() const { return size.causal ? causal() : full(); }
  float scale() const { return static_cast<float>(1.0 / std::sqrt(static_cast<double>(size.dim))); }
};

struct Result {
  std::vector<float> out, lse;
  bool operator==(const Result&) const = default;
};

// Same bits, NaNs counting as equal.
inline bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (std::isnan(a[i]) && std::isnan(b[i])) continue;
    if (std::memcmp(&a[i], &b[i], sizeof(float)) != 0) return false;
  }
  return true;
}
inline bool same_bits(const Result& a, const Result& b) {
  return same_bits(a.out, b.out) && same_bits(a.lse, b.lse);
}

inline Result empty_result(const Size& s) {
  return {std::vector<float>(static_cast<std::size_t>(s.rows * s.heads * s.dim_v), 7.0f),
          std::vector<float>(static_cast<std::size_t>(s.rows * s.heads), 7.0f)};
}

// Through the public operator.
inline Result run_strided(const Problem& p, int threads = 1) {
  Result r = empty_result(p.size);
  attention(p.q_view(), p.k_view(), p.v_view(),
            View<float, 3>(r.out.data(), {p.size.rows, p.size.heads, p.size.dim_v}),
            {.mask = p.mask(), .threads = threads},
            View<float, 2>(r.lse.data(), {p.size.rows, p.size.heads}));
  return r;
}

struct Paging {
  DType k_dtype = DType::f32, v_dtype = DType::f32;
  int64_t page_keys = 64;
  bool scattered = false;  // pages in reverse order, every other one unused
};

// The keys of one sequence in a cache of their own.
struct PagedProblem {
  KvCache cache;
  std::vector<int32_t> block_table;

  PagedProblem(const Problem& p, const Paging& paging)
      : cache({.layers = 2,
               .pages = (paging.scattered ? 2 : 1) * pages(p, paging),
               .page_keys = paging.page_keys,
               .kv_heads = p.size.kv_heads,
               .dim = p.size.dim,
               .dim_v = p.size.dim_v,
               .k_dtype = paging.k_dtype,
               .v_dtype = paging.v_dtype}) {
    const int64_t count = pages(p, paging);
    for (int64_t i = 0; i < count; ++i) {
      block_table.push_back(static_cast<int32_t>(paging.scattered ? 2 * (count - 1 - i) : i));
    }
    cache.append(1, block_table, 0, p.k_view(), p.v_view());
  }
  static int64_t pages(const Problem& p, const Paging& paging) {
    return (p.size.keys + paging.page_keys - 1) / paging.page_keys;
  }
};

inline Result run_paged(const Problem& p, const Paging& paging, int threads = 1) {
  const PagedProblem paged(p, paging);
  Result r = empty_result(p.size);
  const Segment segment{0, p.size.rows, p.size.keys, paged.block_table};
  AttentionPlan plan({p.size.heads, p.size.kv_heads, p.size.dim, p.size.dim_v}, {&segment, 1},
                     {.mask = p.mask(), .scale = p.scale(), .threads = threads});
  ThreadPool pool(threads);
  plan.run(paged.cache, 1, p.q_view(),
           View<float, 3>(r.out.data(), {p.size.rows, p.size.heads, p.size.dim_v}), pool,
           View<float, 2>(r.lse.data(), {p.size.rows, p.size.heads}));
  return r;
}

// The problem as a cache of that dtype stores it.
inline Problem rounded(Problem p, DType k_dtype, DType v_dtype) {
  const auto round = [](std::vector<float>& x, DType dtype) {
    for (float& value : x) {
      if (dtype == DType::f16) value = to_f32(to_f16(value));
      if (dtype == DType::bf16) value = to_f32(to_bf16(value));
    }
  };
  round(p.k, k_dtype);
  round(p.v, v_dtype);
  return p;
}

// The largest ‖error‖₂ / ‖oracle‖₂ of a (row, head), and of lse the largest error.
struct Distance {
  double out = 0, lse = 0;
};
inline Distance distance(const Problem& p, const Result& r) {
  const Reference oracle = reference_attention(p.q_view(), p.k_view(), p.v_view(),
                                               {.mask = p.mask(), .scale = p.scale()});
  Distance d;
  for (int64_t row = 0; row < p.size.rows * p.size.heads; ++row) {
    double error = 0, norm = 0;
    for (int64_t i = row * p.size.dim_v; i < (row + 1) * p.size.dim_v; ++i) {
      error += (r.out[i] - oracle.out[i]) * (r.out[i] - oracle.out[i]);
      norm += oracle.out[i] * oracle.out[i];
    }
    const double off = norm == 0 ? std::sqrt(error) : std::sqrt(error / norm);
    d.out = std::isnan(off) ? INFINITY : std::max(d.out, off);
    if (std::isinf(oracle.lse[row])) {
      if (r.lse[row] != oracle.lse[row]) d.lse = INFINITY;
    } else {
      d.lse = std::max(d.lse, std::abs(r.lse[row] - oracle.lse[row]));
    }
  }
  return d;
}

}  // namespace regard::testing
