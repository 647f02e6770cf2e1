// SpecialTokens: finds tokens that are taken from the text as they stand, before it is cut.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "regard/byte_range.h"

namespace regard::text {

struct SpecialToken {
  std::string text;
  int32_t id;
  bool control = false;      // not found where text is plain
  bool single_word = false;  // only where no word character stands beside it
  bool takes_left = false;   // the white space before it belongs to it
  bool takes_right = false;
};

class SpecialTokens {
 public:
  // Longer ones are refused: they bound the work for each byte of a text.
  static constexpr size_t kLongest = 1024;

  // Texts that are empty or not UTF-8 can stand in no text and are left out.
  // Throws Error(unreadable) for one longer than kLongest bytes.
  void add(SpecialToken token);
  void finish();  // call after the last add, before the first find

  bool empty() const noexcept { return entries_.empty(); }

  // A token, or a stretch without any: id -1.
  struct Piece {
    int64_t begin;
    int64_t end;
    int32_t id;
  };
  // Cuts a text: the leftmost token first, of those at one place the longest. is_plain(begin, end)
  // says whether that part of the text names no control token.
  template <class IsPlain, class Use>
  void cut(std::string_view text, IsPlain&& is_plain, Use&& use) const {
    int64_t done = 0;  // what is used already
    for (int64_t from = 0; const SpecialToken* token = next(text, from, is_plain);) {
      Piece piece{from, from + static_cast<int64_t>(token->text.size()), token->id};
      from = piece.end;
      if (token->single_word && is_inside_word(text, piece)) continue;
      if (token->takes_left) piece.begin = spaces_before(text, piece.begin, done);
      if (token->takes_right) piece.end = spaces_behind(text, piece.end);
      if (done < piece.begin) use(Piece{done, piece.begin, -1});
      use(piece);
      done = piece.end;
    }
    const auto size = static_cast<int64_t>(text.size());
    if (done < size) use(Piece{done, size, -1});
  }

 private:
  // The first one at or behind `from`, which is moved to it.
  template <class IsPlain>
  const SpecialToken* next(std::string_view text, int64_t& from, IsPlain&& is_plain) const {
    for (; (from = candidate(text, from)) >= 0; ++from) {
      const SpecialToken* longest = nullptr;
      find_at(text, from, [&](const SpecialToken& token) {
        if (!token.control || !is_plain(from, from + static_cast<int64_t>(token.text.size())))
          longest = &token;
      });
      if (longest != nullptr) return longest;
    }
    return nullptr;
  }

  // The next byte that some token begins with, or -1.
  int64_t candidate(std::string_view text, int64_t from) const noexcept;
  // Those that begin there, the shortest first.
  template <class Use>
  void find_at(std::string_view text, int64_t from, Use&& use) const;
  void narrow(const SpecialToken*& low, const SpecialToken*& high, size_t depth,
              char next) const noexcept;

  static bool is_inside_word(std::string_view text, const Piece& piece) noexcept;
  static int64_t spaces_before(std::string_view text, int64_t end, int64_t least) noexcept;
  static int64_t spaces_behind(std::string_view text, int64_t begin) noexcept;

  std::vector<SpecialToken> entries_;  // sorted by text
  // entries_[first_[b]] up to entries_[first_[b + 1]] begin with byte b.
  std::vector<int32_t> first_ = std::vector<int32_t>(257);
};

// The entries that agree with the text so far are a range that shrinks with each byte; one that
// ends here is the first of it, because a prefix sorts before what continues it.
template <class Use>
void SpecialTokens::find_at(std::string_view text, int64_t from, Use&& use) const {
  const auto at = static_cast<size_t>(from);
  const auto byte = static_cast<unsigned char>(text[at]);
  const SpecialToken* low = entries_.data() + first_[byte];
  const SpecialToken* high = entries_.data() + first_[byte + 1];
  for (size_t depth = 1; low != high; ++depth) {
    while (low != high && low->text.size() == depth) use(*low++);
    if (at + depth == text.size()) break;
    narrow(low, high, depth, text[at + depth]);
  }
}

}  // namespace regard::text
