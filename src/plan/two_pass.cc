#include "plan/two_pass.h"

#include <algorithm>
#include <limits>

#include "plan/fold_task.h"
#include "tiles/weights.h"

namespace regard {
namespace {

constexpr float kNone = -std::numeric_limits<float>::infinity();

class TwoPassTask {
 public:
  TwoPassTask(const Job& job, const Task& task)
      : job_(job),
        s_(job.scratch),
        block_(job, task.segment, task.kv_head, task.first_row, task.rows),
        rows_(task.rows),
        folds_((task.rows + kFoldRows - 1) / kFoldRows) {}

  void run() {
    keep_scores();
    find_statistics();
    add_values();
    finish();
  }

 private:
  int rows_of(int fold) const { return std::min(kFoldRows, rows_ - fold * kFoldRows); }
  float* kept(int row, int tile) const { return s_.kept + row * s_.kept_keys + tile * kTileKeys; }
  uint16_t* allowed(int fold, int tile) const {
    return s_.kept_allowed + (int64_t{tile} * folds_ + fold) * kFoldRows * kTilePanels;
  }
  void keep_scores();
  void find_statistics();
  void add_values();
  void finish();

  const Job& job_;
  const Scratch& s_;
  const Block block_;
  const int rows_, folds_;
  int tiles_ = 0;
};

void TwoPassTask::keep_scores() {
  for (int fold = 0; fold < folds_; ++fold) block_.pack(fold * kFoldRows, rows_of(fold));
  TileWalk walk = block_.walk(0, s_.kept_keys);
  for (TileVisit visit = walk.next(); visit.key >= 0; visit = walk.next(), ++tiles_) {
    s_.visits[tiles_] = visit;
    s_.first_keys[tiles_] = static_cast<int32_t>(visit.key);
    const KeyTile tile = block_.ready(block_.load(visit));
    for (int fold = 0; fold < folds_; ++fold) {
      const int row = fold * kFoldRows, count = rows_of(fold);
      Block::Fold work;
      block_.begin_fold(row, count, visit, work);
      if (work.sees) {
        if (work.rows.scoring != nullptr) work.scoring.allowed = allowed(fold, tiles_);
        score_tile(work.rows, tile, {});
      }
      for (int r = 0; r < count; ++r) {
        float* const to = kept(row + r, tiles_);
        if (work.sees) {
          std::copy_n(s_.fold_scores + r * kTileKeys, kTileKeys, to);
        } else {
          std::fill_n(to, kTileKeys, kNone);
        }
      }
    }
  }
}

void TwoPassTask::find_statistics() {
  const Setting& setting = job_.setting;
  for (int r = 0; r < rows_; ++r) {
    WeightStatistics found =
        weight_statistics(setting.weighing, {kept(r, 0), s_.first_keys, tiles_});
    if (job_.arrays.extras.lse.data != nullptr) *s_.lse_rows[r] = log_sum_exp(found);
    if (!setting.sinks.empty()) found = with_sink(found, s_.sinks[r]);
    s_.m[r] = found.m;
    s_.l[r] = found.l;
  }
}

void TwoPassTask::add_values() {
  const int64_t columns = job_.setting.columns;
  unsigned open = 0, begun = 0;  // a bit for each fold: has a state of this chunk; of any
  for (int t = 0; t < tiles_; ++t) {
    const TileVisit& visit = s_.visits[t];
    const bool last =
        t + 1 == tiles_ || s_.visits[t + 1].key / kChunkKeys != visit.key / kChunkKeys;
    const KeyTile tile = block_.ready(block_.load(visit));
    for (int fold = 0; fold < folds_; ++fold) {
      const int row = fold * kFoldRows, count = rows_of(fold);
      const bool first = !(begun >> fold & 1);
      float* const o = (first ? s_.running.o : s_.chunk.o) + row * columns;
      const FoldState state{s_.chunk.m + row, s_.chunk.l + 16 * row, o, columns};
      Block::Fold work;
      block_.begin_fold(row, count, visit, work);
      if (work.sees) {
        if (work.rows.scoring != nullptr) work.scoring.allowed = allowed(fold, t);
        for (int r = 0; r < count; ++r) {
          std::copy_n(kept(row + r, t), kTileKeys, s_.fold_scores + r * kTileKeys);
        }
        weigh_scores(job_.setting.weighing, count, s_.m + row, s_.l + row,
                     static_cast<int32_t>(visit.key), s_.fold_scores);
        add_tile(work.rows, tile, {}, !(open >> fold & 1), state);
        open |= 1u << fold;
      }
      if (last && (open >> fold & 1)) {
        // Weights are final: m = 0 makes merging adding.
        std::fill_n(state.m, round_up(count, 16), 0.0f);
        std::fill_n(state.l, count * 16, 0.0f);
        merge_chunk(
            Weighing::sigmoid, state, count, first,
            {s_.running.m + row, s_.running.l + row, s_.running.o + row * columns, columns});
        open &= ~(1u << fold);
        begun |= 1u << fold;
      }
    }
  }
  for (int fold = 0; fold < folds_; ++fold) {
    if (begun >> fold & 1) continue;
    std::fill_n(s_.running.o + fold * kFoldRows * columns, rows_of(fold) * columns, 0.0f);
  }
}

void TwoPassTask::finish() {
  // Of l only this is left: 0 without keys, NaN with a NaN, else 1.
  for (int r = 0; r < rows_; ++r) {
    s_.running.m[r] = 0.0f;
    s_.running.l[r] = s_.l[r] == 0.0f || s_.l[r] != s_.l[r] ? s_.l[r] : 1.0f;
  }
  FinishedRows to = finished_rows(job_, block_, 0);
  if (to.m != nullptr) {
    std::copy_n(s_.m, rows_, to.m);
    std::copy_n(s_.l, rows_, to.l);
  }
  to.m = to.l = nullptr;
  to.lse_of_row = nullptr;
  to.sinks = nullptr;
  finish_rows(Weighing::sigmoid, s_.running, rows_, to);
}

}  // namespace

void run_two_pass_task(const Job& job, const Task& task) noexcept { TwoPassTask(job, task).run(); }

}  // namespace regard
