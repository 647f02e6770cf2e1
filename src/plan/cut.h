// Cut: one ragged batch as tasks.
//
// A task is a block of query rows of one sequence and one key/value head against a range of chunks
// of 512 keys. Where there are few rows and many keys several tasks share the chunks of the same
// rows, and whoever finishes the last one merges them in order. How the work is cut never changes
// a bit.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "plan/setting.h"
#include "tiles/fold.h"

namespace regard {

inline constexpr int64_t kMostTaskRows = 8 * kFoldRows;

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

struct Cut {
  std::vector<Task> tasks;  // the longest first
  std::vector<Join> joins;
  int64_t partial_numbers = 0;
  int64_t task_rows = 16;  // at most
  int64_t most_keys = 0;   // of a segment
  bool split = false;
  std::vector<int64_t> first_statistic;  // of each segment, by kv head and then by row
  int64_t statistics = 0;                // of all rows

  // Once it has seen the largest batch it allocates nothing.
  void make(const Setting& setting);
  int64_t bytes() const noexcept {
    return static_cast<int64_t>(tasks.size() * sizeof(Task) + joins.size() * sizeof(Join) +
                                first_statistic.size() * sizeof(int64_t));
  }
};

// What is left of each chunk: [kv_head][chunk] states of all rows.
struct SharedStates {
  float* base = nullptr;
  int64_t rows = 0;  // of the group, of all segments
  int64_t chunks = 0;
  int64_t columns = 0;
  int64_t first_row = 0;  // of q, where the segments begin

  int64_t numbers() const { return rows * (2 + columns); }  // of one head and chunk
  RowState at(int64_t kv_head, int64_t chunk, int64_t row) const {
    float* const state = base + (kv_head * chunks + chunk) * numbers();
    return {state + row, state + rows + row, state + 2 * rows + row * columns, columns};
  }
};

// SharedPrefix: keys that all segments begin with (cascade attention). Whole chunks of them are
// attended once, with the rows of all segments packed into blocks as if they were one sequence's; a
// segment's own chunks are then merged behind them. Each row goes through the same chunks in the
// same order as without sharing, so no bit changes. Hydragen (Juravsky et al. 2024), FlashInfer's
// cascade (Ye et al. 2025).
class SharedPrefix {
 public:
  SharedPrefix() = default;
  // Of a plan with this setting, its programs made.
  explicit SharedPrefix(const Setting& setting);

  // The segments share their first `keys`. Throws Error if one has fewer. Allocates nothing once it
  // has seen the largest batch.
  void see(const Setting& setting, int64_t keys);

  int64_t keys() const noexcept { return keys_; }  // attended once; a multiple of 512, 0: none
  int64_t wanted() const noexcept { return wanted_; }
  const std::string& reason() const noexcept { return reason_; }  // why not all that is wanted
  const Setting& setting() const noexcept { return setting_; }
  const Cut& cut() const noexcept { return cut_; }
  SharedStates states(float* base) const noexcept;
  int64_t state_bytes() const noexcept;

 private:
  const char* obstacle(const Setting& setting, int64_t keys) const;

  Setting setting_;  // of one segment: the shared keys, the rows of all
  Cut cut_;
  int64_t wanted_ = 0, keys_ = 0;
  std::string reason_;
};

}  // namespace regard
