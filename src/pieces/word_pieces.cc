#include "pieces/word_pieces.h"

#include <utility>

namespace regard::pieces {

WordPieces::WordPieces(std::vector<Trie::Key> keys, const Options& options)
    : trie_(std::move(keys)),
      continues_(trie_.walk(inside_, options.prefix)),
      unknown_(options.unknown),
      longest_word_(options.longest_word) {}

bool WordPieces::has_too_many_characters(std::string_view word) const noexcept {
  if (static_cast<int64_t>(word.size()) <= longest_word_) return false;
  int64_t characters = 0;
  for (const char c : word) characters += (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  return characters > longest_word_;
}

void WordPieces::encode(std::string_view word, std::vector<Piece>& out) const {
  const size_t before = out.size();
  const auto all = static_cast<int32_t>(word.size());
  size_t begin = has_too_many_characters(word) ? SIZE_MAX : 0;
  while (begin < word.size()) {
    Trie::Node node = begin == 0 ? Trie::kRoot : inside_;
    Piece longest{Trie::kNone, 0, 0};
    for (size_t at = begin; at < word.size() && trie_.step(node, word[at]); ++at)
      if (const int32_t id = trie_.value(node); id != Trie::kNone)
        longest = {id, static_cast<int32_t>(begin), static_cast<int32_t>(at + 1)};
    if (longest.id == Trie::kNone)
      begin = SIZE_MAX;
    else {
      out.push_back(longest);
      begin = continues_ || longest.end == all ? static_cast<size_t>(longest.end) : SIZE_MAX;
    }
  }
  if (begin != SIZE_MAX) return;
  out.resize(before);
  out.push_back({unknown_, 0, all});
}

}  // namespace regard::pieces
