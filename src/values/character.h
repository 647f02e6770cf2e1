// Characters and their cases, as Python's str methods see them.
#pragma once

#include "values/text.h"

namespace regard::chat {

enum class CharacterClass : uint8_t { alphabetic, decimal, digit, numeric, alphanumeric, space };
bool is(char32_t code, CharacterClass which) noexcept;
bool is_cased(char32_t code) noexcept;
bool is_upper(char32_t code) noexcept;
bool is_lower(char32_t code) noexcept;
bool is_word(char32_t code) noexcept;      // \w
bool begins_name(char32_t code) noexcept;  // an identifier
bool continues_name(char32_t code) noexcept;

enum class Case : uint8_t { upper, lower, capitalised, title, swapped };
// capitalised: the first character as in a title, the others lower. title: so for each word, a word
// being a run of cased characters.
Value with_case(Run& run, const String& string, Case wanted);
// The title filter of Jinja: words are what stands between spaces and ( { [ < -.
Value title_words(Run& run, const String& string);

}  // namespace regard::chat
