#include "values/run.h"

#include <algorithm>

namespace regard::chat {
namespace {

constexpr std::size_t kBlock = std::size_t{64} << 10;

}  // namespace

Run::Run(const ChatBudget& budget, std::string_view name, const DateTime& now)
    : budget_(budget), name_(name), now_(now), steps_(budget.steps), memory_(budget.memory_bytes) {}

void* Run::allocate(int64_t count, std::size_t size, std::size_t alignment) {
  if (count > memory_ / static_cast<int64_t>(size)) out_of_memory();
  const std::size_t bytes = static_cast<std::size_t>(count) * size;
  memory_ -= static_cast<int64_t>(bytes);
  const std::size_t skip =
      (alignment - reinterpret_cast<std::uintptr_t>(free_) % alignment) % alignment;
  if (free_ == nullptr || skip + bytes > free_bytes_) {
    if (bytes > kBlock / 4) {  // a block of its own; the last one goes on
      blocks_.push_back(std::make_unique_for_overwrite<std::byte[]>(bytes));
      return blocks_.back().get();
    }
    blocks_.push_back(std::make_unique_for_overwrite<std::byte[]>(kBlock));
    free_ = blocks_.back().get();
    free_bytes_ = kBlock;
    return allocate_here(bytes, 0);
  }
  return allocate_here(bytes, skip);
}

void* Run::allocate_here(std::size_t bytes, std::size_t skip) noexcept {
  std::byte* const at = free_ + skip;
  free_ = at + bytes;
  free_bytes_ -= skip + bytes;
  return at;
}

void Run::out_of_steps() const {
  exceed("the template is over its budget of {} steps; does it end?", budget_.steps);
}

void Run::out_of_memory() const {
  exceed("the values of the template are over their budget of {} bytes", budget_.memory_bytes);
}

void Run::too_deep() {
  --depth_;  // the guard that called will not be destroyed
  fail("nested deeper than {} levels", budget_.depth);
}

}  // namespace regard::chat
