#include "subwords/pair_merger.h"

#include <algorithm>
#include <functional>
#include <numeric>
#include <queue>
#include <utility>

namespace regard::subwords {

namespace {

std::vector<uint32_t> in_order(size_t count) {
  std::vector<uint32_t> ranks(count);
  std::iota(ranks.begin(), ranks.end(), 0u);
  return ranks;
}

}  // namespace

PairMerger::PairMerger(const std::vector<MergeRule>& rules)
    : PairMerger(rules, in_order(rules.size())) {}

PairMerger::PairMerger(const std::vector<MergeRule>& rules, const std::vector<uint32_t>& ranks)
    : merges_(rules.size()) {
  for (size_t i = 0; i < rules.size(); ++i)
    if (rules[i].id >= 0) merges_.set(rules[i].left, rules[i].right, {ranks[i], rules[i].id});
}

int PairMerger::merge_short(Symbol* symbols, int count) const {
  for (int i = 0; i + 1 < count; ++i)
    symbols[i].next = merges_.find(symbols[i].id, symbols[i + 1].id);
  while (count > 1) {
    const Symbol* const last = symbols + count - 1;  // has no pair
    Symbol* best = symbols;
    for (Symbol* s = symbols + 1; s != last; ++s)
      if (s->next.rank < best->next.rank) best = s;
    if (best->next.rank == PairTable::kNone) break;
    best->id = best->next.id;
    best->end = best[1].end;
    std::copy(best + 2, symbols + count, best + 1);
    --count;
    best->next =
        best + 1 == symbols + count ? PairTable::Merge{} : merges_.find(best->id, best[1].id);
    if (best != symbols) best[-1].next = merges_.find(best[-1].id, best->id);
  }
  return count;
}

// n log n for any word: a queue of (rank, position), in which an entry counts only while the pair
// at its position still has its rank.
void PairMerger::merge_long(std::vector<Symbol>& symbols) const {
  const auto count = static_cast<uint32_t>(symbols.size());
  std::vector<uint32_t> before(count), behind(count);  // the neighbours that are left
  std::vector<uint64_t> entries;
  for (uint32_t i = 0; i < count; ++i) {
    before[i] = i - 1;
    behind[i] = i + 1;
    if (i + 1 < count) symbols[i].next = merges_.find(symbols[i].id, symbols[i + 1].id);
    if (symbols[i].next.rank != PairTable::kNone)
      entries.push_back(static_cast<uint64_t>(symbols[i].next.rank) << 32 | i);
  }
  std::priority_queue<uint64_t, std::vector<uint64_t>, std::greater<>> queue(std::greater<>(),
                                                                             std::move(entries));
  const auto pair_up = [&](uint32_t left, uint32_t right) {
    symbols[left].next = merges_.find(symbols[left].id, symbols[right].id);
    if (symbols[left].next.rank != PairTable::kNone)
      queue.push(static_cast<uint64_t>(symbols[left].next.rank) << 32 | left);
  };
  while (!queue.empty()) {
    const auto rank = static_cast<uint32_t>(queue.top() >> 32);
    const auto left = static_cast<uint32_t>(queue.top());
    queue.pop();
    Symbol& symbol = symbols[left];
    if (symbol.next.rank != rank) continue;
    const uint32_t right = behind[left];
    symbol.id = symbol.next.id;
    symbol.end = symbols[right].end;
    symbol.next = {};
    symbols[right].id = -1;  // gone
    symbols[right].next = {};
    behind[left] = behind[right];
    if (behind[left] != count) {
      before[behind[left]] = left;
      pair_up(left, behind[left]);
    }
    if (left != 0) pair_up(before[left], left);
  }
  std::erase_if(symbols, [](const Symbol& symbol) { return symbol.id < 0; });
}

}  // namespace regard::subwords
