#include "base/arena.h"

#include <bit>

#include "base/check.h"

namespace regard {

struct Block::Node {
  Arena* arena;
  int size_class;
  std::atomic<int> owners;
  Node* next;
  Buffer buffer;
};

namespace {

struct SizeClass {
  int index;
  std::size_t bytes;
};

SizeClass size_class(std::size_t bytes) {
  constexpr std::size_t kSmallest = 256;
  if (bytes < kSmallest) bytes = kSmallest;
  if (bytes > SIZE_MAX / 4) fail(ErrorKind::out_of_memory, "arena: no memory for {} bytes", bytes);
  const int power = std::bit_width(bytes - 1) - 1;  // 2^power < bytes <= 2^(power + 1)
  const std::size_t quarter = std::size_t{1} << (power - 2);
  const std::size_t steps = (bytes - (std::size_t{1} << power) + quarter - 1) / quarter;  // 1..4
  return {4 * power + static_cast<int>(steps) - 1, (std::size_t{1} << power) + steps * quarter};
}

}  // namespace

Block::Block(const Block& other) noexcept : node_(other.node_) {
  if (node_ != nullptr) node_->owners.fetch_add(1, std::memory_order_relaxed);
}

Block::~Block() {
  if (node_ != nullptr && node_->owners.fetch_sub(1, std::memory_order_acq_rel) == 1) {
    node_->arena->give_back(node_);
  }
}

std::byte* Block::data() const noexcept {
  return node_ == nullptr ? nullptr : node_->buffer.data();
}

std::size_t Block::size() const noexcept { return node_ == nullptr ? 0 : node_->buffer.size(); }

bool Block::shared() const noexcept {
  return node_ != nullptr && node_->owners.load(std::memory_order_acquire) > 1;
}

Block Arena::take(std::size_t bytes) {
  const SizeClass wanted = size_class(bytes);
  {
    const std::lock_guard lock(mutex_);
    Block::Node*& top = idle_[wanted.index];
    if (top != nullptr) {
      Block::Node* node = top;
      top = node->next;
      node->owners.store(1, std::memory_order_relaxed);
      return Block(node);
    }
    counts_.held_bytes += wanted.bytes;
    ++counts_.system_calls;
  }
  return Block(new Block::Node{this, wanted.index, 1, nullptr, Buffer(wanted.bytes, "arena")});
}

void Arena::give_back(Block::Node* node) noexcept {
  const std::lock_guard lock(mutex_);
  node->next = idle_[node->size_class];
  idle_[node->size_class] = node;
}

Arena::Counts Arena::counts() const {
  const std::lock_guard lock(mutex_);
  return counts_;
}

void Arena::trim() noexcept {
  const std::lock_guard lock(mutex_);
  for (Block::Node*& top : idle_) {
    while (top != nullptr) {
      Block::Node* node = std::exchange(top, top->next);
      counts_.held_bytes -= node->buffer.size();
      delete node;
    }
  }
}

Arena::~Arena() { trim(); }

Arena& Arena::global() {
  static Arena* const arena = new Arena;  // never destroyed: tensors may outlive static objects
  return *arena;
}

}  // namespace regard
