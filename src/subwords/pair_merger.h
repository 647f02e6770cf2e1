// PairMerger: neighbours are merged, the pair with the lowest rank first and of equals the
// leftmost, until none merges. Sennrich et al. 2016.
#pragma once

#include <atomic>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "subwords/string_table.h"

namespace regard::subwords {

// A stretch of the word that is one token by now.
struct Symbol {
  int32_t id;
  uint32_t begin;  // in bytes from the start of the word
  uint32_t end;
  PairTable::Merge next = {};  // what the pair of this and the next symbol merges to
};

// left and right become id; id -1: nothing becomes of them. The rank is the place in the list.
struct MergeRule {
  int32_t left, right, id;
};

class PairMerger {
 public:
  explicit PairMerger(const std::vector<MergeRule>& rules);
  // The rule with index i has rank ranks[i].
  PairMerger(const std::vector<MergeRule>& rules, const std::vector<uint32_t>& ranks);

  // split(symbols) writes at most `most` symbols and gives their number; use(span of symbols) sees
  // those that are left when nothing merges any more.
  template <class Split, class Use>
  void merge(size_t most, Split&& split, Use&& use) const {
    if (most <= kShortWord) {
      Symbol symbols[kShortWord];
      const int count = merge_short(symbols, split(static_cast<Symbol*>(symbols)));
      use(std::span<const Symbol>(symbols, static_cast<size_t>(count)));
    } else {
      std::vector<Symbol> symbols(most);
      symbols.resize(static_cast<size_t>(split(symbols.data())));
      merge_long(symbols);
      use(std::span<const Symbol>(symbols));
    }
  }

 private:
  // Longer words take the queue. The plain scan is quadratic, but on short arrays it is the faster:
  // nearly every word of prose has fewer than 16 bytes.
  static constexpr size_t kShortWord = 64;

  // Give the number of symbols that are left.
  int merge_short(Symbol* symbols, int count) const;
  void merge_long(std::vector<Symbol>& symbols) const;

  PairTable merges_;
};

// A word that is a token nearly always merges to that token. Whether it does is worked out when it
// is first met: most of a vocabulary never is. Any thread finds the same answer.
class WholeWords {
 public:
  explicit WholeWords(int32_t tokens) : known_(static_cast<size_t>(tokens)) {}

  template <class Find>
  bool merges_to_itself(int32_t id, Find&& find) const {
    std::atomic<Whole>& whole = known_[static_cast<size_t>(id)];
    if (const Whole known = whole.load(std::memory_order_relaxed); known != Whole::not_known)
      return known == Whole::yes;
    const bool yes = find();
    whole.store(yes ? Whole::yes : Whole::no, std::memory_order_relaxed);
    return yes;
  }

 private:
  enum class Whole : uint8_t { not_known, yes, no };
  mutable std::vector<std::atomic<Whole>> known_;
};

// What stands for units without a token: one unknown token each, or one for neighbours together.
struct Unknown {
  int32_t id = -1;  // -1: such units are dropped
  bool fuse = false;
};

}  // namespace regard::subwords
