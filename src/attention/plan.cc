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
#include "attention/rules.h"
#include "base/shared_pool.h"
#include "base/buffer.h"
#include "base/check.h"
#include "program/band.h"
#include "simd/target.h"
#include "tiles/fold.h"

namespace regard {
namespace {

constexpr int64_t kMostTaskRows = 8 * kFoldRows;

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

}  // namespace

struct AttentionPlan::Parts {
  AttentionShape shape;
  program::Band band;
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
    const float** q_rows;
    float** out_rows;
    float** lse_rows;
    int32_t* visible;
  };
  int64_t packed_rows() const { return round_up(task_rows, kPackedRows); }
  int64_t scratch_bytes() const {
    const int64_t padded = round_up(task_rows, 16);
    const int64_t numbers = packed_rows() * shape.dim + kFoldRows * kTileKeys + 512 +
                            padded * (1 + 16 + columns) + padded * (2 + columns) +
                            2 * (kTileKeys * shape.dim + kTileKeys * columns) + 16 * 16;
    return round_up(numbers * 4 + padded * (3 * 8 + 4), 64) + 64 * 16;
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
    s.q = floats(packed_rows() * shape.dim);
    s.scores = floats(kFoldRows * kTileKeys + 512);
    s.chunk = {floats(padded), floats(padded * 16), floats(padded * columns), columns};
    s.running = {floats(padded), floats(padded), floats(padded * columns), columns};
    s.tile = {floats(kTileKeys * shape.dim), floats(kTileKeys * columns)};
    s.staged = {floats(kTileKeys * shape.dim), floats(kTileKeys * columns)};
    s.q_rows = reinterpret_cast<const float**>(take(padded * 8));
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

  // Keys that a row of the group may use.
  int64_t limit(const Segment& segment, int64_t row) const {
    const int64_t r = row / group;
    return band.keys_of(first_position(segment) + r, r, segment.keys).end;
  }
  int64_t chunks_of(const Segment& segment, int64_t last_row) const {
    return (limit(segment, last_row) + kChunkKeys - 1) / kChunkKeys;
  }

  void cut();
  void see(const Segment& segment, int64_t first_row, int count, int64_t key, int keys,
           int32_t* visible) const;
  void run_task(const Task& task, const KeySource& source, const Scratch& scratch,
                View<const float, 3> q, View<float, 3> out, View<float, 2> lse);
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
                             const AttentionOptions& options)
    : parts_(std::make_unique<Parts>()) {
  active_target();  // an unknown REGARD_TARGET is refused here; inside a kernel nothing may throw
  require(shape.kv_heads > 0 && shape.heads > 0 && shape.heads % shape.kv_heads == 0,
          "attention: heads ({}) is not a positive multiple of kv_heads ({})", shape.heads,
          shape.kv_heads);
  require(shape.dim > 0 && shape.dim <= 1024 && shape.dim_v > 0 && shape.dim_v <= 1024,
          "attention: dim ({}) and dim_v ({}) must be in 1 .. 1024", shape.dim, shape.dim_v);
  const float scale = scale_of(options, shape.dim);
  const int threads = thread_count(options.threads);
  require(scale - scale == 0.0f, "attention: scale ({}) is not a finite number", scale);
  require(threads > 0 && threads <= 1024, "attention: threads ({}) is not in 1 .. 1024", threads);
  parts_->shape = shape;
  const program::SplitMask split = program::split_mask(options.mask);
  require(split.rest.empty() && options.score.empty() && options.weight.empty(),
          "attention: programs are not built yet");
  parts_->band = split.band;
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
      p.band.everything() ? "full" : "causal", p.scale, p.segments.size(), rows,
      most_keys, name(active_target()), p.group, p.shape.kv_heads, kTileKeys, kChunkKeys,
      p.tasks.size(), p.task_rows);
  text += p.joins.empty()
              ? "each task walks all its keys, because there are enough tasks for every thread\n"
              : "few rows and many keys: chunks of keys are shared out, and merged in order\n";
  text += fmt::format("workspace {} bytes", workspace_bytes());
  return text;
}

// How many of the tile's keys [key, key + keys) each row of a fold may use.
void AttentionPlan::Parts::see(const Segment& segment, int64_t first_row, int count, int64_t key,
                               int keys, int32_t* visible) const {
  if (limit(segment, first_row) >= key + keys) {
    std::fill_n(visible, count, keys);
    return;
  }
  for (int r = 0; r < count; ++r) {
    visible[r] =
        static_cast<int32_t>(std::clamp<int64_t>(limit(segment, first_row + r) - key, 0, keys));
  }
}

void AttentionPlan::Parts::run_task(const Task& task, const KeySource& source,
                                    const Scratch& scratch, View<const float, 3> q,
                                    View<float, 3> out, View<float, 2> lse) {
  const Segment& segment = segments[task.segment];
  int64_t token = segment.first_row + task.first_row / group, member = task.first_row % group;
  for (int r = 0; r < task.rows; ++r) {
    const int64_t head = task.kv_head * group + member;
    scratch.q_rows[r] = &q(token, head, 0);
    scratch.out_rows[r] = &out(token, head, 0);
    if (lse.data != nullptr) scratch.lse_rows[r] = &lse(token, head);
    if (++member == group) member = 0, ++token;
  }
  const int64_t most = limit(segment, task.first_row + task.rows - 1);
  const int64_t end = std::min(most, task.end_chunk * int64_t{kChunkKeys});
  const bool few = task.rows < kStageFrom;
  const int folds = (task.rows + kFoldRows - 1) / kFoldRows;
  const auto tile_at = [&](int64_t first) {
    return source.tile(segment, task.kv_head, first,
                       static_cast<int>(std::min<int64_t>(kTileKeys, end - first)), scratch.tile);
  };
  const auto finish = [&](int row, int count, const RowState& state) {
    finish_rows(state, count, shape.dim_v, scratch.out_rows + row, out.strides[2],
                lse.data != nullptr ? scratch.lse_rows + row : nullptr);
  };
  if (task.first_chunk >= task.end_chunk) {  // no key at all: the empty state
    clear_state(scratch.chunk, task.rows);
    merge_chunk(scratch.chunk, task.rows, true, scratch.running);
    finish(0, task.rows, scratch.running);
  }
  bool packed = false, has_next = false;
  KeyTile next;
  for (int64_t chunk = task.first_chunk; chunk < task.end_chunk; ++chunk) {
    const int64_t chunk_end = std::min((chunk + 1) * kChunkKeys, end);
    const RowState into =
        task.join < 0
            ? scratch.running
            // Merging is not associative to the bit: each chunk is kept until its turn.
            : partial(task.partial + (chunk - task.first_chunk) * task.rows * (2 + columns),
                      task.rows);
    const bool first = task.join >= 0 || chunk == task.first_chunk;
    // The first chunk's o is folded where it is to stay.
    FoldState state = scratch.chunk;
    if (first) state.o = into.o;
    const auto fold_at = [&](int row) {
      return FoldState{state.m + row, state.l + 16 * row, state.o + row * columns, columns};
    };
    for (int64_t key = chunk * kChunkKeys; key < chunk_end; key += kTileKeys) {
      KeyTile tile = has_next ? next : tile_at(key);
      const int keys = tile.keys;
      // Few rows wait for memory: the first tile is asked for at once, the others while the one
      // before is folded. Many rows share the asking among their folds.
      has_next = source.in_place() && key + kTileKeys < end;
      if (has_next) next = tile_at(key + kTileKeys);
      if (few && source.in_place() && key == task.first_chunk * kChunkKeys) {
        prefetch_tile(tile, shape.dim, columns);
      }
      if (!few) {
        tile = stage_tile(tile, shape.dim, columns, scratch.staged.panels, scratch.staged.values);
      }
      for (int row = 0, fold = 0; row < task.rows; row += kFoldRows, ++fold) {
        const int count = std::min<int>(kFoldRows, task.rows - row);
        const RowState total{into.m + row, into.l + row, into.o + row * columns, columns};
        const bool begins = key == chunk * kChunkKeys;
        if (!packed) {
          pack_queries(scratch.q_rows + row, q.strides[2], count, shape.dim, scale,
                       scratch.q + row * shape.dim);
        }
        const int64_t row_end = std::min(limit(segment, task.first_row + row + count - 1), end);
        if (key >= row_end) {  // these rows are done, or see nothing at all
          if (first && begins) {
            clear_state(fold_at(row), count);
            merge_chunk(fold_at(row), count, true, total);
            if (task.join < 0) finish(row, count, total);
          }
          continue;
        }
        see(segment, task.first_row + row, count, key, keys, scratch.visible);
        Ahead ahead;
        if (has_next) ahead = {&next, fold, folds};
        if (!packed && row + 2 * kFoldRows <= task.rows) {
          ahead.rows = reinterpret_cast<const void* const*>(scratch.q_rows + row + kFoldRows);
          ahead.row_bytes = shape.dim * static_cast<int64_t>(sizeof(float));
        } else if (key + kTileKeys >= row_end) {
          ahead.rows = reinterpret_cast<const void* const*>(scratch.out_rows + row);
          ahead.row_bytes = shape.dim_v * static_cast<int64_t>(sizeof(float));
        }
        fold_tile(scratch.q + row * shape.dim, shape.dim, count, scratch.visible, tile, ahead,
                  nullptr, begins, fold_at(row), scratch.scores);
        if (key + kTileKeys < std::min(chunk_end, row_end)) continue;
        // The chunk is complete, and its state is still in the first cache.
        merge_chunk(fold_at(row), count, first, total);
        if (task.join < 0 && key + kTileKeys >= row_end) finish(row, count, total);
      }
      packed = true;
    }
  }
  if (task.join < 0) return;
  const Join& join = joins[task.join];
  if (pending[task.join].fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  for (int64_t part = 0; part < join.chunks; ++part) {
    const RowState chunk =
        partial(join.first_partial + part * task.rows * (2 + columns), task.rows);
    merge_state(chunk, task.rows, part == 0, scratch.running);
  }
  finish(0, task.rows, scratch.running);
}

void AttentionPlan::run(const KeySource& source, InputView<3> q_any, OutputView<3> out_any,
                        ThreadPool& pool, View<float, 2> lse) {
  Parts& p = *parts_;
  require(q_any.dtype == DType::f32 && out_any.dtype == DType::f32,
          "attention: q ({}) and out ({}) must be f32", info(q_any.dtype).name,
          info(out_any.dtype).name);
  const auto q = q_any.as<float>();
  const auto out = out_any.as<float>();
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

void AttentionPlan::check(const KvCache& cache, int64_t layer) const {
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
}

void AttentionPlan::run(const KvCache& cache, int64_t layer, InputView<3> q, OutputView<3> out,
                        ThreadPool& pool, View<float, 2> lse) {
  check(cache, layer);
  run(PagedKeys(cache, layer), q, out, pool, lse);
}

void AttentionPlan::run(const KvCache& cache, int64_t layer, InputView<3> q, OutputView<3> out,
                        View<float, 2> lse) {
  const SharedPool pool(parts_->threads);
  run(cache, layer, q, out, *pool, lse);
}

void AttentionPlan::run(InputView<3> q, InputView<3> k, InputView<3> v, OutputView<3> out,
                        View<float, 2> lse) {
  const AttentionShape& shape = parts_->shape;
  require(k.dtype == DType::f32 && v.dtype == DType::f32,
          "attention: k ({}) and v ({}) must be f32", info(k.dtype).name, info(v.dtype).name);
  require(k.shape[1] == shape.kv_heads && k.shape[2] == shape.dim,
          "attention: k has {} heads of {}, the plan {} of {}", k.shape[1], k.shape[2],
          shape.kv_heads, shape.dim);
  require(v.shape[0] == k.shape[0] && v.shape[1] == shape.kv_heads && v.shape[2] == shape.dim_v,
          "attention: v is {} x {} x {}, must be {} x {} x {}", v.shape[0], v.shape[1], v.shape[2],
          k.shape[0], shape.kv_heads, shape.dim_v);
  for (const Segment& segment : parts_->segments) {
    require(segment.first_key >= 0 && segment.keys <= k.shape[0] - segment.first_key,
            "attention: a segment has keys {} .. {} of {}", segment.first_key,
            segment.first_key + segment.keys - 1, k.shape[0]);
  }
  const SharedPool pool(parts_->threads);
  run(StridedKeys(k.as<float>(), v.as<float>()), q, out, *pool, lse);
}

}  // namespace regard
