#include "unicode/normal_forms.h"

#include <utf8proc.h>

#include <algorithm>

#include "unicode/utf8.h"

namespace regard::unicode {

int combining_class(char32_t c) noexcept {
  return c < 0x80 ? 0 : utf8proc_get_property(static_cast<utf8proc_int32_t>(c))->combining_class;
}

namespace {

// The longest decomposition has 18 characters: U+FDFA.
constexpr int kLongest = 32;

// Writes the full decomposition and gives its length.
int decompose(char32_t c, bool compatible, char32_t (&out)[kLongest]) noexcept {
  utf8proc_int32_t found[kLongest];
  int boundary = 0;
  const int options = UTF8PROC_DECOMPOSE | (compatible ? UTF8PROC_COMPAT : 0);
  const auto count = utf8proc_decompose_char(static_cast<utf8proc_int32_t>(c), found, kLongest,
                                             static_cast<utf8proc_option_t>(options), &boundary);
  if (count <= 0 || count > kLongest) return out[0] = c, 1;
  std::copy(found, found + count, out);
  return static_cast<int>(count);
}

// The character that the two make, or 0.
char32_t compose(char32_t first, char32_t second) noexcept {
  if (first < 0x80 && second < 0x80) return 0;
  utf8proc_int32_t both[] = {static_cast<utf8proc_int32_t>(first),
                             static_cast<utf8proc_int32_t>(second)};
  const auto length = utf8proc_normalize_utf32(
      both, 2, static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
  return length == 1 ? static_cast<char32_t>(both[0]) : 0;
}

// Marks between two starters in the order of their classes. Requires: the starters are in order.
void sort_marks(std::vector<Edit>& edits, size_t from) {
  const auto is_mark = [](const Edit& edit) { return combining_class(edit.character) != 0; };
  auto at = edits.begin() + static_cast<std::ptrdiff_t>(from);
  while ((at = std::find_if(at, edits.end(), is_mark)) != edits.end()) {
    const auto end = std::find_if_not(at, edits.end(), is_mark);
    if (end - at > 1)
      std::stable_sort(at, end, [](const Edit& a, const Edit& b) {
        return combining_class(a.character) < combining_class(b.character);
      });
    at = end;
  }
}

// Joins each starter with what follows it, where nothing between them stands in the way.
void compose_all(std::vector<Edit>& edits, size_t from) {
  constexpr int kNone = -1;
  size_t kept = from, starter = SIZE_MAX;
  int last = kNone;  // class of the mark kept last behind the starter
  for (size_t i = from; i < edits.size(); ++i) {
    const Edit edit = edits[i];
    const int mark = combining_class(edit.character);
    if (starter != SIZE_MAX && last < mark) {
      if (const char32_t joined = compose(edits[starter].character, edit.character)) {
        edits[starter] = {joined, edits[starter].change + edit.change - 1};
        continue;
      }
    }
    if (mark == 0) {
      starter = kept;
      last = kNone;
    } else if (starter != SIZE_MAX) {
      last = mark;
    }
    edits[kept++] = edit;
  }
  edits.resize(kept);
}

}  // namespace

void append_normal_form(std::string_view text, NormalForm form, std::vector<Edit>& out) {
  const bool compatible = form == NormalForm::nfkd || form == NormalForm::nfkc;
  const size_t from = out.size();
  const char* at = text.data();
  const char* const end = at + text.size();
  char32_t parts[kLongest];
  while (at != end) {
    const char32_t c = read_character(at);
    if (c < 0x80) {
      out.push_back({c, 0});
      continue;
    }
    const int count = decompose(c, compatible, parts);
    for (int i = 0; i < count; ++i) out.push_back({parts[i], i == 0 ? 0 : 1});
  }
  sort_marks(out, from);
  if (form == NormalForm::nfc || form == NormalForm::nfkc) compose_all(out, from);
}

// ASCII never changes and never joins with what stands before it; its last character may join with
// the marks that follow.
size_t inert_prefix(std::string_view text) noexcept {
  const size_t run = ascii_prefix(text);
  return run == text.size() || run == 0 ? run : run - 1;
}

size_t joined_prefix(std::string_view text) noexcept {
  if (text.empty()) return 0;
  size_t end = 1;
  while (end < text.size() && static_cast<unsigned char>(text[end]) >= 0x80) ++end;
  return end;
}

}  // namespace regard::unicode
