// Strings by id and ids by string: the vocabulary's two directions, in two flat arrays.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace regard::subwords {

class StringTable {
 public:
  // Room for `capacity` strings. Throws Error(unreadable) if more than 4 GiB of text is appended.
  explicit StringTable(int32_t capacity);

  // The string gets the next id, from 0 on. It is not found before it is indexed.
  void append(std::string_view string);
  // False, and nothing changes, if an equal string is found already.
  bool index(int32_t id);

  int32_t size() const noexcept { return static_cast<int32_t>(ends_.size()); }
  std::string_view operator[](int32_t id) const noexcept {
    const uint32_t begin = id == 0 ? 0 : ends_[id - 1];
    return {characters_.data() + begin, ends_[id] - begin};
  }
  std::optional<int32_t> find(std::string_view string) const noexcept;

 private:
  // The string's place is repeated here to save a step of the look-up, the hottest of all.
  struct Slot {
    uint32_t hash = 0;
    uint32_t begin = 0;
    uint32_t length = 0;
    int32_t id = -1;  // -1: free
  };
  size_t probe(std::string_view string, uint32_t hash) const noexcept;

  std::string characters_;
  std::vector<uint32_t> ends_;
  std::vector<Slot> slots_;  // open addressing, at most half full
};

// Pairs of neighbouring ids, and what they merge to.
class PairTable {
 public:
  struct Merge {
    uint32_t rank = kNone;  // the lower, the sooner
    int32_t id = -1;
  };
  static constexpr uint32_t kNone = UINT32_MAX;

  explicit PairTable(size_t capacity);
  // The last rank given to a pair counts.
  void set(int32_t left, int32_t right, Merge merge) noexcept;
  Merge find(int32_t left, int32_t right) const noexcept {  // rank kNone if they do not merge
    return slots_[probe(key_of(left, right))].merge;
  }

 private:
  struct Slot {
    uint64_t key = kFree;
    Merge merge;
  };
  static constexpr uint64_t kFree = UINT64_MAX;
  static uint64_t key_of(int32_t left, int32_t right) noexcept {
    return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
  }
  size_t probe(uint64_t key) const noexcept {
    size_t at = key * 0x9E3779B97F4A7C15u >> shift_;
    while (slots_[at].key != key && slots_[at].key != kFree) at = (at + 1) & (slots_.size() - 1);
    return at;
  }

  int shift_;
  std::vector<Slot> slots_;  // open addressing, at most half full
};

}  // namespace regard::subwords
