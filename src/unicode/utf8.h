// UTF-8 read defensively: where a text is well formed, and what takes the place of bytes that are
// not.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace regard::unicode {

// The character at the start of some bytes. broken: `length` bytes that no character begins with,
// the "maximal subpart" of The Unicode Standard, section 3.9, which one U+FFFD replaces.
// cut: all the bytes there are, and more could make them a character.
struct Utf8Step {
  enum class Kind { character, broken, cut } kind;
  int length;
};

// Requires: bytes is not empty.
Utf8Step utf8_step(std::string_view bytes) noexcept;

// Length of the ASCII at the start of bytes.
size_t ascii_prefix(std::string_view bytes) noexcept;

// Offset of the first byte that is not part of a well-formed character, or -1.
int64_t first_invalid_utf8(std::string_view bytes) noexcept;

// Reads one character and moves `at` behind it. Requires: well-formed UTF-8.
inline char32_t read_character(const char*& at) noexcept {
  const auto byte = [&](int i) { return static_cast<char32_t>(static_cast<unsigned char>(at[i])); };
  const char32_t first = byte(0);
  if (first < 0x80) return at += 1, first;
  if (first < 0xE0) {
    const char32_t c = (first & 0x1F) << 6 | (byte(1) & 0x3F);
    return at += 2, c;
  }
  if (first < 0xF0) {
    const char32_t c = (first & 0x0F) << 12 | (byte(1) & 0x3F) << 6 | (byte(2) & 0x3F);
    return at += 3, c;
  }
  const char32_t c =
      (first & 0x07) << 18 | (byte(1) & 0x3F) << 12 | (byte(2) & 0x3F) << 6 | (byte(3) & 0x3F);
  return at += 4, c;
}

constexpr size_t utf8_length(char32_t c) noexcept {
  return c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
}

// Appends the character in UTF-8. Requires: a code point that is not a surrogate.
void append_character(char32_t c, std::string& out);

// Appends bytes to out, each maximal broken subpart as U+FFFD, as Python's
// bytes.decode(errors="replace") does. Returns the length of a cut character at the end, which is
// not appended: 0 to 3 bytes that more bytes could complete.
int append_well_formed(std::string_view bytes, std::string& out);

inline constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

}  // namespace regard::unicode
