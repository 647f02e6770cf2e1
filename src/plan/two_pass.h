// The two passes of a task whose weights depend on all scores of a row: sparsemax, entmax-1.5 and
// weight programs that are not linear. The scores of the rows are kept meanwhile.
#pragma once

#include "plan/block.h"

namespace regard {

void run_two_pass_task(const Job& job, const Task& task) noexcept;

}  // namespace regard
