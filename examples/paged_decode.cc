// Decodes two sequences over a paged cache with a sliding window, as a serving engine does it:
// pages from a free list, keys rotated on their way into the cache, one plan for every step. Random
// numbers stand for a model's projections.
#include <cstdio>
#include <random>
#include <vector>

#include "regard/attention_plan.h"
#include "regard/error.h"
#include "regard/kv_cache.h"
#include "regard/rope.h"

using namespace regard;

int main() try {
  constexpr int64_t heads = 8, kv_heads = 2, dim = 64, layers = 2, page_keys = 32, window = 100;
  const int64_t prompts[] = {150, 40};  // tokens
  constexpr int64_t sequences = 2, steps = 20;

  KvCache cache({.layers = layers,
                 .pages = 16,
                 .page_keys = page_keys,
                 .kv_heads = kv_heads,
                 .dim = dim,
                 .dim_v = dim,
                 .k_dtype = DType::i8,
                 .v_dtype = DType::f16});
  RopeTable angles(dim, 10000);
  angles.reserve(1024);
  std::vector<int32_t> free_pages, block_tables[sequences];
  for (int32_t page = 15; page >= 0; --page) free_pages.push_back(page);

  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  std::vector<Segment> segments;  // the rows of this step
  AttentionPlan plan({heads, kv_heads, dim, dim}, segments,
                     {.mask = causal() & program::window(window - 1, 0), .threads = 2});
  for (int64_t step = 0; step <= steps; ++step) {
    segments.clear();
    std::vector<int32_t> positions;
    for (int64_t s = 0; s < sequences; ++s) {
      const int64_t keys = prompts[s] + step, rows = step == 0 ? keys : 1;
      std::vector<int32_t>& pages = block_tables[s];
      while (static_cast<int64_t>(pages.size()) * page_keys < keys) {
        pages.push_back(free_pages.back());
        free_pages.pop_back();
      }
      const auto first_row = static_cast<int64_t>(positions.size());
      segments.push_back(
          {.first_row = first_row, .rows = rows, .keys = keys, .block_table = pages});
      for (int64_t i = keys - rows; i < keys; ++i) positions.push_back(static_cast<int32_t>(i));
    }
    const auto rows = static_cast<int64_t>(positions.size());
    std::vector<float> q(rows * heads * dim), k(rows * kv_heads * dim), v(k.size()), out(q.size());
    plan.replan(segments);
    for (int64_t layer = 0; layer < layers; ++layer) {
      for (auto* numbers : {&q, &k, &v}) {
        for (float& x : *numbers) x = normal(random);
      }
      rope({q.data(), {rows, heads, dim}}, angles, positions, RopeLayout::halves);
      cache.append(layer, segments, {k.data(), {rows, kv_heads, dim}},
                   {v.data(), {rows, kv_heads, dim}}, {.table = &angles});
      plan.run(cache, layer, {q.data(), {rows, heads, dim}}, {out.data(), {rows, heads, dim}});
    }
    if (step == 0 || step == steps) std::printf("%s\n\n", plan.explain().c_str());
  }
} catch (const Error& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
