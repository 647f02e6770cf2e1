#include "base/threads.h"

#include <pthreadpool.h>
#if defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
#endif

#include <atomic>
#include <thread>

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

struct ThreadPool::Pool {
  pthreadpool_t handle = nullptr;
  ~Pool() {
    if (handle != nullptr) pthreadpool_destroy(handle);
  }
};

ThreadPool::ThreadPool(int threads) : pool_(std::make_unique<Pool>()), threads_(threads) {
  require(threads >= 0 && threads <= 1024, "threads: {} is not between 0 (all cores) and 1024",
          threads);
  if (threads_ == 0) {
    threads_ = static_cast<int>(std::thread::hardware_concurrency());
    if (threads_ < 1) threads_ = 1;
  }
  if (threads_ > 1) {
    pool_->handle = pthreadpool_create(static_cast<size_t>(threads_));
    if (pool_->handle == nullptr) {
      fail(ErrorKind::out_of_memory, "threads: the system refused {} threads", threads_);
    }
  }
}

ThreadPool::~ThreadPool() = default;

namespace {

struct Job {
  void* context;
  void (*task)(void*, int64_t, int);
  int64_t count;
  std::atomic<int64_t> next{0};
};

// pthreadpool's hand-over orders memory, but the thread sanitizer cannot see into that library:
// it is told.
#if defined(__SANITIZE_THREAD__)
void hand_over(void* job) { __tsan_release(job); }
void take_over(void* job) { __tsan_acquire(job); }
#else
void hand_over(void*) {}
void take_over(void*) {}
#endif

// One call a thread: it drains the counter.
void drain(void* pointer, size_t slot) {
  take_over(pointer);
  Job& job = *static_cast<Job*>(pointer);
  const DefaultFloatMode mode;
  for (;;) {
    const int64_t index = job.next.fetch_add(1, std::memory_order_relaxed);
    if (index >= job.count) break;
    job.task(job.context, index, static_cast<int>(slot));
  }
  hand_over(pointer);
}

}  // namespace

void ThreadPool::run(int64_t count, void* context, TaskFunction task) {
  if (count <= 0) return;
  Job job{context, task, count};
  if (threads_ == 1 || count == 1) {
    drain(&job, 0);
  } else {
    hand_over(&job);
    pthreadpool_parallelize_1d(pool_->handle, drain, &job, static_cast<size_t>(threads_), 0);
    take_over(&job);
  }
}

}  // namespace regard
