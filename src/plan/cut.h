// Cut: one ragged batch as tasks.
//
// A task is a block of query rows of one sequence and one key/value head against a range of chunks
// of 512 keys. Where there are few rows and many keys several tasks share the chunks of the same
// rows, and whoever finishes the last one merges them in order. How the work is cut never changes
// a bit.
#pragma once

#include <cstdint>
#include <vector>

#include "plan/setting.h"

namespace regard {

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
};

}  // namespace regard
