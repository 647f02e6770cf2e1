// What the splitting rules ask about a character: \p{L}, \p{N}, \s, or something else.
#pragma once

#include <cstdint>

namespace regard::unicode {

// space: Unicode White_Space, which is what \s means to the regex engine of the reference.
enum class CharClass : uint8_t { letter, number, space, other };

// Classes of the first 65,536 code points, where nearly all text lies.
const CharClass* basic_plane_classes();

CharClass class_beyond_basic_plane(char32_t c) noexcept;

inline CharClass class_of(char32_t c) {
  return c < 0x10000 ? basic_plane_classes()[c] : class_beyond_basic_plane(c);
}

// \w of regular expressions, Unicode Technical Standard #18, annex C: Alphabetic, marks, Nd, Pc,
// and the two joiners.
bool is_word_character(char32_t c) noexcept;

}  // namespace regard::unicode
