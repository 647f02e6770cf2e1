// A plan as its public header gives it: over pages and over arrays, with threads of its own, step
// after step without an allocation, and refusals before anything is written.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <new>

#include "base/check.h"
#include "plan/expect_error.h"
#include "problem.h"
#include "regard/attention_plan.h"

namespace {
std::atomic<int64_t> allocations{0};
void* counted(std::size_t bytes) {
  ++allocations;
  if (void* memory = std::malloc(bytes == 0 ? 1 : bytes)) return memory;
  throw std::bad_alloc();
}
}  // namespace
void* operator new(std::size_t bytes) { return counted(bytes); }
void* operator new[](std::size_t bytes) { return counted(bytes); }
void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept {
  ++allocations;
  return std::malloc(bytes == 0 ? 1 : bytes);
}
void operator delete(void* memory, const std::nothrow_t&) noexcept { std::free(memory); }
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t) noexcept { std::free(memory); }

namespace regard {
namespace {

using namespace regard::testing;

struct Batch {
  static constexpr int64_t heads = 4, kv_heads = 2, dim = 24, dim_v = 40, page = 32;
  std::vector<Problem> problems;
  std::vector<std::vector<int32_t>> tables;
  std::vector<float> q, k, v;  // of all, one behind the other
  std::vector<Segment> segments;
  KvCache cache;
  int64_t rows = 0, keys = 0;

  Batch()
      : cache({.layers = 2,
               .pages = 40,
               .page_keys = page,
               .kv_heads = kv_heads,
               .dim = dim,
               .dim_v = dim_v,
               .k_dtype = DType::f32,
               .v_dtype = DType::f32}) {
    int32_t next = 0;
    for (const auto& [r, n] : {std::pair{1, 530}, {20, 20}, {0, 7}, {3, 0}, {40, 300}}) {
      problems.emplace_back(Size{r, n, heads, kv_heads, dim, dim_v, true}, 20 + problems.size());
      tables.emplace_back((n + page - 1) / page);
      for (int32_t& id : tables.back()) id = (11 * next++ + 5) % 40;
    }
    for (std::size_t i = 0; i < problems.size(); ++i) {
      const Problem& p = problems[i];
      cache.append(1, tables[i], 0, p.k_view(), p.v_view());
      segments.push_back({rows, p.size.rows, p.size.keys, tables[i], keys});
      q.insert(q.end(), p.q.begin(), p.q.end());
      k.insert(k.end(), p.k.begin(), p.k.end());
      v.insert(v.end(), p.v.begin(), p.v.end());
      rows += p.size.rows;
      keys += p.size.keys;
    }
  }
  View<const float, 3> q_view() const { return {q.data(), {rows, heads, dim}}; }
  View<const float, 3> k_view() const { return {k.data(), {keys, kv_heads, dim}}; }
  View<const float, 3> v_view() const { return {v.data(), {keys, kv_heads, dim_v}}; }
  AttentionPlan plan(int threads) const {
    return AttentionPlan({heads, kv_heads, dim, dim_v}, segments,
                         {.mask = causal(), .threads = threads});
  }
};

struct Out {
  std::vector<float> out, lse;
  explicit Out(int64_t rows)
      : out(static_cast<std::size_t>(rows * Batch::heads * Batch::dim_v), 7.0f),
        lse(static_cast<std::size_t>(rows * Batch::heads), 7.0f) {}
  View<float, 3> out_view() {
    return {out.data(), {std::ssize(lse) / Batch::heads, Batch::heads, Batch::dim_v}};
  }
  View<float, 2> lse_view() { return {lse.data(), {std::ssize(lse) / Batch::heads, Batch::heads}}; }
};

TEST(PagedPlan, GivesOverPagesAndArraysWhatAttentionGives) {
  const Batch b;
  for (const int threads : {1, 2, 3}) {
    AttentionPlan plan = b.plan(threads);
    Out paged(b.rows), arrays(b.rows);
    plan.run(b.cache, 1, b.q_view(), paged.out_view(), paged.lse_view());
    plan.run(b.q_view(), b.k_view(), b.v_view(), arrays.out_view(), arrays.lse_view());
    for (std::size_t i = 0; i < b.problems.size(); ++i) {
      const Result alone = run_strided(b.problems[i]);
      const Segment& s = b.segments[i];
      for (const Out* r : {&paged, &arrays}) {
        const auto out = r->out.begin() + s.first_row * b.heads * b.dim_v;
        const auto lse = r->lse.begin() + s.first_row * b.heads;
        EXPECT_TRUE(same_bits({out, out + s.rows * b.heads * b.dim_v}, alone.out)) << i;
        EXPECT_TRUE(same_bits({lse, lse + s.rows * b.heads}, alone.lse)) << i;
      }
    }
  }
}

TEST(PagedPlan, RunsAndReplansWithoutAnAllocation) {
  const Batch b;
  for (const int threads : {1, 2}) {
    AttentionPlan plan = b.plan(threads);
    Out r(b.rows);
    plan.run(b.cache, 1, b.q_view(), r.out_view(), r.lse_view());  // makes the threads
    const std::vector<Segment> fewer(b.segments.begin(), b.segments.begin() + 2);
    plan.replan(fewer);
    plan.replan(b.segments);
    const int64_t memory = plan.workspace_bytes();
    const int64_t before = allocations;
    for (int step = 0; step < 5; ++step) {
      plan.replan(step % 2 == 0 ? std::span<const Segment>(fewer) : b.segments);
      plan.run(b.cache, 1, b.q_view(), r.out_view(), r.lse_view());
      plan.run(b.q_view(), b.k_view(), b.v_view(), r.out_view(), r.lse_view());
    }
    EXPECT_EQ(allocations - before, 0) << threads;
    plan.replan(b.segments);
    EXPECT_EQ(plan.workspace_bytes(), memory);
  }
}

TEST(PagedPlan, LeavesRowsOutsideItsSegments) {
  const Batch b;
  AttentionPlan plan = b.plan(1);
  const Segment second = b.segments[1];
  plan.replan({&second, 1});
  Out r(b.rows);
  plan.run(b.cache, 1, b.q_view(), r.out_view(), r.lse_view());
  for (int64_t row = 0; row < b.rows; ++row) {
    const bool inside = row >= second.first_row && row < second.first_row + second.rows;
    EXPECT_EQ(r.lse[row * b.heads] == 7.0f, !inside) << row;
    EXPECT_EQ(r.out[row * b.heads * b.dim_v] == 7.0f, !inside) << row;
  }
}

TEST(PagedPlan, RefusesBeforeItWrites) {
  Batch b;
  AttentionPlan plan = b.plan(2);
  Out r(b.rows);
  const auto q = b.q_view();
  const auto out = r.out_view();
  expect_error([&] { plan.run(b.cache, 2, q, out); }, "layer 2 is not in 0 .. 1");
  expect_error([&] { plan.run(b.cache, 1, q.rows(0, 5), out); }, "q is 5 x 4 x 24");
  expect_error([&] { plan.run(b.cache, 1, q, out.rows(0, 5)); }, "out is 5 x 4 x 40");
  expect_error([&] { plan.run(b.cache, 1, q, out, r.lse_view().rows(0, 5)); }, "lse is 5 x 4");
  expect_error([&] { plan.run(q, b.k_view().rows(0, 9), b.v_view().rows(0, 9), out); },
               "a segment has keys 0 .. 529 of 9");
  expect_error([&] { plan.run(q, b.v_view(), b.v_view(), out); }, "k has 2 heads of 40");
  expect_error([&] { plan.run(q, b.k_view(), b.k_view(), out); }, "v is 857 x 2 x 24");
  const KvCache other({.pages = 40, .kv_heads = 1, .dim = 24, .dim_v = 40});
  expect_error([&] { plan.run(other, 0, q, out); }, "the cache has 1 heads of 24 and 40");
  std::vector<Segment> bad = b.segments;
  bad[4].block_table = bad[4].block_table.first(3);
  plan.replan(bad);
  expect_error([&] { plan.run(b.cache, 1, q, out); }, "3 pages holds no 300 keys");
  for (const float x : r.out) EXPECT_EQ(x, 7.0f);
  bad = b.segments;
  bad[0].rows = -1;
  expect_error([&] { plan.replan(bad); }, "-1 rows");
}

}  // namespace
}  // namespace regard
