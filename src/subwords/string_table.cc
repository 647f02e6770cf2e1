#include "subwords/string_table.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/check.h"

namespace regard::subwords {
namespace {

template <class Word>
uint64_t load(const char* from) noexcept {
  Word word;
  std::memcpy(&word, from, sizeof word);
  return word;
}

uint64_t mix(uint64_t hash, uint64_t word) noexcept {
  hash = (hash ^ word) * 0x9E3779B97F4A7C15u;
  return hash ^ hash >> 32;
}

// Words are short: most take one or two loads.
uint32_t hash_of(std::string_view string) noexcept {
  const char* at = string.data();
  size_t left = string.size();
  uint64_t hash = left;
  for (; left > 8; at += 8, left -= 8) hash = mix(hash, load<uint64_t>(at));
  uint64_t tail = 0;
  if (left >= 4) {
    tail = load<uint32_t>(at) | load<uint32_t>(at + left - 4) << 32;
  } else if (left > 0) {
    tail =
        load<uint8_t>(at) | load<uint8_t>(at + left / 2) << 8 | load<uint8_t>(at + left - 1) << 16;
  }
  return static_cast<uint32_t>(mix(mix(hash, tail), 0) >> 16);
}

size_t slots_for(size_t capacity) { return std::bit_ceil(std::max<size_t>(2 * capacity, 2)); }

}  // namespace

StringTable::StringTable(int32_t capacity) : slots_(slots_for(static_cast<size_t>(capacity))) {
  ends_.reserve(static_cast<size_t>(capacity));
}

void StringTable::append(std::string_view string) {
  if (string.size() > UINT32_MAX - characters_.size())
    fail(ErrorKind::unreadable, "tokenizer: the vocabulary holds more than {} bytes of text",
         UINT32_MAX);
  characters_ += string;
  ends_.push_back(static_cast<uint32_t>(characters_.size()));
}

size_t StringTable::probe(std::string_view string, uint32_t hash) const noexcept {
  size_t at = hash & (slots_.size() - 1);
  for (;; at = (at + 1) & (slots_.size() - 1)) {
    const Slot& slot = slots_[at];
    if (slot.id < 0) return at;
    if (slot.hash == hash && slot.length == string.size() &&
        std::memcmp(characters_.data() + slot.begin, string.data(), string.size()) == 0)
      return at;
  }
}

bool StringTable::index(int32_t id) {
  const std::string_view string = (*this)[id];
  const uint32_t hash = hash_of(string);
  Slot& slot = slots_[probe(string, hash)];
  if (slot.id >= 0) return false;
  slot = {hash, static_cast<uint32_t>(string.data() - characters_.data()),
          static_cast<uint32_t>(string.size()), id};
  return true;
}

std::optional<int32_t> StringTable::find(std::string_view string) const noexcept {
  const Slot& slot = slots_[probe(string, hash_of(string))];
  if (slot.id < 0) return std::nullopt;
  return slot.id;
}

PairTable::PairTable(size_t capacity)
    : shift_(64 - std::countr_zero(slots_for(capacity))), slots_(slots_for(capacity)) {}

void PairTable::set(int32_t left, int32_t right, Merge merge) noexcept {
  const uint64_t key = key_of(left, right);
  slots_[probe(key)] = {key, merge};
}

}  // namespace regard::subwords
