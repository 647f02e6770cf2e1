#include "base/threads.h"

#include <atomic>
#include <new>
#include <system_error>
#include <thread>
#include <vector>

#include "base/check.h"

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace regard {

#if defined(__x86_64__)
DefaultFloatMode::DefaultFloatMode() noexcept : found_(_mm_getcsr()) {
  constexpr unsigned kDefault = 0x1F80;  // exceptions masked, nearest even, denormals kept
  if (found_ != kDefault) _mm_setcsr(kDefault);
}
DefaultFloatMode::~DefaultFloatMode() { _mm_setcsr(static_cast<unsigned>(found_)); }
#elif defined(__aarch64__)
DefaultFloatMode::DefaultFloatMode() noexcept {
  asm volatile("mrs %0, fpcr" : "=r"(found_));
  asm volatile("msr fpcr, %0" : : "r"(uint64_t{0}));
}
DefaultFloatMode::~DefaultFloatMode() { asm volatile("msr fpcr, %0" : : "r"(found_)); }
#else
#error "regard: name the float control register of this architecture here"
#endif

namespace {

// How long a thread looks for work, or for the others to finish, before it sleeps: first without
// giving up its core, then offering it to whoever else wants to run, so that more threads than
// cores cost little.
constexpr int kSpins = 200;
constexpr int kYields = 200;

void pause() noexcept {
#if defined(__x86_64__)
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Waits until changed() holds or patience ends.
template <class Changed>
bool wait_awake(const Changed& changed) {
  for (int i = 0; i < kSpins; ++i) {
    if (changed()) return true;
    pause();
  }
  for (int i = 0; i < kYields; ++i) {
    if (changed()) return true;
    std::this_thread::yield();
  }
  return changed();
}

}  // namespace

// One job at a time. The caller opens a gate and works; a worker that passes the gate works too,
// one that comes too late is not waited for. So a worker that the system does not let run delays
// nobody, unless it was stopped in the middle of a task.
struct ThreadPool::Pool {
  static constexpr uint32_t kOpen = 1u << 31;  // the other bits count workers inside

  // The job; written only while the gate is shut and nobody is inside.
  void* context = nullptr;
  TaskFunction task = nullptr;
  int64_t count = 0;

  alignas(64) std::atomic<int64_t> next{0};
  alignas(64) std::atomic<uint32_t> gate{0};
  alignas(64) std::atomic<uint32_t> epoch{0};  // jobs so far: what idle workers watch
  std::atomic<int> sleepers{0};
  std::atomic<bool> stop{false};  // read by a worker that wakes late for an earlier job, too
  std::vector<std::thread> workers;

  ~Pool() {
    stop = true;
    call_workers();
    for (std::thread& worker : workers) worker.join();
  }

  void call_workers() {
    epoch.fetch_add(1);
    if (sleepers.load() > 0) epoch.notify_all();
  }

  void drain(int slot) {
    const DefaultFloatMode mode;
    for (;;) {
      const int64_t index = next.fetch_add(1, std::memory_order_relaxed);
      if (index >= count) return;
      task(context, index, slot);
    }
  }

  void work(int slot) {
    uint32_t seen = 0;
    for (;;) {
      const auto called = [&] { return epoch.load() != seen; };
      if (!wait_awake(called)) {
        sleepers.fetch_add(1);
        while (!called()) epoch.wait(seen);
        sleepers.fetch_sub(1);
      }
      seen = epoch.load();
      if (stop) return;
      uint32_t state = gate.load();
      while ((state & kOpen) != 0 && !gate.compare_exchange_weak(state, state + 1)) {
      }
      if ((state & kOpen) == 0) continue;
      drain(slot);
      if (gate.fetch_sub(1) == 1) gate.notify_one();  // shut, and the last one out
    }
  }

  void run(int64_t tasks, void* job_context, TaskFunction function) {
    context = job_context;
    task = function;
    count = tasks;
    next.store(0, std::memory_order_relaxed);
    gate.store(kOpen);
    call_workers();
    drain(0);
    uint32_t inside = gate.fetch_and(~kOpen) & ~kOpen;
    const auto left = [&] { return (inside = gate.load()) == 0; };
    if (inside == 0 || wait_awake(left)) return;
    while (!left()) gate.wait(inside);
  }
};

ThreadPool::ThreadPool(int threads) : pool_(std::make_unique<Pool>()), threads_(threads) {
  require(threads >= 0 && threads <= 1024, "threads: {} is not between 0 (all cores) and 1024",
          threads);
  if (threads_ == 0) {
    threads_ = static_cast<int>(std::thread::hardware_concurrency());
    if (threads_ < 1) threads_ = 1;
  }
  try {
    for (int slot = 1; slot < threads_; ++slot) {
      pool_->workers.emplace_back([pool = pool_.get(), slot] { pool->work(slot); });
    }
  } catch (const std::system_error&) {
    fail(ErrorKind::out_of_memory, "threads: the system refused {} threads", threads_);
  }
}

ThreadPool::~ThreadPool() = default;

void ThreadPool::run(int64_t count, void* context, TaskFunction task) {
  if (count <= 0) return;
  pool_->run(count, context, task);
}

}  // namespace regard
