#include "tensor/pool.h"

#include <utility>

namespace regard {
namespace {

thread_local ThreadPool* innermost = nullptr;

}  // namespace

ThreadPool& current_pool() {
  if (innermost != nullptr) return *innermost;
  thread_local ThreadPool alone(1);
  return alone;
}

UsePool::UsePool(ThreadPool& pool) noexcept : before_(std::exchange(innermost, &pool)) {}

UsePool::~UsePool() { innermost = before_; }

}  // namespace regard
