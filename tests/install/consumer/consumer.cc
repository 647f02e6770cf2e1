// Attention over two keys whose scores are equal: the answer is the mean of their values. Then the
// same as an engine asks it: two sequences over one cache, the second one token longer.
#include <cstdio>
#include <vector>

#include "regard/attention.h"
#include "regard/attention_plan.h"
#include "regard/kv_cache.h"

int main() {
  const float q[2] = {1, 0}, k[4] = {0, 1, 0, -1}, v[4] = {1, 2, 3, 6};
  float out[2] = {};
  regard::attention({q, {1, 1, 2}}, {k, {2, 1, 2}}, {v, {2, 1, 2}}, {out, {1, 1, 2}});
  std::printf("%g %g\n", out[0], out[1]);

  regard::KvCache cache({.pages = 2, .page_keys = 16, .kv_heads = 1, .dim = 2, .dim_v = 2});
  const std::vector<int32_t> pages[2] = {{1}, {0}};
  const float third_k[2] = {0, 9}, third_v[2] = {4, 2}, both_q[4] = {1, 0, 1, 0};
  cache.append(0, pages[0], 0, {k, {2, 1, 2}}, {v, {2, 1, 2}});
  cache.append(0, pages[1], 0, {k, {2, 1, 2}}, {v, {2, 1, 2}});
  cache.append(0, pages[1], 2, {third_k, {1, 1, 2}}, {third_v, {1, 1, 2}});
  const std::vector<regard::Segment> segments{
      {.first_row = 0, .rows = 1, .keys = 2, .block_table = pages[0]},
      {.first_row = 1, .rows = 1, .keys = 3, .block_table = pages[1]}};
  regard::AttentionPlan plan({.heads = 1, .kv_heads = 1, .dim = 2, .dim_v = 2}, segments,
                             {.mask = regard::causal()});
  float both[4] = {};
  plan.run(cache, 0, {both_q, {2, 1, 2}}, {both, {2, 1, 2}});
  std::printf("%g %g, %.3f %.3f\n", both[0], both[1], both[2], both[3]);
}
