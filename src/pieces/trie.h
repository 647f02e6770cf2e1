// Trie: byte strings with a number each, walked byte by byte: which of them does a text begin with?
// A double array (Aoe 1989) with xor: the child for byte b of a node lies at its base ^ b.
#pragma once

#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

namespace regard::pieces {

class Trie {
 public:
  using Node = uint32_t;
  static constexpr Node kRoot = 0;
  static constexpr int32_t kNone = -1;

  struct Key {
    std::string_view text;
    int32_t value;  // not negative
  };
  // Of equal texts the last counts; empty ones are left out.
  // Throws Error(unreadable) if there are more than 2^30 nodes.
  explicit Trie(std::vector<Key> keys);

  // Moves to the child for a byte; false, and the node stays, if there is none.
  bool step(Node& node, char byte) const noexcept {
    const Node child = units_[node].base ^ static_cast<unsigned char>(byte);
    if (units_[child].parent != node) return false;
    node = child;
    return true;
  }
  bool walk(Node& node, std::string_view text) const noexcept {
    for (const char byte : text)
      if (!step(node, byte)) return false;
    return true;
  }
  // The value of the text that leads from the root to here, or kNone.
  int32_t value(Node node) const noexcept { return units_[node].value; }

 private:
  struct Unit {
    Node base = 0;
    Node parent = kFree;
    int32_t value = kNone;
  };
  static constexpr Node kFree = UINT32_MAX;
  static constexpr Node kAbove = UINT32_MAX - 1;  // the root's parent: no node has this number
  class Builder;

  std::vector<Unit> units_;  // a multiple of 256, so that base ^ byte never leaves it
};

}  // namespace regard::pieces
