#include "values/character.h"

#include <utf8proc.h>

namespace regard::chat {
namespace {

utf8proc_category_t category(char32_t code) noexcept {
  return utf8proc_category(static_cast<utf8proc_int32_t>(code));
}

bool is_letter(char32_t code) noexcept {
  const auto which = category(code);
  return which >= UTF8PROC_CATEGORY_LU && which <= UTF8PROC_CATEGORY_LO;
}

// Digits that are not decimal: superscripts, subscripts, circled ones and their kin.
bool is_other_digit(char32_t c) noexcept {
  constexpr char32_t kRanges[][2] = {
      {0xB2, 0xB3},       {0xB9, 0xB9},       {0x1369, 0x1371},   {0x19DA, 0x19DA},
      {0x2070, 0x2070},   {0x2074, 0x2079},   {0x2080, 0x2089},   {0x2460, 0x2468},
      {0x2474, 0x247C},   {0x2488, 0x2490},   {0x24EA, 0x24EA},   {0x24F5, 0x24FD},
      {0x24FF, 0x24FF},   {0x2776, 0x277E},   {0x2780, 0x2788},   {0x278A, 0x2792},
      {0x10A40, 0x10A43}, {0x10E60, 0x10E68}, {0x11052, 0x1105A}, {0x1F100, 0x1F10A}};
  for (const auto& range : kRanges) {
    if (c >= range[0] && c <= range[1]) return true;
  }
  return false;
}

// Several characters become one capital's place: full case folding knows them, "ß" as "ss".
struct Folded {
  utf8proc_int32_t codes[4];
  utf8proc_ssize_t count;
};
Folded fold(char32_t code) noexcept {
  Folded all{};
  int last_class = 0;
  all.count =
      utf8proc_decompose_char(static_cast<utf8proc_int32_t>(code), all.codes, 4,
                              static_cast<utf8proc_option_t>(UTF8PROC_CASEFOLD), &last_class);
  return all;
}

void add_raised(Text& out, char32_t code, bool title, bool user) {
  if (code < 0x80) {
    return out.add(code >= 'a' && code <= 'z' ? code - 32 : code, user);
  }
  const auto simple = static_cast<utf8proc_int32_t>(code);
  const Folded folded = fold(code);
  if (folded.count > 1 && folded.count <= 4 && category(code) != UTF8PROC_CATEGORY_LU) {
    bool raise = true;  // of a title, the first that can be
    for (int i = 0; i < folded.count; ++i) {
      const auto raised = utf8proc_toupper(folded.codes[i]);
      out.add(static_cast<char32_t>(raise ? raised : folded.codes[i]), user);
      if (title && raised != folded.codes[i]) raise = false;
    }
    return;
  }
  out.add(static_cast<char32_t>(title ? utf8proc_totitle(simple) : utf8proc_toupper(simple)), user);
}

// Marks that stand between letters without parting them.
bool is_ignored_for_case(char32_t code) noexcept {
  switch (category(code)) {
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_SK:
      return true;
    default:
      return code == '\'' || code == '.' || code == ':' || code == 0xB7 || code == 0x2019;
  }
}

// Σ is ς at the end of a word.
bool ends_word(const String& string, int64_t at) noexcept {
  bool before = false;
  for (int64_t i = at; i > 0;) {
    --i;
    while ((static_cast<unsigned char>(string.data[i]) & 0xC0) == 0x80) --i;
    const char32_t code = character(string.data + i);
    if (is_ignored_for_case(code)) continue;
    before = is_cased(code);
    break;
  }
  for (int64_t i = at + 2; i < string.size; i += character_bytes(string.data + i)) {
    const char32_t code = character(string.data + i);
    if (is_ignored_for_case(code)) continue;
    return before && !is_cased(code);
  }
  return before;
}

void add_lowered(Text& out, const String& string, int64_t at, char32_t code, bool user) {
  if (code < 0x80) {
    out.add(code >= 'A' && code <= 'Z' ? code + 32 : code, user);
  } else if (code == 0x130) {  // İ: the one with two
    out.add(char32_t{'i'}, user);
    out.add(char32_t{0x307}, user);
  } else if (code == 0x3A3) {
    out.add(char32_t{ends_word(string, at) ? char32_t{0x3C2} : char32_t{0x3C3}}, user);
  } else {
    out.add(static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(code))), user);
  }
}

// turn(code, at, user) for each character.
template <class Turn>
void each(Run& run, const String& string, const Turn& turn) {
  run.step(string.size / 4);
  for (int64_t at = 0; at < string.size;) {
    const int64_t end = at + character_bytes(string.data + at);
    turn(character(string.data + at), at, !string.user.empty() && any_user(string, at, end));
    at = end;
  }
}

}  // namespace

bool is(char32_t code, CharacterClass which) noexcept {
  switch (which) {
    case CharacterClass::alphabetic:
      return is_letter(code);
    case CharacterClass::decimal:
      return category(code) == UTF8PROC_CATEGORY_ND;
    case CharacterClass::digit:
      return category(code) == UTF8PROC_CATEGORY_ND || is_other_digit(code);
    case CharacterClass::numeric:
      return category(code) >= UTF8PROC_CATEGORY_ND && category(code) <= UTF8PROC_CATEGORY_NO;
    case CharacterClass::alphanumeric:
      return is_letter(code) || is(code, CharacterClass::numeric);
    case CharacterClass::space:
      return is_space(code);
  }
  return false;
}

bool is_upper(char32_t code) noexcept { return category(code) == UTF8PROC_CATEGORY_LU; }
bool is_lower(char32_t code) noexcept { return category(code) == UTF8PROC_CATEGORY_LL; }
bool is_cased(char32_t code) noexcept {
  const auto which = category(code);
  return which >= UTF8PROC_CATEGORY_LU && which <= UTF8PROC_CATEGORY_LT;
}
bool is_word(char32_t code) noexcept {
  return code == '_' || is(code, CharacterClass::alphanumeric);
}
bool begins_name(char32_t code) noexcept {
  return code == '_' || is_letter(code) || category(code) == UTF8PROC_CATEGORY_NL;
}
bool continues_name(char32_t code) noexcept {
  switch (category(code)) {
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_PC:
      return true;
    default:
      return begins_name(code);
  }
}

Value with_case(Run& run, const String& string, Case wanted) {
  Text out(run);
  bool in_word = false;
  each(run, string, [&](char32_t code, int64_t at, bool user) {
    switch (wanted) {
      case Case::upper:
        return add_raised(out, code, false, user);
      case Case::lower:
        return add_lowered(out, string, at, code, user);
      case Case::capitalised:
        return at == 0 ? add_raised(out, code, true, user)
                       : add_lowered(out, string, at, code, user);
      case Case::swapped:
        return is_upper(code) ? add_lowered(out, string, at, code, user)
                              : add_raised(out, code, false, user);
      case Case::title:
        break;
    }
    if (in_word) {
      add_lowered(out, string, at, code, user);
    } else {
      add_raised(out, code, true, user);
    }
    in_word = is_cased(code);
  });
  return out.finish();
}

Value title_words(Run& run, const String& string) {
  Text out(run);
  bool in_word = false;
  each(run, string, [&](char32_t code, int64_t at, bool user) {
    const bool parts =
        is_space(code) || code == '-' || code == '(' || code == '{' || code == '[' || code == '<';
    if (parts || in_word) {
      add_lowered(out, string, at, code, user);
    } else {
      add_raised(out, code, false, user);
    }
    in_word = !parts;
  });
  return out.finish();
}

}  // namespace regard::chat
