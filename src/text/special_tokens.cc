#include "text/special_tokens.h"

#include <algorithm>

#include "base/check.h"
#include "text/vocabulary.h"
#include "unicode/utf8.h"

namespace regard::text {

void SpecialTokens::add(std::string_view text, int32_t id) {
  if (text.empty() || unicode::first_invalid_utf8(text) >= 0) return;
  if (text.size() > kLongest)
    fail(ErrorKind::unreadable, "tokenizer: special token {} has {} bytes, more than {}", id,
         text.size(), kLongest);
  entries_.push_back({std::string(text), id});
}

void SpecialTokens::finish() {
  std::sort(entries_.begin(), entries_.end(),
            [](const Entry& a, const Entry& b) { return a.text < b.text; });
  for (const Entry& entry : entries_) ++first_[static_cast<unsigned char>(entry.text[0]) + 1];
  for (size_t byte = 1; byte < first_.size(); ++byte) first_[byte] += first_[byte - 1];
}

std::optional<SpecialTokens::Match> SpecialTokens::find(std::string_view text,
                                                        int64_t from) const noexcept {
  if (entries_.empty()) return std::nullopt;
  for (size_t at = static_cast<size_t>(from); at < text.size(); ++at) {
    const auto byte = static_cast<unsigned char>(text[at]);
    if (first_[byte] == first_[byte + 1]) continue;
    // The entries that agree with the text so far are a range that shrinks with each byte; one
    // that ends here is the first of it, because a prefix sorts before what continues it.
    const Entry* low = entries_.data() + first_[byte];
    const Entry* high = entries_.data() + first_[byte + 1];
    const Entry* longest = nullptr;
    for (size_t depth = 1; low != high; ++depth) {
      if (low->text.size() == depth) longest = low++;
      if (at + depth == text.size()) break;
      const char next = text[at + depth];
      const auto before = [&](const Entry& entry, char c) {
        return static_cast<unsigned char>(entry.text[depth]) < static_cast<unsigned char>(c);
      };
      const auto behind = [&](char c, const Entry& entry) {
        return static_cast<unsigned char>(c) < static_cast<unsigned char>(entry.text[depth]);
      };
      low = std::lower_bound(low, high, next, before);
      high = std::upper_bound(low, high, next, behind);
    }
    if (longest != nullptr) {
      const auto begin = static_cast<int64_t>(at);
      return Match{begin, begin + static_cast<int64_t>(longest->text.size()), longest->id};
    }
  }
  return std::nullopt;
}

}  // namespace regard::text
