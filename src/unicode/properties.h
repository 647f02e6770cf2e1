// What normalisers and BERT's splitting ask about a character, beyond its class: one byte of flags.
#pragma once

#include <cstdint>

namespace regard::unicode {

enum Property : uint8_t {
  kWhiteSpace = 1,    // White_Space of PropList.txt
  kControl = 2,       // Cc, Cf, Co: controls, formats, private use
  kNonspacing = 4,    // Mn
  kMark = 8,          // Mn, Mc, Me
  kPunctuation = 16,  // Pc, Pd, Ps, Pe, Pi, Pf, Po, and the ASCII symbols $+<=>^`|~
  kIdeograph = 32,    // the CJK blocks that BERT sets apart, character by character
};

// The flags of the first 65,536 code points, where nearly all text lies.
const uint8_t* basic_plane_properties();

uint8_t properties_beyond_basic_plane(char32_t c) noexcept;

inline uint8_t properties(char32_t c) {
  return c < 0x10000 ? basic_plane_properties()[c] : properties_beyond_basic_plane(c);
}

}  // namespace regard::unicode
