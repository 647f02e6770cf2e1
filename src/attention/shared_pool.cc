#include "attention/shared_pool.h"

#include <map>
#include <thread>

namespace regard {
namespace {

struct Pools {
  std::mutex mutex;
  std::map<int, ThreadPool> of_threads;
};
Pools& pools() {
  static Pools* const kept = new Pools;  // threads outlive static objects
  return *kept;
}

}  // namespace

SharedPool::SharedPool(int threads) : lock_(pools().mutex) {
  if (threads == 0) threads = static_cast<int>(std::thread::hardware_concurrency());
  if (threads < 1) threads = 1;
  pool_ = &pools().of_threads.try_emplace(threads, threads).first->second;
}

}  // namespace regard
