// The thread pool of the operations on this thread. Layers need not pass it on: whoever starts a
// pass through a model says once where it runs.
#pragma once

#include "base/threads.h"

namespace regard {

// The innermost UsePool alive on this thread; without one, a pool of this thread alone.
ThreadPool& current_pool();

// While it lives, operations on this thread run on that pool, and in the default rounding and
// denormal modes: those that need no second thread run on this one.
class UsePool {
 public:
  explicit UsePool(ThreadPool& pool) noexcept;
  ~UsePool();
  UsePool(const UsePool&) = delete;
  UsePool& operator=(const UsePool&) = delete;

 private:
  ThreadPool* before_;
  DefaultFloatMode mode_;
};

}  // namespace regard
