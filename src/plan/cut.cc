#include "plan/cut.h"

#include <algorithm>
#include <tuple>

#include "base/check.h"
#include "plan/sight.h"

namespace regard {
namespace {

constexpr int64_t kTwoPassRows = 2 * kFoldRows;  // whose scores are kept

int64_t blocks_of(int64_t rows, int64_t task_rows) { return (rows + task_rows - 1) / task_rows; }

// The chunks that hold a run of keys.
struct Chunks {
  int64_t first, end;
};
Chunks chunks_of(const program::KeyRun& run, int64_t shared_keys) {
  const int64_t first = std::max(run.first, shared_keys) / kChunkKeys;
  return {first, std::max(first, (run.end + kChunkKeys - 1) / kChunkKeys)};
}

}  // namespace

void Cut::make(const Setting& setting) {
  tasks.clear();
  joins.clear();
  partial_numbers = 0;
  most_keys = 0;
  first_statistic.clear();
  statistics = 0;
  const int64_t kv_heads = setting.shape.kv_heads, threads = setting.threads;
  int64_t all_rows = 0, most_rows = 0;
  for (const Segment& segment : setting.segments) {
    all_rows += setting.rows_of(segment);
    most_rows = std::max(most_rows, setting.rows_of(segment));
    most_keys = std::max(most_keys, segment.keys);
    first_statistic.push_back(statistics);
    statistics += setting.rows_of(segment) * kv_heads;
  }
  // Enough tasks to keep all threads busy to the end, but blocks as tall as that allows: each block
  // reads all its keys once.
  const int64_t wanted = threads == 1 ? 1 : int64_t{8} * threads;
  const int64_t ideal = setting.tall_blocks ? most_rows : all_rows * kv_heads / wanted;
  task_rows = std::clamp(round_up(ideal, kFoldRows), int64_t{kFoldRows},
                         setting.two_passes ? kTwoPassRows : kMostTaskRows);
  task_rows = std::min(task_rows, std::max<int64_t>(round_up(most_rows, 16), 16));

  // Of few rows each task takes as many chunks as leave three tasks for a thread.
  int64_t whole_tasks = 0, all_chunks = 0;
  for (std::size_t i = 0; i < setting.segments.size(); ++i) {
    const int64_t rows = setting.rows_of(setting.segments[i]);
    whole_tasks += blocks_of(rows, task_rows) * kv_heads;
    const Chunks chunks = chunks_of(RowsSight(setting, i, 0).run(0, rows), setting.shared_keys);
    all_chunks += blocks_of(rows, task_rows) * kv_heads * (chunks.end - chunks.first);
  }
  split = threads > 1 && whole_tasks < int64_t{8} * threads && !setting.two_passes;
  const int64_t step = std::max<int64_t>(1, all_chunks / (int64_t{3} * threads));

  for (std::size_t i = 0; i < setting.segments.size(); ++i) {
    const int64_t rows = setting.rows_of(setting.segments[i]);
    const RowsSight sight(setting, i, 0);
    for (int64_t first = 0; first < rows; first += task_rows) {
      const int64_t count = std::min(task_rows, rows - first);
      const program::KeyRun run = sight.run(first, count);
      const Chunks chunks = chunks_of(run, setting.shared_keys);
      for (int64_t head = 0; head < kv_heads; ++head) {
        Task task{static_cast<int32_t>(i),
                  static_cast<int32_t>(head),
                  first,
                  static_cast<int32_t>(count),
                  static_cast<int32_t>(chunks.first),
                  static_cast<int32_t>(chunks.end),
                  -1,
                  0,
                  count * std::max<int64_t>(1, run.end - std::max(run.first, setting.shared_keys))};
        const int64_t of_task = chunks.end - chunks.first;
        if (!split || of_task <= step) {
          tasks.push_back(task);
          continue;
        }
        task.join = static_cast<int32_t>(joins.size());
        joins.push_back({static_cast<int32_t>((of_task + step - 1) / step),
                         static_cast<int32_t>(of_task), partial_numbers});
        for (int64_t chunk = chunks.first; chunk < chunks.end; chunk += step) {
          const int64_t end = std::min(chunk + step, chunks.end);
          task.first_chunk = static_cast<int32_t>(chunk);
          task.end_chunk = static_cast<int32_t>(end);
          task.partial = partial_numbers;
          task.cost = count * (end - chunk) * kChunkKeys;
          partial_numbers += (end - chunk) * count * (2 + setting.columns);
          tasks.push_back(task);
        }
      }
    }
  }
  // Not a stable sort: that asks for memory at every step.
  std::sort(tasks.begin(), tasks.end(), [](const Task& a, const Task& b) {
    return std::tuple(b.cost, a.segment, a.kv_head, a.first_row, a.first_chunk) <
           std::tuple(a.cost, b.segment, b.kv_head, b.first_row, b.first_chunk);
  });
}

SharedPrefix::SharedPrefix(const Setting& setting) {
  if (setting.programs.any()) return;  // a program may tell the segments apart
  setting_ = setting;
  setting_.band = program::Band{};
  setting_.tall_blocks = true;
}

// Why these keys cannot be shared; null: they can.
const char* SharedPrefix::obstacle(const Setting& setting, int64_t keys) const {
  if (setting.programs.any()) return "a score, mask or weight program may tell the sequences apart";
  if (setting.two_passes) return "the normaliser needs all scores of a row at once";
  if (setting.by_products) return "by-products need the keys of each sequence";
  int64_t next_row = setting.segments.front().first_row;
  for (std::size_t i = 0; i < setting.segments.size(); ++i) {
    const Segment& segment = setting.segments[i];
    if (segment.first_row != next_row || segment.slab != 0) {
      return "the rows of the sequences do not lie next to each other in q";
    }
    next_row += segment.rows;
    for (const int64_t row : {int64_t{0}, setting.rows_of(segment) - 1}) {
      if (row < 0) continue;
      const program::KeyRun run = RowsSight(setting, i, 0).run(row, 1);
      if (run.first > 0 || run.end < keys) return "the mask hides some of them from some rows";
    }
  }
  return nullptr;
}

void SharedPrefix::see(const Setting& setting, int64_t keys) {
  wanted_ = keys;
  keys_ = 0;
  reason_.clear();
  require(keys >= 0, "attention: shared keys ({}) must not be negative", keys);
  for (const Segment& segment : setting.segments) {
    require(keys == 0 || segment.keys >= keys, "attention: {} keys are shared, a segment has {}",
            keys, segment.keys);
  }
  const int64_t whole = keys / kChunkKeys * kChunkKeys;
  if (whole == 0 || setting.segments.size() < 2) return;
  if (const char* const why = obstacle(setting, whole); why != nullptr) {
    reason_ = why;
    return;
  }
  Segment all = setting.segments.front();
  all.rows = 0;
  for (const Segment& segment : setting.segments) all.rows += segment.rows;
  all.keys = whole;
  all.position = whole;
  setting_.segments.assign(1, all);
  cut_.make(setting_);
  keys_ = whole;
}

SharedStates SharedPrefix::states(float* base) const noexcept {
  const Segment& all = setting_.segments.front();
  return {base, setting_.rows_of(all), keys_ / kChunkKeys, setting_.columns, all.first_row};
}

int64_t SharedPrefix::state_bytes() const noexcept {
  if (keys_ == 0) return 0;
  const SharedStates all = states(nullptr);
  return round_up(setting_.shape.kv_heads * all.chunks * all.numbers() * 4, 1 << 18);
}

}  // namespace regard
