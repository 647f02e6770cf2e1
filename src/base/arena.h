// Arena: keeps returned blocks for the next request of the same size class, so that a loop whose
// shapes repeat (decode, training) asks the system for nothing after its first round.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <utility>

#include "base/buffer.h"

namespace regard {

class Arena;

// Shared ownership of one block of an arena; the last owner hands it back. Copying counts, it
// never copies bytes.
class Block {
 public:
  Block() = default;
  Block(const Block& other) noexcept;
  Block(Block&& other) noexcept : node_(std::exchange(other.node_, nullptr)) {}
  Block& operator=(Block other) noexcept {
    std::swap(node_, other.node_);
    return *this;
  }
  ~Block();

  std::byte* data() const noexcept;
  std::size_t size() const noexcept;  // at least what was asked for
  bool shared() const noexcept;       // is there another owner?
  explicit operator bool() const noexcept { return node_ != nullptr; }

 private:
  friend class Arena;
  struct Node;
  explicit Block(Node* node) noexcept : node_(node) {}
  Node* node_ = nullptr;
};

class Arena {
 public:
  Arena() = default;
  ~Arena();  // every block must have been handed back
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  // A block of at least `bytes`, contents unspecified. Thread-safe.
  // Throws Error(out_of_memory).
  Block take(std::size_t bytes);

  struct Counts {
    std::size_t held_bytes = 0;    // taken from the system and not given back
    std::size_t system_calls = 0;  // how often the system was asked
  };
  Counts counts() const;

  // Gives every idle block back to the system.
  void trim() noexcept;

  // The arena of tensors. It lives as long as the process.
  static Arena& global();

 private:
  friend class Block;
  void give_back(Block::Node* node) noexcept;

  // Four size classes to a power of two: at most a quarter of a block is unused.
  static constexpr int kClasses = 4 * 64;
  mutable std::mutex mutex_;
  std::array<Block::Node*, kClasses> idle_{};  // stacks, linked through the nodes
  Counts counts_;
};

}  // namespace regard
