#include "base/shared_pool.h"

#include <pthread.h>

#include <algorithm>
#include <map>
#include <thread>

namespace regard {
namespace {

struct Pools {
  std::mutex mutex;
  std::map<int, ThreadPool> of_threads;
};
Pools*& pools() {
  static Pools* kept = [] {
    // A forked process has none of its parent's threads, and perhaps a lock that nobody opens.
    pthread_atfork(nullptr, nullptr, [] { pools() = new Pools; });
    return new Pools;  // never freed: threads outlive static objects
  }();
  return kept;
}

}  // namespace

int thread_count(int threads) noexcept {
  return threads > 0 ? threads : std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

SharedPool::SharedPool(int threads) : lock_(pools()->mutex) {
  threads = thread_count(threads);
  pool_ = &pools()->of_threads.try_emplace(threads, threads).first->second;
}

}  // namespace regard
