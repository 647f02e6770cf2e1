#include "parts/ends.h"

#include <algorithm>

#include "unicode/classes.h"
#include "unicode/utf8.h"

namespace regard::parts {
namespace {

bool is_space(char32_t c) {
  constexpr char32_t kSpaceOfAlphabet = 0x120;  // GPT-2's alphabet writes a space so
  return c == kSpaceOfAlphabet || unicode::class_of(c) == unicode::CharClass::space;
}

struct Spaces {
  int64_t leading = 0, trailing = 0;
};

Spaces count_spaces(std::string_view text) {
  Spaces spaces;
  bool only = true;
  const char* at = text.data();
  for (const char* const end = at + text.size(); at != end;) {
    const bool space = is_space(unicode::read_character(at));
    only = only && space;
    spaces.leading += only;
    spaces.trailing = space ? spaces.trailing + 1 : 0;
  }
  return spaces;
}

bool is_inside(std::string_view text, int64_t at) {  // a character
  return at < static_cast<int64_t>(text.size()) &&
         (static_cast<unsigned char>(text[static_cast<size_t>(at)]) & 0xC0) == 0x80;
}

}  // namespace

void trim_ranges(const Ends& ends, const subwords::Vocabulary& vocabulary, std::string_view text,
                 const std::vector<int32_t>& ids, std::vector<ByteRange>& ranges) {
  if (!ends.trims) return;
  for (size_t i = 0; i < ids.size(); ++i) {
    ByteRange& range = ranges[i];
    const bool is_added = vocabulary.type(ids[i]) != TokenType::normal;
    const std::string_view token = is_added
                                       ? text.substr(static_cast<size_t>(range.begin),
                                                     static_cast<size_t>(range.end - range.begin))
                                       : vocabulary.text(ids[i]);
    if (unicode::first_invalid_utf8(token) >= 0) continue;
    Spaces spaces = count_spaces(token);
    const bool first = i == 0 || range.begin == 0;
    if (first && ends.keeps_first_space && spaces.leading == 1) spaces.leading = 0;
    for (; spaces.leading > 0 && range.begin < range.end; --spaces.leading) do {
        ++range.begin;
      } while (is_inside(text, range.begin));
    for (; spaces.trailing > 0 && range.begin < range.end; --spaces.trailing) do {
        --range.end;
      } while (is_inside(text, range.end));
  }
}

}  // namespace regard::parts
