// AttentionPlan: cuts one ragged batch into tasks, and runs them.
//
// A task is a block of query rows of one sequence and one key/value head (the query heads of the
// group are packed together: row = token · group + head in group) against a range of chunks of
// 512 keys. Where there are few rows and many keys each chunk is a task of its own, and whoever
// finishes the last one merges them in order. How the work is cut never changes a bit.
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <tuple>

#include "attention/attention.h"
#include "attention/key_source.h"
#include "base/check.h"
#include "kernels/attention.h"
#include "simd/target.h"

namespace regard {
namespace {

constexpr int64_t kMostTaskRows = 4 * kFoldRows;

struct Task {
  int32_t segment;
  int32_t kv_head;
  int64_t first_row;  // in rows of the group
  int32_t rows;
  int32_t first_chunk, end_chunk;
  int32_t join;     // whose partial result this is; -1 = none
  int64_t partial;  // first number in the workspace of the partial state of its first chunk
  int64_t cost;
};

// Partial results of the same rows, one for each chunk, in order.
struct Join {
  int32_t tasks;
  int32_t chunks;
  int64_t first_partial;
};

int64_t round_up(int64_t x, int64_t step) { return (x + step - 1) / step * step; }

}  // namespace

struct AttentionPlan::Parts {
  AttentionShape shape;
  Mask mask;
  float scale;
  int threads;
  int64_t group, columns;
  std::vector<Segment> segments;
  std::vector<Task> tasks;
  std::vector<Join> joins;
  std::vector<std::atomic<int32_t>> pending;  // parts of a join still to come
  int64_t rows = 0;                           // of q and out
  int64_t partial_numbers = 0;
  int64_t task_rows = 0;
  bool split = false;
  Buffer workspace;

  // The scratch of one thread.
  struct Scratch {
    float *q, *scores;
    FoldState chunk;
    RowState running;
    TileScratch tile, staged;
    float** out_rows;
    float** lse_rows;
    int32_t* visible;
  };
  int64_t scratch_bytes() const {
    const int64_t padded = round_up(task_rows, 16);
    const int64_t numbers = padded * shape.dim + kFoldRows * kTileKeys + 512 +
                            padded * (1 + 16 + columns) + padded * (2 + columns) +
                            2 * (kTileKeys * shape.dim + kTileKeys * columns) + 16 * 16;
    return round_up(numbers * 4 + padded * (2 * 8 + 4), 64) + 64 * 16;
  }
  Scratch scratch(int slot) const {
    std::byte* at = workspace.data() + slot * scratch_bytes();
    const auto take = [&](int64_t bytes) {
      std::byte* const here = at;
      at += round_up(bytes, 64);
      return here;
    };
    const auto floats = [&](int64_t count) { return reinterpret_cast<float*>(take(count * 4)); };
    const int64_t padded = round_up(task_rows, 16);
    Scratch s;
    s.q = floats(padded * shape.dim);
    s.scores = floats(kFoldRows * kTileKeys + 512);
    s.chunk = {floats(padded), floats(padded * 16), floats(padded * columns), columns};
    s.running = {floats(padded), floats(padded), floats(padded * columns), columns};
    s.tile = {floats(kTileKeys * shape.dim), floats(kTileKeys * columns)};
    s.staged = {floats(kTileKeys * shape.dim), floats(kTileKeys * columns)};
    s.out_rows = reinterpret_cast<float**>(take(padded * 8));
    s.lse_rows = reinterpret_cast<float**>(take(padded * 8));
    s.visible = reinterpret_cast<int32_t*>(take(padded * 4));
    return s;
  }
  RowState partial(int64_t first, int64_t rows_of_task) const {
    float* const at =
        reinterpret_cast<float*>(workspace.data() + threads * scratch_bytes()) + first;
    return {at, at + rows_of_task, at + 2 * rows_of_task, columns};
  }

  // Keys that a row of the group may use: always the first ones.
  int64_t limit(const Segment& segment, int64_t row) const {
    if (mask.kind() == Mask::Kind::full) return segment.keys;
    const int64_t token = row / group;
    const int64_t end = mask.align() == Mask::Align::bottom_right
                            ? segment.keys - segment.rows + token + 1
                            : token + 1;
    return std::clamp<int64_t>(end, 0, segment.keys);
  }
  int64_t chunks_of(const Segment& segment, int64_t last_row) const {
    return (limit(segment, last_row) + kChunkKeys - 1) / kChunkKeys;
  }

  void cut();
  void run_task(const Task& task, const KeySource& source, const Scratch& scratch,
                View<const float, 3> q, View<float, 3> out, View<float, 2> lse);
  void finish(const Task& task, const Scratch& scratch, View<float, 3> out, View<float, 2> lse);
};

// Chooses the rows of a task and whether chunks are shared out; then lists the tasks, the longest
// first.
void AttentionPlan::Parts::cut() {
  tasks.clear();
  joins.clear();
  partial_numbers = 0;
  int64_t group_rows = 0, most_rows = 0;
  for (const Segment& segment : segments) {
    group_rows += segment.rows * group;
    most_rows = std::max(most_rows, segment.rows * group);
  }
  // Enough tasks to keep all threads busy to the end, but blocks as tall as that allows: each block
  // reads all its keys once.
  const int64_t wanted = threads == 1 ? 1 : int64_t{8} * threads;
  const int64_t ideal = group_rows * shape.kv_heads / wanted;
  task_rows = std::clamp(round_up(ideal, kFoldRows), int64_t{kFoldRows}, kMostTaskRows);
  task_rows = std::min(task_rows, std::max<int64_t>(round_up(most_rows, 16), 16));

  int64_t whole_tasks = 0;
  for (const Segment& segment : segments) {
    whole_tasks += (segment.rows * group + task_rows - 1) / task_rows * shape.kv_heads;
  }
  split = threads > 1 && whole_tasks < int64_t{8} * threads;
  // Of few rows each task takes as many chunks as leave three tasks for a thread.
  int64_t all_chunks = 0;
  for (const Segment& segment : segments) {
    const int64_t blocks = (segment.rows * group + task_rows - 1) / task_rows;
    all_chunks += blocks * shape.kv_heads * ((segment.keys + kChunkKeys - 1) / kChunkKeys);
  }
  const int64_t step = std::max<int64_t>(1, all_chunks / (int64_t{3} * threads));

  for (std::size_t i = 0; i < segments.size(); ++i) {
    const Segment& segment = segments[i];
    const int64_t all_rows = segment.rows * group;
    for (int64_t head = 0; head < shape.kv_heads; ++head) {
      for (int64_t first = 0; first < all_rows; first += task_rows) {
        const int64_t count = std::min(task_rows, all_rows - first);
        const int64_t chunks = chunks_of(segment, first + count - 1);
        Task task{static_cast<int32_t>(i),
                  static_cast<int32_t>(head),
                  first,
                  static_cast<int32_t>(count),
                  0,
                  static_cast<int32_t>(chunks),
                  -1,
                  0,
                  count * limit(segment, first + count - 1)};
        if (!split || chunks <= step) {
          tasks.push_back(task);
          continue;
        }
        task.join = static_cast<int32_t>(joins.size());
        joins.push_back({static_cast<int32_t>((chunks + step - 1) / step),
                         static_cast<int32_t>(chunks), partial_numbers});
        for (int64_t chunk = 0; chunk < chunks; chunk += step) {
          const int64_t end = std::min(chunk + step, chunks);
          task.first_chunk = static_cast<int32_t>(chunk);
          task.end_chunk = static_cast<int32_t>(end);
          task.partial = partial_numbers;
          task.cost = count * (end - chunk) * kChunkKeys;
          partial_numbers += (end - chunk) * count * (2 + columns);
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
  if (pending.size() < joins.size()) pending = std::vector<std::atomic<int32_t>>(2 * joins.size());
}

AttentionPlan::AttentionPlan(const AttentionShape& shape, std::span<const Segment> segments,
                             Mask mask, float scale, int threads)
    : parts_(std::make_unique<Parts>()) {
  active_target();  // an unknown REGARD_TARGET is refused here; inside a kernel nothing may throw
  require(shape.kv_heads > 0 && shape.heads > 0 && shape.heads % shape.kv_heads == 0,
          "attention: heads ({}) is not a positive multiple of kv_heads ({})", shape.heads,
          shape.kv_heads);
  require(shape.dim > 0 && shape.dim <= 1024 && shape.dim_v > 0 && shape.dim_v <= 1024,
          "attention: dim ({}) and dim_v ({}) must be in 1 .. 1024", shape.dim, shape.dim_v);
  require(scale - scale == 0.0f, "attention: scale ({}) is not a finite number", scale);
  require(threads > 0 && threads <= 1024, "attention: threads ({}) is not in 1 .. 1024", threads);
  parts_->shape = shape;
  parts_->mask = mask;
  parts_->scale = scale;
  parts_->threads = threads;
  parts_->group = shape.heads / shape.kv_heads;
  parts_->columns = round_up(shape.dim_v, 16);
  replan(segments);
}

AttentionPlan::~AttentionPlan() = default;
AttentionPlan::AttentionPlan(AttentionPlan&&) noexcept = default;
AttentionPlan& AttentionPlan::operator=(AttentionPlan&&) noexcept = default;

void AttentionPlan::replan(std::span<const Segment> segments) {
  Parts& p = *parts_;
  int64_t rows = 0;
  for (const Segment& segment : segments) {
    require(segment.rows >= 0 && segment.keys >= 0 && segment.first_row >= 0,
            "attention: a segment has {} rows from row {} and {} keys; none may be negative",
            segment.rows, segment.first_row, segment.keys);
    require(segment.keys <= INT32_MAX && segment.rows <= INT32_MAX / p.group,
            "attention: a segment of {} rows and {} keys is too long", segment.rows, segment.keys);
    rows = std::max(rows, segment.first_row + segment.rows);
  }
  p.segments.assign(segments.begin(), segments.end());
  p.rows = rows;
  p.cut();
  if (static_cast<int64_t>(p.workspace.size()) < workspace_bytes()) {
    p.workspace = Buffer(static_cast<std::size_t>(workspace_bytes()), "attention workspace");
  }
}

int64_t AttentionPlan::workspace_bytes() const noexcept {
  return parts_->threads * parts_->scratch_bytes() + round_up(parts_->partial_numbers * 4, 1 << 18);
}

std::string AttentionPlan::explain() const {
  const Parts& p = *parts_;
  int64_t rows = 0, most_keys = 0;
  for (const Segment& segment : p.segments) {
    rows += segment.rows;
    most_keys = std::max(most_keys, segment.keys);
  }
  std::string text = fmt::format(
      "softmax attention, {} mask, scale {}: {} sequences, {} rows, up to {} keys\n"
      "target {}; {} query heads share each of {} key/value heads and are packed into one block\n"
      "tiles of {} keys, state restarted every {} keys; {} tasks of up to {} rows\n",
      p.mask.kind() == Mask::Kind::full ? "full" : "causal", p.scale, p.segments.size(), rows,
      most_keys, name(active_target()), p.group, p.shape.kv_heads, kTileKeys, kChunkKeys,
      p.tasks.size(), p.task_rows);
  text += p.joins.empty()
              ? "each task walks all its keys, because there are enough tasks for every thread\n"
              : "few rows and many keys: chunks of keys are shared out, and merged in order\n";
  text += fmt::format("workspace {} bytes", workspace_bytes());
  return text;
}

void AttentionPlan::Parts::finish(const Task& task, const Scratch& scratch, View<float, 3> out,
                                  View<float, 2> lse) {
  const Segment& segment = segments[task.segment];
  for (int r = 0; r < task.rows; ++r) {
    const int64_t row = task.first_row + r;
    const int64_t token = segment.first_row + row / group,
                  head = task.kv_head * group + row % group;
    scratch.out_rows[r] = &out(token, head, 0);
    if (lse.data != nullptr) scratch.lse_rows[r] = &lse(token, head);
  }
  finish_rows(scratch.running, task.rows, shape.dim_v, scratch.out_rows, out.strides[2],
              lse.data != nullptr ? scratch.lse_rows : nullptr);
}

void AttentionPlan::Parts::run_task(const Task& task, const KeySource& source,
                                    const Scratch& scratch, View<const float, 3> q,
                                    View<float, 3> out, View<float, 2> lse) {
  const Segment& segment = segments[task.segment];
  for (int r = 0; r < task.rows; ++r) {
    const int64_t row = task.first_row + r;
    scale_query(&q(segment.first_row + row / group, task.kv_head * group + row % group, 0),
                q.strides[2], shape.dim, scale, scratch.q + r * shape.dim);
  }
  const int64_t most = limit(segment, task.first_row + task.rows - 1);
  const int64_t last = task.end_chunk * int64_t{kChunkKeys};
  if (task.first_chunk >= task.end_chunk) {  // no key at all: the empty state
    clear_state(scratch.chunk, task.rows);
    merge_chunk(scratch.chunk, task.rows, true, scratch.running);
  }
  for (int64_t chunk = task.first_chunk; chunk < task.end_chunk; ++chunk) {
    clear_state(scratch.chunk, task.rows);
    const int64_t end = std::min<int64_t>((chunk + 1) * kChunkKeys, most);
    for (int64_t key = chunk * kChunkKeys; key < end; key += kTileKeys) {
      const auto tile_at = [&](int64_t first) {
        const int64_t keys = std::min<int64_t>(kTileKeys, std::min(last, most) - first);
        return source.tile(segment, task.kv_head, first, static_cast<int>(keys), scratch.tile);
      };
      // Few rows wait for memory: the first tile is asked for at once, the others while the one
      // before is folded.
      const bool waits = task.rows < kStageFrom && source.in_place();
      KeyTile tile = tile_at(key);
      const int keys = tile.keys;
      if (waits && key == task.first_chunk * kChunkKeys) prefetch_tile(tile, shape.dim, columns);
      const KeyTile next =
          waits && key + kTileKeys < std::min(last, most) ? tile_at(key + kTileKeys) : tile;
      if (task.rows >= kStageFrom) {
        tile = stage_tile(tile, shape.dim, columns, scratch.staged.panels, scratch.staged.values);
      }
      for (int row = 0; row < task.rows; row += kFoldRows) {
        const int count = std::min<int>(kFoldRows, task.rows - row);
        bool any = false;
        for (int r = 0; r < count; ++r) {
          scratch.visible[r] = static_cast<int32_t>(
              std::clamp<int64_t>(limit(segment, task.first_row + row + r) - key, 0, keys));
          any |= scratch.visible[r] > 0;
        }
        if (!any) continue;
        const FoldState state{scratch.chunk.m + row, scratch.chunk.l + 16 * row,
                              scratch.chunk.o + row * columns, columns};
        fold_tile(scratch.q + row * shape.dim, shape.dim, count, scratch.visible, tile, next, state,
                  scratch.scores);
      }
    }
    if (task.join < 0) {
      merge_chunk(scratch.chunk, task.rows, chunk == task.first_chunk, scratch.running);
    } else {  // merging is not associative to the bit: each chunk is kept until its turn
      const int64_t numbers = task.rows * (2 + columns);
      merge_chunk(scratch.chunk, task.rows, true,
                  partial(task.partial + (chunk - task.first_chunk) * numbers, task.rows));
    }
  }
  if (task.join < 0) {
    finish(task, scratch, out, lse);
    return;
  }
  const Join& join = joins[task.join];
  if (pending[task.join].fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  for (int64_t part = 0; part < join.chunks; ++part) {
    const RowState chunk =
        partial(join.first_partial + part * task.rows * (2 + columns), task.rows);
    merge_state(chunk, task.rows, part == 0, scratch.running);
  }
  finish(task, scratch, out, lse);
}

void AttentionPlan::run(const KeySource& source, View<const float, 3> q, View<float, 3> out,
                        ThreadPool& pool, View<float, 2> lse) {
  Parts& p = *parts_;
  require(q.shape[0] >= p.rows && q.shape[1] == p.shape.heads && q.shape[2] == p.shape.dim,
          "attention: q is {} x {} x {}, the plan needs {} x {} x {}", q.shape[0], q.shape[1],
          q.shape[2], p.rows, p.shape.heads, p.shape.dim);
  require(out.shape[0] >= p.rows && out.shape[1] == p.shape.heads && out.shape[2] == p.shape.dim_v,
          "attention: out is {} x {} x {}, the plan needs {} x {} x {}", out.shape[0], out.shape[1],
          out.shape[2], p.rows, p.shape.heads, p.shape.dim_v);
  require(lse.data == nullptr || (lse.shape[0] >= p.rows && lse.shape[1] == p.shape.heads),
          "attention: lse is {} x {}, the plan needs {} x {}", lse.shape[0], lse.shape[1], p.rows,
          p.shape.heads);
  require(pool.threads() <= p.threads, "attention: the pool has {} threads, the plan {}",
          pool.threads(), p.threads);
  for (std::size_t i = 0; i < p.joins.size(); ++i) {
    p.pending[i].store(p.joins[i].tasks, std::memory_order_relaxed);
  }
  pool.parallel_for(static_cast<int64_t>(p.tasks.size()), [&](int64_t index, int slot) {
    p.run_task(p.tasks[static_cast<std::size_t>(index)], source, p.scratch(slot), q, out, lse);
  });
}

void AttentionPlan::run(const KvCache& cache, int64_t layer, View<const float, 3> q,
                        View<float, 3> out, ThreadPool& pool, View<float, 2> lse) {
  const KvCacheShape& shape = cache.shape();
  require(layer >= 0 && layer < shape.layers, "attention: layer {} is not in 0 .. {}", layer,
          shape.layers - 1);
  require(shape.kv_heads == parts_->shape.kv_heads && shape.dim == parts_->shape.dim &&
              shape.dim_v == parts_->shape.dim_v,
          "attention: the cache has {} heads of {} and {}, the plan {} of {} and {}",
          shape.kv_heads, shape.dim, shape.dim_v, parts_->shape.kv_heads, parts_->shape.dim,
          parts_->shape.dim_v);
  for (const Segment& segment : parts_->segments) {
    const int64_t pages = (segment.keys + shape.page_keys - 1) / shape.page_keys;
    require(static_cast<int64_t>(segment.block_table.size()) >= pages,
            "attention: a block table of {} pages holds no {} keys", segment.block_table.size(),
            segment.keys);
    for (int64_t i = 0; i < pages; ++i) {
      require(segment.block_table[i] >= 0 && segment.block_table[i] < shape.pages,
              "attention: a block table names page {} of {}", segment.block_table[i], shape.pages);
    }
  }
  run(PagedKeys(cache, layer), q, out, pool, lse);
}

}  // namespace regard
