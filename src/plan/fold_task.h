// The one pass of a task: its rows fold one tile of keys after another into an online state.
#pragma once

#include <atomic>

#include "plan/block.h"

namespace regard {

// partials: where joined tasks leave the states of their chunks; pending: parts of each join still
// to come, of which the task takes one.
void run_fold_task(const Job& job, const Task& task, float* partials,
                   std::atomic<int32_t>* pending) noexcept;

// A task of the shared prefix: leaves the states of its chunks in job.shared.
void run_shared_task(const Job& job, const Task& task) noexcept;

// Where rows row .. row + count - 1 of a block are written when they are finished.
FinishedRows finished_rows(const Job& job, const Block& block, int row);

}  // namespace regard
