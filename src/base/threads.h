// ThreadPool: fork-join over independent tasks. Which thread runs a task never changes a result.
#pragma once

#include <cstdint>
#include <memory>
#include <type_traits>

namespace regard {

class ThreadPool {
 public:
  // threads: how many run, the caller included; 0 = as many as the machine has cores.
  // Throws Error(invalid_argument) unless 0 <= threads <= 1024.
  explicit ThreadPool(int threads = 0);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const noexcept { return threads_; }

  // Calls task(index, slot) once for every index in [0, count) and returns when all are done.
  // Threads take the next index from a counter, so early indices start first. slot is in
  // [0, threads()) and at most one task at a time runs with it: the key to scratch memory.
  // task must not throw. Every task runs with the default rounding and denormal modes.
  // A nested call, or a call while another thread uses the pool, is not allowed.
  template <class Task>
  void parallel_for(int64_t count, Task&& task) {
    using Function = std::remove_reference_t<Task>;
    run(count, const_cast<void*>(static_cast<const void*>(&task)),
        [](void* context, int64_t index, int slot) {
          (*static_cast<Function*>(context))(index, slot);
        });
  }

 private:
  using TaskFunction = void (*)(void* context, int64_t index, int slot);
  void run(int64_t count, void* context, TaskFunction task);

  struct Pool;
  std::unique_ptr<Pool> pool_;
  int threads_;
};

// Sets the default rounding and denormal modes on this thread and restores what it found.
class DefaultFloatMode {
 public:
  DefaultFloatMode() noexcept;
  ~DefaultFloatMode();
  DefaultFloatMode(const DefaultFloatMode&) = delete;
  DefaultFloatMode& operator=(const DefaultFloatMode&) = delete;

 private:
  uint64_t found_;
};

}  // namespace regard
