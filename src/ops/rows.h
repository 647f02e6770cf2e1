// How operations share the rows of a matrix between threads.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/check.h"
#include "tensor/pool.h"
#include "tensor/tensor.h"

namespace regard {

// Row kernels are shared out from this many numbers on; below, waking a thread costs more.
inline constexpr int64_t kNumbersPerTask = 8192;

// Calls work(first, count) for ranges that cover [0, rows), on the pool when it pays.
template <class Work>
void over_rows(int64_t rows, int64_t width, const Work& work) {
  ThreadPool& pool = current_pool();
  const int64_t block = std::max<int64_t>(1, kNumbersPerTask / std::max<int64_t>(1, width));
  if (pool.threads() == 1 || rows <= block) return work(int64_t{0}, rows);
  const int64_t tasks = (rows + block - 1) / block;
  pool.parallel_for(
      tasks, [&](int64_t task, int) { work(task * block, std::min(block, rows - task * block)); });
}

inline void require_same_shape(const char* call, const Tensor& a, const Tensor& b) {
  require(a.rank() == 2 && b.rank() == 2 && a.shape(0) == b.shape(0) && a.shape(1) == b.shape(1),
          "{}: {} and {} differ", call, a, b);
}

}  // namespace regard
