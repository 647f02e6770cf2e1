// The four normal forms of Unicode (Unicode Standard Annex #15), told as edits, so that each
// character that comes out can be traced to the one it came from.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace regard::unicode {

enum class NormalForm { nfd, nfkd, nfc, nfkc };

// One character of the new text, and what it does to those of the old one, read in order.
struct Edit {
  char32_t character;
  int32_t change;  // 1: it is new; 0: it takes the next one's place; -n: and n more go
};

// Canonical_Combining_Class: 0 for a starter, else the order in which marks stand behind it.
int combining_class(char32_t c) noexcept;

// Appends the edits that make `text` its normal form: n log n in the length of a run of marks.
// Requires: well-formed UTF-8.
void append_normal_form(std::string_view text, NormalForm form, std::vector<Edit>& out);

// A text can be cut into parts that are brought into a normal form by themselves: inert_prefix()
// bytes that stay as they are in every form, then joined_prefix() bytes that may change, and so on.
// Each may be 0, but not both unless the text is empty.
size_t inert_prefix(std::string_view text) noexcept;
// Requires: inert_prefix(text) is 0.
size_t joined_prefix(std::string_view text) noexcept;

}  // namespace regard::unicode
