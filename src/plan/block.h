// Block: up to a task's query rows of one key/value head, and the tiles of its keys, made ready for
// the kernels: packed, mapped for the similarity, widened, and given their programs.
#pragma once

#include <algorithm>

#include "plan/scratch.h"
#include "plan/sight.h"

namespace regard {

struct SharedStates;
inline constexpr int kMostFolds = kMostTaskRows / kFoldRows;

// What every task of a run is given.
struct Job {
  const Setting& setting;
  const Cut& cut;
  const CallArrays& arrays;
  const KeySource& source;
  const Scratch& scratch;  // of this thread
  // What the similarity's parameters are packed into: [heads or 1][parameter_step].
  const float* parameters;
  int64_t parameter_step;
  // What weights are made of again, for each row where by-products are wanted: weights.h.
  float* statistics_m = nullptr;
  float* statistics_l = nullptr;
  const SharedStates* shared = nullptr;  // of the keys that all segments begin with
};

class Block {
 public:
  Block(const Job& job, int segment, int64_t kv_head, int64_t first_row, int rows);

  const RowsSight& sight() const { return sight_; }
  // Of the rows of one fold.
  const Reach& reach(int row) const { return reach_[row / kFoldRows]; }
  int64_t first_row() const { return first_row_; }
  int rows() const { return rows_; }
  bool few() const { return rows_ < kStageFrom; }
  TileWalk walk(int64_t first_key, int64_t end_key) const;

  // The slab, token and head of a row.
  struct Place {
    int64_t slab, token, head;
  };
  Place place(int row) const;

  // Packs rows row .. row + count - 1, row a multiple of 48, count <= 48.
  void pack(int row, int count) const;

  // A tile as its source has it, and as the folds of this block take it.
  KeyTile load(const TileVisit& visit) const;
  KeyTile ready(const KeyTile& tile) const;

  // What some rows of the block do with a tile, and which of its keys they see. The rows after
  // those of one fold are of the next.
  struct Fold {
    FoldRows rows;
    Scoring scoring, weighting;
    bool sees = false;
  };
  // Overwrites the scratch of spans: one fold at a time.
  void begin_fold(int row, int count, const TileVisit& visit, Fold& fold) const;
  // Up to 48 rows against all keys of a tile, without any program.
  void see_all(const TileVisit& visit, Fold& fold) const;
  // To be run on the scores of all rows in place of what was; null: nothing.
  void give_program(const TileProgram* program, const TileVisit& visit, Fold& fold) const;

  // Where the statistics of a row are.
  int64_t statistic(int row) const;

 private:
  FoldRows plain_rows(int row, int count, const TileVisit& visit) const;
  Scoring programs(const TileProgram* program, int row, int count, const TileVisit& visit,
                   uint16_t* allowed) const;

  const Job& job_;
  const Segment& segment_;
  RowsSight sight_;
  int segment_index_;
  int64_t kv_head_, first_row_;
  int rows_;
  Reach reach_[kMostFolds];
};

}  // namespace regard
