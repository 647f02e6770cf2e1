#include "subwords/byte_pairs.h"

#include <utility>

namespace regard::subwords {

BytePairs::BytePairs(StringTable bytes, const std::vector<MergeRule>& merges,
                     const Options& options)
    : bytes_(std::move(bytes)), merger_(merges), whole_(bytes_.size()), options_(options) {
  for (int byte = 0; byte < 256; ++byte) {
    const char c = static_cast<char>(byte);
    byte_ids_[byte] = bytes_.find({&c, 1}).value_or(-1);
  }
}

void BytePairs::encode(std::string_view text, int64_t begin, int64_t end, Output& out) const {
  const std::string_view word =
      text.substr(static_cast<size_t>(begin), static_cast<size_t>(end - begin));
  if (const auto id = bytes_.find(word)) {
    const auto merges_to_itself = [&] {
      bool yes = false;
      merge(word,
            [&](std::span<const Symbol> left) { yes = left.size() == 1 && left[0].id == *id; });
      return yes;
    };
    if (options_.ignore_merges || whole_.merges_to_itself(*id, merges_to_itself))
      return out.add(*id, begin, end);
  }
  merge(word, [&](std::span<const Symbol> symbols) {
    for (const Symbol& symbol : symbols)
      out.add(symbol.id, begin + symbol.begin, begin + symbol.end);
  });
}

template <class Use>
void BytePairs::merge(std::string_view word, Use&& use) const {
  merger_.merge(
      word.size(), [&](Symbol* symbols) { return split(word, symbols); }, use);
}

int BytePairs::split(std::string_view word, Symbol* symbols) const {
  int count = 0;
  bool fuses = false;  // is the symbol before an unknown one?
  for (uint32_t at = 0; at < word.size(); ++at) {
    const int32_t id = byte_ids_[static_cast<unsigned char>(word[at])];
    if (id >= 0) {
      symbols[count++] = {id, at, at + 1};
    } else if (fuses) {
      symbols[count - 1].end = at + 1;
    } else if (options_.unknown.id >= 0) {
      symbols[count++] = {options_.unknown.id, at, at + 1};
    }
    fuses = id < 0 && options_.unknown.fuse && options_.unknown.id >= 0;
  }
  return count;
}

}  // namespace regard::subwords
