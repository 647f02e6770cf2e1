// Lower case of one character by itself, as Rust's char::to_lowercase: no context, no language.
#pragma once

#include <utf8proc.h>

namespace regard::normalise {

// U+0130 is the one character whose lower case is two: i and a dot above.
inline constexpr char32_t kDottedI = 0x0130;
inline constexpr char32_t kDotAbove = 0x0307;

inline char32_t lower(char32_t c) noexcept {
  if (c < 0x80) return c >= 'A' && c <= 'Z' ? c + 32 : c;
  if (c == kDottedI) return U'i';  // kDotAbove follows
  return static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c)));
}

}  // namespace regard::normalise
