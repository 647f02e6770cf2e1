#include "unicode/properties.h"

#include <utf8proc.h>

#include <vector>

#include "unicode/classes.h"

namespace regard::unicode {
namespace {

// The blocks of google-research/bert's tokenization.py, as the `tokenizers` package has them.
// The package's list leaves out U+2B820 to U+2B91F, and so does this one.
bool is_ideograph(char32_t c) noexcept {
  return (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) ||
         (c >= 0xF900 && c <= 0xFAFF) || (c >= 0x20000 && c <= 0x2A6DF) ||
         (c >= 0x2A700 && c <= 0x2B81F) || (c >= 0x2B920 && c <= 0x2CEAF) ||
         (c >= 0x2F800 && c <= 0x2FA1F);
}

bool is_ascii_symbol(char32_t c) noexcept {
  return c == '$' || c == '+' || c == '<' || c == '=' || c == '>' || c == '^' || c == '`' ||
         c == '|' || c == '~';
}

uint8_t flags_of(char32_t c) noexcept {
  uint8_t flags = 0;
  if (class_of(c) == CharClass::space) flags |= kWhiteSpace;
  if (is_ideograph(c)) flags |= kIdeograph;
  if (is_ascii_symbol(c)) flags |= kPunctuation;
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(c))) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CO:
      return flags | kControl;
    case UTF8PROC_CATEGORY_MN:
      return flags | kNonspacing | kMark;
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
      return flags | kMark;
    case UTF8PROC_CATEGORY_PC:
    case UTF8PROC_CATEGORY_PD:
    case UTF8PROC_CATEGORY_PS:
    case UTF8PROC_CATEGORY_PE:
    case UTF8PROC_CATEGORY_PI:
    case UTF8PROC_CATEGORY_PF:
    case UTF8PROC_CATEGORY_PO:
      return flags | kPunctuation;
    default:
      return flags;
  }
}

}  // namespace

const uint8_t* basic_plane_properties() {
  static const std::vector<uint8_t> table = [] {
    std::vector<uint8_t> flags(0x10000);
    for (char32_t c = 0; c < 0x10000; ++c) flags[c] = flags_of(c);
    return flags;
  }();
  return table.data();
}

uint8_t properties_beyond_basic_plane(char32_t c) noexcept { return flags_of(c); }

}  // namespace regard::unicode
