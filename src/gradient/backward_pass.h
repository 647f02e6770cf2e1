// BackwardPass: one call of attention_backward, cut into tasks.
//
//   rows     delta and what else a row's weights follow from: a task is a block of up to 128 rows
//   of
//            a query head (backward_rows.cc)
//   chunks   a task is 512 keys of a sequence and a key/value head: it owns their dk and dv and
//            walks all rows of all query heads of the group, in order. dq of a block of rows passes
//            from the task of one chunk to that of the next, as in a wavefront, so that it too is
//            added to in order and nothing is computed twice (backward_chunks.cc)
//   arrays   what is left of the gradients of captured arrays (backward_arrays.cc)
#pragma once

#include <atomic>
#include <span>
#include <vector>

#include "base/arena.h"
#include "base/threads.h"
#include "gradient/array_sums.h"
#include "gradient/backward_similarity.h"
#include "gradient/pair_programs.h"
#include "plan/rules.h"
#include "tiles/backward_normalise.h"

namespace regard {

// [batch, tokens or keys, heads, dim]; lse's data may be null.
struct BackwardArrays {
  InputView<4> q, k, v, out, dout;
  View<const float, 3> lse;
  OutputView<4> dq, dk, dv;
};

class BackwardPass {
 public:
  // Everything is checked already.
  BackwardPass(const BackwardArrays& arrays, std::span<const Segment> segments,
               const Recipe& recipe, std::span<const ArrayGradient> gradients, int threads);
  int64_t workspace_bytes() const noexcept { return workspace_bytes_; }
  void run(ThreadPool& pool);

 private:
  // Up to 128 rows of one query head.
  struct Block {
    const Segment* segment = nullptr;
    BlockPlace place;
    int64_t kv_head = 0;
    int64_t numbers = 0;                 // where its rows' numbers lie
    int64_t first_key = 0, end_key = 0;  // what the band allows some of its rows
  };
  // Up to 128 keys of one key/value head, ready for products.
  struct Tile {
    int64_t first_key = 0;
    int keys = 0;
    const float *k_panels = nullptr, *v_panels = nullptr, *k_rows = nullptr;
    bool finite = true;  // all of k
  };
  struct Task {
    int32_t segment, kv_head, chunk;
  };
  // One thread's memory. Pairs are [rows][kPairStep].
  struct Scratch {
    float *k_panels, *v_panels, *k_rows, *dk, *dv;  // of a chunk, tile after tile
    float *q_rows, *dout_rows, *dq;                 // of a block of rows
    bool q_finite, dout_finite;
    float *wide, *mapped;  // rows before and behind the similarity's map
    uint16_t* bits;        // [128][8]
    float *s, *dp, *g, *score_slope, *weight_slope, *dense;
    float *lanes, *totals, *row_scores;  // of statistics
    LinesAhead ahead;
    std::vector<Interval> bounds;
    std::vector<ArraySums::Target> targets;  // of the task's sums
    PairProgram::Scratch score, weight;
  };

  // ---- geometry: backward_pass.cc ----
  int64_t columns() const { return similarity_.columns(); }
  int64_t columns_v() const { return round_up(dim_v_, 16); }
  Block block_at(int64_t segment, int64_t head, int64_t first, int rows) const;
  RawRows rows_of(const InputView<4>& x, const Segment& segment, int64_t head, int64_t first,
                  int count) const;
  RowNumbers numbers_of(const Block& block) const;
  bool block_is_seen(const Block& block) const { return block.first_key < block.end_key; }
  Scratch carve(float* memory, int64_t& taken) const;  // memory null: only counts

  // ---- tiles: backward_tiles.cc ----
  Tile stage_tile(const Segment& segment, int64_t kv_head, int64_t first_key, int place,
                  const Scratch& s) const;
  void stage_block(const Block& block, Scratch& s) const;
  bool see_all(const BlockPlace& place, const Tile& tile) const;
  // s and, where programs have one, score_slope of the pairs that are used: those that the mask
  // allows of rows that are not empty. False: there are none.
  bool score_pairs(const Block& block, const Tile& tile, const float* base, Pairs& pairs,
                   Scratch& s) const;
  // dp; then s becomes p and g its slope, and where there is one, weight_slope the weight
  // program's.
  void weigh_tile(const Block& block, const Tile& tile, const Pairs& pairs, Scratch& s) const;

  // ---- rows: backward_rows.cc ----
  void find_row_numbers(const Block& block, Scratch& s) const;
  void fold_rows(const Block& block, Scratch& s) const;
  void find_thresholds(const Block& block, Scratch& s) const;
  void find_delta(const Block& block, Scratch& s) const;

  // ---- chunks: backward_chunks.cc ----
  void run_task(int64_t number, Scratch& s);
  // dloss/ds' of all used pairs in dp, s' behind the score program, and the weights in s.
  bool differentiate_tile(const Block& block, const Tile& tile, Pairs& pairs, ArraySums::Target* to,
                          Scratch& s) const;
  void add_tile(const Block& block, const Tile& tile, int place, ArraySums::Target* to,
                Scratch& s) const;
  void look_ahead(const Block& next, int tile, int tiles, LinesAhead& ahead) const;
  void pass_on(const Block& block, int64_t chunk, Scratch& s);
  void finish_queries(const Block& block, Scratch& s);
  void finish_keys(const Task& task, int64_t first, int64_t end, Scratch& s);
  float* dq_at(const Block& block) {
    return reinterpret_cast<float*>(wide_dq_.data()) + block.numbers * columns();
  }

  // ---- arrays: backward_arrays.cc ----
  void scatter(const PairProgram& program, const PairProgram::Scratch& outputs, const Pairs& pairs,
               const float* t, ArraySums::Target* to) const;
  void sum_arrays(ThreadPool& pool);
  void sum_large(ThreadPool& pool, int number);
  void sum_sinks(const ArraySums::Sum& sum);
  void sum_bilinear(ThreadPool& pool, const ArraySums::Sum& sum);

  BackwardArrays arrays_;
  std::span<const Segment> segments_;
  const Recipe& recipe_;
  int64_t heads_, kv_heads_, group_, dim_v_;
  WeightRule rule_;
  bool delta_by_pass_ = false;  // it is not dout · out
  BackwardSimilarity similarity_;
  PairPrograms programs_;
  ArraySums sums_;
  bool widen_dq_;

  std::vector<int64_t> first_row_, first_block_;  // of each segment, among all
  int64_t rows_ = 0, blocks_ = 0, most_keys_ = 0;
  int64_t threshold_rows_ = 0;  // of a block whose scores are all kept
  std::vector<Task> tasks_;
  std::vector<std::atomic<int32_t>> progress_;  // [heads][blocks]: chunks it has been through

  regard::Block memory_, wide_dq_;  // dq in f32 [heads][rows][columns]
  std::vector<Scratch> scratch_;
  // [heads][rows]
  float *base_ = nullptr, *shift_ = nullptr, *delta_ = nullptr, *sink_share_ = nullptr;
  int32_t* pick_ = nullptr;
  int64_t workspace_bytes_ = 0;
};

}  // namespace regard
