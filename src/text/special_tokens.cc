#include "text/special_tokens.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "unicode/classes.h"
#include "unicode/utf8.h"

namespace regard::text {
namespace {

bool is_space(char32_t c) { return unicode::class_of(c) == unicode::CharClass::space; }

// The character that ends at `end`, and where it begins.
char32_t character_before(std::string_view text, int64_t end, int64_t& begin) {
  begin = end - 1;
  while ((static_cast<unsigned char>(text[static_cast<size_t>(begin)]) & 0xC0) == 0x80) --begin;
  const char* at = text.data() + begin;
  return unicode::read_character(at);
}

}  // namespace

void SpecialTokens::add(SpecialToken token) {
  if (token.text.empty() || unicode::first_invalid_utf8(token.text) >= 0) return;
  if (token.text.size() > kLongest)
    fail(ErrorKind::unreadable, "tokenizer: special token {} has {} bytes, more than {}", token.id,
         token.text.size(), kLongest);
  entries_.push_back(std::move(token));
}

void SpecialTokens::finish() {
  std::stable_sort(entries_.begin(), entries_.end(),
                   [](const SpecialToken& a, const SpecialToken& b) { return a.text < b.text; });
  for (const SpecialToken& entry : entries_)
    ++first_[static_cast<size_t>(static_cast<unsigned char>(entry.text[0])) + 1];
  for (size_t byte = 1; byte < first_.size(); ++byte) first_[byte] += first_[byte - 1];
}

int64_t SpecialTokens::candidate(std::string_view text, int64_t from) const noexcept {
  if (entries_.empty()) return -1;
  for (auto at = static_cast<size_t>(from); at < text.size(); ++at) {
    const auto byte = static_cast<unsigned char>(text[at]);
    if (first_[byte] != first_[byte + 1u]) return static_cast<int64_t>(at);
  }
  return -1;
}

void SpecialTokens::narrow(const SpecialToken*& low, const SpecialToken*& high, size_t depth,
                           char next) const noexcept {
  const auto before = [&](const SpecialToken& entry, char c) {
    return static_cast<unsigned char>(entry.text[depth]) < static_cast<unsigned char>(c);
  };
  const auto behind = [&](char c, const SpecialToken& entry) {
    return static_cast<unsigned char>(c) < static_cast<unsigned char>(entry.text[depth]);
  };
  low = std::lower_bound(low, high, next, before);
  high = std::upper_bound(low, high, next, behind);
}

bool SpecialTokens::is_inside_word(std::string_view text, const Piece& piece) noexcept {
  int64_t begin;
  if (piece.begin != 0 && unicode::is_word_character(character_before(text, piece.begin, begin)))
    return true;
  const char* at = text.data() + piece.end;
  return piece.end != static_cast<int64_t>(text.size()) &&
         unicode::is_word_character(unicode::read_character(at));
}

int64_t SpecialTokens::spaces_before(std::string_view text, int64_t end, int64_t least) noexcept {
  for (int64_t begin; end > least && is_space(character_before(text, end, begin));) end = begin;
  return std::max(end, least);
}

int64_t SpecialTokens::spaces_behind(std::string_view text, int64_t begin) noexcept {
  const char* at = text.data() + begin;
  const char* const end = text.data() + text.size();
  while (at != end) {
    const char* next = at;
    if (!is_space(unicode::read_character(next))) break;
    at = next;
  }
  return at - text.data();
}

}  // namespace regard::text
