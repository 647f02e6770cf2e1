// Aligned: a text on its way to a model, and where each of its bytes came from.
//
// A normaliser reads the text character by character and writes the next version. What it writes
// comes from the characters it stands for; what it adds comes from where the byte before it came
// from. These are the rules of the `tokenizers` package: ranges are equal to its offsets.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "regard/byte_range.h"
#include "unicode/normal_forms.h"
#include "unicode/utf8.h"

namespace regard::normalise {

enum class Tracking { on, off };

struct Origin {  // a part of the original text, which has less than 2^31 bytes
  uint32_t begin;
  uint32_t end;
  friend bool operator==(const Origin&, const Origin&) = default;
};

struct Aligned {
  Aligned() = default;
  // A part of the original text, beginning at its byte `begin`; nothing is changed yet.
  Aligned(std::string_view part, int64_t begin, Tracking tracking);

  // Throws Error(unreadable) if the next version would have more bytes than it may have.
  void check_growth(size_t bytes) const;

  bool tracked() const noexcept { return tracking == Tracking::on; }
  // Where text[first, last) came from. Requires: tracked, first < last.
  ByteRange origin_of(int64_t first, int64_t last) const noexcept {
    return {origins[static_cast<size_t>(first)].begin, origins[static_cast<size_t>(last) - 1].end};
  }

  std::string text;             // well-formed UTF-8
  std::vector<Origin> origins;  // [bytes of text]; empty unless tracked
  Tracking tracking = Tracking::off;
  // Sixty steps that double a text are a few kilobytes of a file: what they make of it is bounded
  // by its length at first.
  size_t most_bytes = SIZE_MAX;
};

// The longest that real ones make of a character is eighteen of them (NFKC of U+FDFA).
inline constexpr size_t kMostGrowth = 64;
inline constexpr size_t kFreeGrowth = 1024;  // and this much in front

// Puts a prefix before a text that is not empty; it comes from where the first character does.
void put_in_front(Aligned& text, std::string_view prefix);

// What becomes of each ASCII character: another, or kGoes.
using AsciiMap = std::array<uint8_t, 128>;
inline constexpr uint8_t kGoes = 0xFF;

// Reads one version of a text and writes the next.
class Rewriter {
 public:
  explicit Rewriter(Aligned& text);

  bool done() const noexcept { return at_ == end_; }
  std::string_view rest() const noexcept {  // what is not read yet
    return {at_, static_cast<size_t>(end_ - at_)};
  }
  char32_t peek() const noexcept {
    const char* next = at_;
    return unicode::read_character(next);
  }

  void keep(size_t bytes);              // the next bytes as they are: whole characters
  void replace(char32_t c);             // c takes the next character's place
  void insert(char32_t c);              // c is new
  void insert(std::string_view added);  // all of it is new
  void skip(size_t bytes) noexcept { at_ += bytes; }  // the next bytes go: whole characters
  void apply(const unicode::Edit* edits, size_t count);
  // The ASCII up to the next other character, each changed as the table says.
  void map_ascii(const AsciiMap& map);

  // Puts the new version in place; what was not read is gone. insert() and this throw
  // Error(invalid_argument) if it is too long: Aligned::check_growth.
  void finish();

 private:
  Origin origin_before() const noexcept;  // of the byte read last
  void write(char32_t c, Origin origin);

  Aligned& old_;
  Aligned next_;
  const char* begin_;
  const char* at_;
  const char* end_;
};

}  // namespace regard::normalise
