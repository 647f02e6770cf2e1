#include "text/byte_pairs.h"

#include <algorithm>
#include <functional>
#include <queue>
#include <span>
#include <utility>

#include "base/check.h"
#include "text/byte_alphabet.h"

namespace regard::text {

// A stretch of the word that is one token by now.
struct BytePairs::Symbol {
  int32_t id;
  uint32_t begin;  // in bytes from the start of the word
  uint32_t end;
  PairTable::Merge next;  // what the pair of this and the next symbol merges to
};

namespace {

// Longer words take the queue. The plain scan is quadratic, but on short arrays it is the faster:
// nearly every word of prose has fewer than 16 bytes.
constexpr int kShortWord = 64;

}  // namespace

BytePairs::BytePairs(const Vocabulary& vocabulary, const std::vector<std::string>& merges,
                     const PreTokenizer& pre)
    : vocabulary_(vocabulary),
      word_end_(word_scanner(pre.rule)),
      ignore_merges_(pre.ignore_merges),
      bytes_(vocabulary.size()),
      merges_(merges.size()),
      whole_(static_cast<size_t>(vocabulary.size())) {
  index_bytes();
  for (size_t rank = 0; rank < merges.size(); ++rank)
    add_merge(merges[rank], static_cast<uint32_t>(rank));
}

// Normal tokens are written in the byte alphabet, all others as they are. So is a normal token
// that leaves the alphabet: no text leads to it, but it can be decoded.
void BytePairs::index_bytes() {
  std::vector<int32_t> literal;  // ids
  for (int32_t id = 0; id < vocabulary_.size(); ++id) {
    const std::string_view text = vocabulary_.text(id);
    const bool normal = vocabulary_.type(id) == TokenType::normal;
    const std::optional<std::string> mapped = normal ? from_alphabet(text) : std::nullopt;
    bytes_.append(mapped ? *mapped : text);
    if (mapped && !text.empty()) bytes_.index(id);
    if (vocabulary_.type(id) == TokenType::user_defined) literal.push_back(id);
  }
  // Added tokens can be results of merges too; of two with the same bytes the normal one counts.
  for (const int32_t id : literal)
    if (!bytes_[id].empty()) bytes_.index(id);
  for (int byte = 0; byte < 256; ++byte) {
    const char c = static_cast<char>(byte);
    byte_ids_[byte] = bytes_.find({&c, 1}).value_or(-1);
  }
}

int32_t BytePairs::resolve(std::string_view part, std::string_view merge, uint32_t rank) const {
  if (const auto id = vocabulary_.find(part)) return *id;
  if (const auto mapped = from_alphabet(part))
    if (const auto id = bytes_.find(*mapped)) return *id;
  fail(ErrorKind::unreadable, "tokenizer: merge {} ({}) names {}, which is not in the vocabulary",
       rank, quoted(merge), quoted(part));
}

void BytePairs::add_merge(std::string_view merge, uint32_t rank) {
  const size_t space = merge.find(' ', 1);
  if (space == std::string_view::npos || space + 1 == merge.size())
    fail(ErrorKind::unreadable, "tokenizer: merge {} ({}) is not two tokens with a space between",
         rank, quoted(merge));
  const std::string_view left = merge.substr(0, space), right = merge.substr(space + 1);
  const std::string joined = std::string(left).append(right);
  const int32_t left_id = resolve(left, merge, rank), right_id = resolve(right, merge, rank);
  const int32_t id = resolve(joined, merge, rank);
  // Text must not spell its way to a control token.
  if (!vocabulary_.is_reserved(id)) merges_.set(left_id, right_id, {rank, id});
}

void BytePairs::encode(std::string_view text, int64_t begin, int64_t end, Output& out) const {
  const char* const start = text.data();
  const char* const stop = start + end;
  for (const char* at = start + begin; at != stop;) {
    const char* const behind = word_end_(at, stop);
    encode_word({at, static_cast<size_t>(behind - at)}, at - start, out);
    at = behind;
  }
}

void BytePairs::encode_word(std::string_view word, int64_t begin, Output& out) const {
  if (const auto id = bytes_.find(word)) {
    if (ignore_merges_ || merges_to_itself(word, *id)) {
      out.add(*id, begin, begin + static_cast<int64_t>(word.size()));
      return;
    }
  }
  merge(word, [&](std::span<const Symbol> symbols) {
    for (const Symbol& symbol : symbols)
      out.add(symbol.id, begin + symbol.begin, begin + symbol.end);
  });
}

bool BytePairs::merges_to_itself(std::string_view word, int32_t id) const {
  std::atomic<Whole>& whole = whole_[static_cast<size_t>(id)];
  if (const Whole known = whole.load(std::memory_order_relaxed); known != Whole::not_known)
    return known == Whole::yes;
  bool yes = false;
  merge(word,
        [&](std::span<const Symbol> symbols) { yes = symbols.size() == 1 && symbols[0].id == id; });
  whole.store(yes ? Whole::yes : Whole::no, std::memory_order_relaxed);
  return yes;
}

template <class Use>
void BytePairs::merge(std::string_view word, Use&& use) const {
  if (word.size() <= kShortWord) {
    Symbol symbols[kShortWord];
    const int count = merge_short(symbols, split_to_bytes(word, symbols));
    use(std::span<const Symbol>(symbols, static_cast<size_t>(count)));
  } else {
    std::vector<Symbol> symbols(word.size());
    symbols.resize(static_cast<size_t>(split_to_bytes(word, symbols.data())));
    merge_long(symbols);
    use(std::span<const Symbol>(symbols));
  }
}

int BytePairs::split_to_bytes(std::string_view word, Symbol* symbols) const {
  int count = 0;
  for (uint32_t at = 0; at < word.size(); ++at) {
    const int32_t id = byte_ids_[static_cast<unsigned char>(word[at])];
    if (id >= 0) symbols[count++] = {id, at, at + 1, {}};
  }
  return count;
}

int BytePairs::merge_short(Symbol* symbols, int count) const {
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
void BytePairs::merge_long(std::vector<Symbol>& symbols) const {
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

}  // namespace regard::text
