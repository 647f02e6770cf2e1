// A case run forwards through the operator.
#pragma once

#include <numeric>

#include "attention/attention.h"
#include "cross_problem.h"

namespace regard::testing {

struct ForwardResult {
  LaidOut out;
  std::vector<float> lse, entropy, key_sums, top_weights, similarities, scores, masked, weights;
  std::vector<int32_t> top_keys;
};

constexpr int64_t kTop = 3;

inline InputView<3> slab0(const InputView<4>& a) {
  return {a.data,
          a.dtype,
          {a.shape[1], a.shape[2], a.shape[3]},
          {a.strides[1], a.strides[2], a.strides[3]}};
}
inline OutputView<3> slab0(const OutputView<4>& a) {
  return {a.data,
          a.dtype,
          {a.shape[1], a.shape[2], a.shape[3]},
          {a.strides[1], a.strides[2], a.strides[3]}};
}

// Asks for what the case wants besides out.
inline AttentionExtras extras_of(const CrossProblem& p, ForwardResult& r) {
  const auto& q = p.q.view().shape;
  const int64_t keys = std::accumulate(
      p.segments.begin(), p.segments.end(), int64_t{0},
      [](int64_t most, const Segment& segment) { return std::max(most, segment.keys); });
  AttentionExtras extras;
  const auto give = [](auto& numbers, auto& view, const auto& shape) {
    view = {nullptr, shape};
    numbers.assign(static_cast<std::size_t>(view.size()), 77);
    view.data = numbers.data();
  };
  const int wanted = p.c.at(Axis::extras);
  if (wanted >= 1 && p.has_lse()) {
    give(r.lse, extras.lse, std::array<int64_t, 3>{q[0], q[1], q[2]});
  }
  if (wanted == 2) {
    give(r.entropy, extras.entropy, std::array<int64_t, 3>{q[0], q[1], q[2]});
    give(r.key_sums, extras.key_sums,
         std::array<int64_t, 3>{static_cast<int64_t>(p.segments.size()), q[2], keys});
    give(r.top_weights, extras.top_weights, std::array<int64_t, 4>{q[0], q[1], q[2], kTop});
    give(r.top_keys, extras.top_keys, std::array<int64_t, 4>{q[0], q[1], q[2], kTop});
  }
  if (wanted == 3) {
    const std::array<int64_t, 4> matrix{q[0], q[1], q[2], keys};
    give(r.similarities, extras.similarities, matrix);
    give(r.scores, extras.scores, matrix);
    give(r.masked, extras.masked, matrix);
    give(r.weights, extras.weights, matrix);
  }
  return extras;
}

// The keys of every segment in scattered pages of a cache.
inline void run_paged(const CrossProblem& p, ForwardResult& r) {
  std::vector<std::vector<int32_t>> tables;
  int64_t pages = 0;
  for (const Segment& segment : p.segments) pages += (segment.keys + p.page_keys - 1) / p.page_keys;
  KvCache cache({.layers = 1,
                 .pages = std::max<int64_t>(pages, 1),
                 .page_keys = p.page_keys,
                 .kv_heads = p.d.kv_heads,
                 .dim = p.d.dim,
                 .dim_v = p.d.dim_v,
                 .k_dtype = p.dtypes.k,
                 .v_dtype = p.dtypes.v});
  int64_t next = pages;
  const auto append = [&](const Segment& segment, const std::vector<int32_t>& table) {
    const auto dense = [&](const LaidOut& array, int64_t dim) {
      std::vector<float> numbers;
      for (int64_t j = 0; j < segment.keys; ++j)
        for (int64_t h = 0; h < p.d.kv_heads; ++h)
          for (int64_t n = 0; n < dim; ++n) {
            numbers.push_back(
                static_cast<float>(array.get(segment.slab, segment.first_key + j, h, n)));
          }
      return numbers;
    };
    const std::vector<float> k = dense(p.k, p.d.dim), v = dense(p.v, p.d.dim_v);
    cache.append(0, table, 0, View<const float, 3>(k.data(), {segment.keys, p.d.kv_heads, p.d.dim}),
                 View<const float, 3>(v.data(), {segment.keys, p.d.kv_heads, p.d.dim_v}));
  };
  std::vector<Segment> segments = p.segments;
  tables.resize(segments.size());
  for (std::size_t n = 0; n < segments.size(); ++n) {
    for (int64_t key = 0; key < segments[n].keys; key += p.page_keys) {
      tables[n].push_back(static_cast<int32_t>(--next));
    }
    if (segments[n].keys > 0) append(segments[n], tables[n]);
    segments[n].block_table = tables[n];
    segments[n].first_key = 0;
  }
  const auto& q = p.q.view();
  AttentionPlan plan({p.d.heads, p.d.kv_heads, p.d.dim, p.d.dim_v}, segments, p.options);
  ThreadPool pool(p.options.threads);
  View<float, 2> lse;
  if (p.c.at(Axis::extras) >= 1 && p.has_lse()) {
    r.lse.assign(static_cast<std::size_t>(q.shape[1] * q.shape[2]), 77);
    lse = {r.lse.data(), {q.shape[1], q.shape[2]}};
  }
  plan.run(cache, 0, slab0(InputView<4>(q)).as<float>(), slab0(r.out.view()).as<float>(), pool,
           lse);
}

// out_dtype: what out is stored as.
inline ForwardResult run_forward(const CrossProblem& p, DType out_dtype) {
  const auto& q = p.q.view().shape;
  ForwardResult r;
  r.out = LaidOut({q[0], q[1], q[2], p.d.dim_v}, out_dtype, p.layout, true);
  if (p.c.is_paged()) {
    run_paged(p, r);
    return r;
  }
  const AttentionExtras extras = extras_of(p, r);
  const bool lse_only = p.c.at(Axis::extras) <= 1;
  const InputView<4> q4 = p.q.view(), k4 = p.k.view(), v4 = p.v.view();
  if (p.c.form() == Form::single && lse_only) {
    View<float, 2> lse;
    if (extras.lse.data != nullptr) lse = extras.lse[0];
    attention(slab0(q4), slab0(k4), slab0(v4), slab0(r.out.view()), p.options, lse);
  } else if (p.c.form() == Form::single || p.c.form() == Form::batch) {
    attention(q4, k4, v4, r.out.view(), p.options, extras);
  } else {
    attention(slab0(q4), slab0(k4), slab0(v4), slab0(r.out.view()), p.segments, p.options, extras);
  }
  return r;
}

}  // namespace regard::testing
