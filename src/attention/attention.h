// The operator as the engine uses it: a plan fixes shapes, tiles and workspace of one ragged batch
// over paged keys and values; run computes it, layer after layer, and allocates nothing.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/threads.h"
#include "regard/attention.h"
#include "regard/kv_cache.h"

namespace regard {

class KeySource;

struct AttentionShape {
  int64_t heads = 1;
  int64_t kv_heads = 1;
  int64_t dim = 64;
  int64_t dim_v = 64;
};

class AttentionPlan {
 public:
  // Throws Error naming argument, rule and numbers.
  AttentionPlan(const AttentionShape& shape, std::span<const Segment> segments,
                const AttentionOptions& options = {});
  // The same for the next step's segments; once it has seen the largest batch it allocates nothing.
  void replan(std::span<const Segment> segments);
  ~AttentionPlan();
  AttentionPlan(AttentionPlan&&) noexcept;
  AttentionPlan& operator=(AttentionPlan&&) noexcept;

  int64_t workspace_bytes() const noexcept;
  // In words: target, tiles, how the work is cut and why.
  std::string explain() const;

  // q [rows, heads, dim], out [rows, heads, dim_v], lse [rows, heads] when its data is set.
  // Throws Error before anything is written when q, out or the cache do not fit the plan.
  void run(const KvCache& cache, int64_t layer, View<const float, 3> q, View<float, 3> out,
           ThreadPool& pool, View<float, 2> lse = {});
  // The same over keys that lie elsewhere.
  void run(const KeySource& source, View<const float, 3> q, View<float, 3> out, ThreadPool& pool,
           View<float, 2> lse = {});

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

// One row of a map, recomputed on demand with the kernel's own arithmetic: the scaled scores of
// one query row of one head against keys [0, keys), and their softmax.
// q [dim]: the query after rotation; keys: how many leading keys it may use.
struct RowOfMap {
  std::vector<float> scores;   // [keys]
  std::vector<float> weights;  // [keys], summing to 1
  float lse = 0;
};
RowOfMap attention_row(const KvCache& cache, int64_t layer, std::span<const int32_t> block_table,
                       int64_t keys, int64_t kv_head, View<const float, 1> q, float scale);

}  // namespace regard
