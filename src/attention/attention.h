// What the engine's own rooms need besides the public operator.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/threads.h"
#include "regard/attention_plan.h"

namespace regard {

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

// The same for all heads and any options: what a row of a segment (one row, its keys in pages; its
// position and sequence as options see them) makes of each key. q [heads, dim]. Scores are those
// behind the score program, -inf where masked; weights those that multiply the values.
struct RowsOfMap {
  std::vector<float> scores;   // [heads, keys]
  std::vector<float> weights;  // [heads, keys]
  std::vector<float> lse;      // [heads]; empty unless the normaliser is softmax
};
RowsOfMap attention_rows(const KvCache& cache, int64_t layer, const Segment& segment,
                         InputView<2> q, const AttentionOptions& options);

// attention_backward() on a pool that the caller keeps; see regard/attention.h.
void attention_backward(InputView<3> q, InputView<3> k, InputView<3> v, InputView<3> out,
                        View<const float, 2> lse, InputView<3> dout, OutputView<3> dq,
                        OutputView<3> dk, OutputView<3> dv, std::span<const Segment> segments,
                        const AttentionOptions& options, std::span<const ArrayGradient> arrays,
                        ThreadPool& pool);

}  // namespace regard
