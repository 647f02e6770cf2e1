// Threads kept between calls of the public operator.
#pragma once

#include <mutex>

#include "base/threads.h"

namespace regard {

// How many threads an option stands for: 0 = all cores.
int thread_count(int threads) noexcept;

// Holds the pool of so many threads (0 = all cores) until it goes out of scope; other calls wait.
class SharedPool {
 public:
  explicit SharedPool(int threads);
  ThreadPool& operator*() const noexcept { return *pool_; }

 private:
  std::unique_lock<std::mutex> lock_;
  ThreadPool* pool_;
};

}  // namespace regard
