#include "plan/fold_task.h"

#include <algorithm>

namespace regard {
namespace {

// A task under way.
class FoldTask {
 public:
  // is_shared: of the prefix, whose states are left in job.shared.
  FoldTask(const Job& job, const Task& task, float* partials, bool is_shared = false)
      : job_(job),
        task_(task),
        s_(job.scratch),
        columns_(job.setting.columns),
        partials_(partials),
        is_shared_(is_shared),
        block_(job, task.segment, task.kv_head, task.first_row, task.rows),
        folds_((task.rows + kFoldRows - 1) / kFoldRows) {}

  void run();
  // Merges the chunks of all tasks of this join.
  void merge(const Join& join);

 private:
  bool joined() const { return is_shared_ || task_.join >= 0; }
  int rows_of(int fold) const { return std::min(kFoldRows, task_.rows - fold * kFoldRows); }
  // A chunk's partial state, [m | l | o] of all rows of the task.
  RowState partial(int64_t first) const {
    float* const at = partials_ + first;
    return {at, at + task_.rows, at + 2 * task_.rows, columns_};
  }
  RowState into(int64_t chunk) const {
    if (!joined()) return s_.running;
    if (is_shared_) return job_.shared->at(task_.kv_head, chunk, task_.first_row);
    // Merging is not associative to the bit: each chunk is kept until its turn.
    return partial(task_.partial + (chunk - task_.first_chunk) * task_.rows * (2 + columns_));
  }
  RowState total(int64_t chunk, int fold) const {
    const RowState all = into(chunk);
    const int row = fold * kFoldRows;
    return {all.m + row, all.l + row, all.o + row * columns_, columns_};
  }
  // The first chunk's o is folded where it is to stay.
  FoldState state(int64_t chunk, int fold) const {
    const int row = fold * kFoldRows;
    float* const o = first(fold) ? into(chunk).o : s_.chunk.o;
    return {s_.chunk.m + row, s_.chunk.l + 16 * row, o + row * columns_, columns_};
  }
  bool first(int fold) const { return joined() || !(begun_ >> fold & 1); }

  void begin_with_shared();
  void fold_all(const TileVisit& visit, const TileVisit& next, KeyTile tile, const KeyTile* ahead);
  void close_fold(int64_t chunk, int fold);
  void empty_fold(int64_t chunk, int fold);
  void finish(int fold);

  const Job& job_;
  const Task& task_;
  const Scratch& s_;
  const int64_t columns_;
  float* const partials_;
  const bool is_shared_;
  const Block block_;
  const int folds_;
  bool packed_ = false;
  // A bit for each fold: has a state of this chunk; of any chunk; is written.
  unsigned open_ = 0, begun_ = 0, finished_ = 0;
};

void FoldTask::finish(int fold) {
  finished_ |= 1u << fold;
  finish_rows(job_.setting.weighing, total(0, fold), rows_of(fold),
              finished_rows(job_, block_, fold * kFoldRows));
}

// The chunk is complete for these rows.
void FoldTask::close_fold(int64_t chunk, int fold) {
  merge_chunk(job_.setting.weighing, state(chunk, fold), rows_of(fold), first(fold),
              total(chunk, fold));
  open_ &= ~(1u << fold);
  begun_ |= 1u << fold;
}

void FoldTask::empty_fold(int64_t chunk, int fold) {
  clear_state(state(chunk, fold), rows_of(fold));
  close_fold(chunk, fold);
}

void FoldTask::fold_all(const TileVisit& visit, const TileVisit& next, KeyTile tile,
                        const KeyTile* ahead_tile) {
  const Setting& setting = job_.setting;
  const int64_t chunk = visit.key / kChunkKeys;
  const bool last_of_chunk = next.key < 0 || next.key / kChunkKeys != chunk;
  tile = block_.ready(tile);
  for (int fold = 0; fold < folds_; ++fold) {
    const int row = fold * kFoldRows, count = rows_of(fold);
    if (!packed_) block_.pack(row, count);
    Block::Fold work;
    block_.begin_fold(row, count, visit, work);
    const bool last = next.key < 0 || next.key >= block_.reach(row).any.end;  // tile of these rows
    if (work.sees) {
      Ahead ahead;
      if (ahead_tile != nullptr) ahead = {ahead_tile, fold, folds_};
      if (!packed_ && row + 2 * kFoldRows <= task_.rows) {
        ahead.rows = s_.q_rows + row + kFoldRows;
        ahead.row_bytes = row_bytes(job_.arrays.q.dtype, setting.shape.dim);
      } else if (last) {
        ahead.rows = const_cast<const void* const*>(s_.out_rows + row);
        ahead.row_bytes = row_bytes(job_.arrays.out.dtype, setting.shape.dim_v);
      }
      const bool fresh = !(open_ >> fold & 1);
      fold_tile(work.rows, tile, ahead, fresh, state(chunk, fold));
      open_ |= 1u << fold;
    }
    // The state is still in the first cache.
    if ((last_of_chunk || last) && (open_ >> fold & 1)) {
      close_fold(chunk, fold);
      if (last && !joined()) finish(fold);
    }
  }
  packed_ = true;
}

// running = the prefix's chunks, in order.
void FoldTask::begin_with_shared() {
  const SharedStates& shared = *job_.shared;
  const Segment& segment = job_.setting.segments[static_cast<std::size_t>(task_.segment)];
  const int64_t row = (segment.first_row - shared.first_row) * job_.setting.group + task_.first_row;
  for (int64_t chunk = 0; chunk < shared.chunks; ++chunk) {
    merge_state(job_.setting.weighing, shared.at(task_.kv_head, chunk, row), task_.rows, chunk == 0,
                s_.running);
  }
}

void FoldTask::run() {
  const bool in_place = job_.source.in_place();
  if (!joined() && job_.shared != nullptr) {
    begin_with_shared();
    begun_ = (1u << folds_) - 1;
  }
  TileWalk walk =
      block_.walk(task_.first_chunk * int64_t{kChunkKeys}, task_.end_chunk * int64_t{kChunkKeys});
  TileVisit visit = walk.next();
  KeyTile tile, ahead;
  if (visit.key >= 0) tile = block_.load(visit);
  // Few rows wait for memory: the first tile is asked for at once, the others while the one before
  // is folded. Many rows share the asking among their folds.
  if (visit.key >= 0 && block_.few() && in_place) {
    prefetch_tile(tile, job_.setting.map.dim_k, columns_);
  }
  int64_t chunk = task_.first_chunk;
  const auto leave_empty = [&](int64_t end) {  // chunks that nobody sees
    for (; joined() && chunk < end; ++chunk) {
      for (int fold = 0; fold < folds_; ++fold) {
        if (!(begun_ >> fold & 1)) empty_fold(chunk, fold);
      }
      begun_ = 0;
    }
  };
  while (visit.key >= 0) {
    leave_empty(visit.key / kChunkKeys);
    const TileVisit next = walk.next();
    const bool look_ahead = in_place && next.key >= 0;
    if (look_ahead) ahead = block_.load(next);
    fold_all(visit, next, tile, look_ahead ? &ahead : nullptr);
    if (next.key >= 0) tile = look_ahead ? ahead : block_.load(next);
    visit = next;
  }
  leave_empty(task_.end_chunk);
  for (int fold = 0; fold < folds_ && !joined(); ++fold) {
    if (finished_ >> fold & 1) continue;
    if (!(begun_ >> fold & 1)) empty_fold(0, fold);
    finish(fold);
  }
}

void FoldTask::merge(const Join& join) {
  if (job_.shared != nullptr) begin_with_shared();
  for (int64_t part = 0; part < join.chunks; ++part) {
    merge_state(job_.setting.weighing,
                partial(join.first_partial + part * task_.rows * (2 + columns_)), task_.rows,
                part == 0 && job_.shared == nullptr, s_.running);
  }
  finish_rows(job_.setting.weighing, s_.running, task_.rows, finished_rows(job_, block_, 0));
}

}  // namespace

FinishedRows finished_rows(const Job& job, const Block& block, int row) {
  const Scratch& s = job.scratch;
  const OutputView<4>& out = job.arrays.out;
  FinishedRows to{.dtype = out.dtype,
                  .out_of_row = s.out_rows + row,
                  .out_step = out.strides[3],
                  .dim_v = job.setting.shape.dim_v};
  if (job.arrays.extras.lse.data != nullptr) to.lse_of_row = s.lse_rows + row;
  if (!job.setting.sinks.empty()) to.sinks = s.sinks + row;
  if (job.statistics_m != nullptr) {
    to.m = job.statistics_m + block.statistic(row);
    to.l = job.statistics_l + block.statistic(row);
  }
  return to;
}

void run_fold_task(const Job& job, const Task& task, float* partials,
                   std::atomic<int32_t>* pending) noexcept {
  static_assert(kMostFolds <= 32);
  FoldTask work(job, task, partials);
  work.run();
  if (task.join < 0) return;
  if (pending[task.join].fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  work.merge(job.cut.joins[static_cast<std::size_t>(task.join)]);
}

void run_shared_task(const Job& job, const Task& task) noexcept {
  FoldTask(job, task, nullptr, true).run();
}

}  // namespace regard
