// What strings can be asked: their methods, by Python's names.
#include "values/methods.h"

#include <algorithm>

#include "values/character.h"
#include "values/format.h"
#include "values/operators.h"
#include "values/print.h"

namespace regard::chat {
namespace {

const String& self(const Arguments& arguments) { return *arguments.self.string; }

// An argument that must be text; null where it was not given or is none.
const String* optional_text(const Arguments& all, std::size_t index) {
  const Value& value = all[index];
  if (value.is(Kind::missing) || value.is(Kind::none)) return nullptr;
  defined(all.run, value);
  if (!value.is(Kind::string)) all.run.fail("must be str, not {}", type_name(value));
  return value.string;
}

const String& needed_text(const Arguments& all, std::size_t index) {
  const String* text = optional_text(all, index);
  if (text == nullptr) all.run.fail("must be str, not NoneType");
  return *text;
}

int64_t whole(const Arguments& all, std::size_t index, int64_t other) {
  if (!all.has(index) || all[index].is(Kind::none)) return other;
  defined(all.run, all[index]);
  if (!all[index].is(Kind::integer) && !all[index].is(Kind::boolean)) {
    all.run.fail("'{}' object cannot be interpreted as an integer", type_name(all[index]));
  }
  return as_integer(all[index]);
}

template <Case wanted>
Value cased(const Arguments& all) {
  return with_case(all.run, self(all), wanted);
}

template <Side side>
Value stripped(const Arguments& all) {
  return strip(all.run, self(all), side, optional_text(all, 0));
}

Value list_of(Run& run, std::span<const Value> values) {
  return sequence(run, SequenceKind::list, values);
}

// The words between spaces, at most `most` cuts.
Value split_spaces(Run& run, const String& string, int64_t most) {
  std::vector<Value> parts;
  int64_t at = 0;
  const auto skip = [&](bool spaces) {
    while (at < string.size && is_space(character(string.data + at)) == spaces) {
      at += character_bytes(string.data + at);
    }
  };
  run.step(string.size / 8);
  for (skip(true); at < string.size; skip(true)) {
    run.step();
    const int64_t begin = at;
    if (std::ssize(parts) == most) {
      parts.push_back(part(run, string, begin, string.size));
      break;
    }
    skip(false);
    parts.push_back(part(run, string, begin, at));
  }
  return list_of(run, parts);
}

Value split(const Arguments& all) {
  const String& string = self(all);
  const int64_t given = whole(all, 1, -1);
  const int64_t most = given < 0 ? INT64_MAX : given;
  const String* separator = optional_text(all, 0);
  if (separator == nullptr) return split_spaces(all.run, string, most);
  if (separator->size == 0) all.run.fail("empty separator");
  std::vector<Value> parts;
  int64_t begin = 0;
  while (std::ssize(parts) < most) {
    const int64_t at = find_text(all.run, string.view(), separator->view(), begin);
    if (at < 0) break;
    parts.push_back(part(all.run, string, begin, at));
    begin = at + separator->size;
  }
  parts.push_back(part(all.run, string, begin, string.size));
  return list_of(all.run, parts);
}

Value split_right(const Arguments& all) {
  const String& string = self(all);
  Run& run = all.run;
  const int64_t given = whole(all, 1, -1);
  const int64_t most = given < 0 ? INT64_MAX : given;
  const String* separator = optional_text(all, 0);
  if (separator != nullptr && separator->size == 0) run.fail("empty separator");
  std::vector<Value> parts;  // from the right
  if (separator == nullptr) {
    const auto before = [&](int64_t at) {
      --at;
      while ((static_cast<unsigned char>(string.data[at]) & 0xC0) == 0x80) --at;
      return at;
    };
    run.step(string.size / 8);
    for (int64_t end = string.size; end > 0;) {
      run.step();
      while (end > 0 && is_space(character(string.data + before(end)))) end = before(end);
      if (end == 0) break;
      if (std::ssize(parts) == most) {
        parts.push_back(part(run, string, 0, end));
        break;
      }
      int64_t begin = end;
      while (begin > 0 && !is_space(character(string.data + before(begin)))) begin = before(begin);
      parts.push_back(part(run, string, begin, end));
      end = begin;
    }
  } else {
    // Backwards, so that a cut found once is found for good.
    const std::string_view reversed_view = string.view();
    const std::string backwards(reversed_view.rbegin(), reversed_view.rend());
    const std::string wanted(separator->view().rbegin(), separator->view().rend());
    run.read(2 * string.size);
    int64_t from = 0;
    while (std::ssize(parts) < most) {
      const int64_t at = find_text(run, backwards, wanted, from);
      if (at < 0) break;
      parts.push_back(part(run, string, string.size - at, string.size - from));
      from = at + separator->size;
    }
    parts.push_back(part(run, string, 0, string.size - from));
  }
  std::reverse(parts.begin(), parts.end());
  return list_of(run, parts);
}

}  // namespace

std::vector<Value> lines(Run& run, const String& string, bool keep_ends) {
  std::vector<Value> parts;
  int64_t begin = 0;
  run.step(string.size / 8);
  for (int64_t at = 0; at < string.size;) {
    const char32_t c = character(string.data + at);
    int64_t end = at + character_bytes(string.data + at);
    const bool breaks = (c >= 0x0A && c <= 0x0D) || (c >= 0x1C && c <= 0x1E) || c == 0x85 ||
                        c == 0x2028 || c == 0x2029;
    if (breaks) {
      if (c == '\r' && end < string.size && string.data[end] == '\n') ++end;
      run.step();
      parts.push_back(part(run, string, begin, keep_ends ? end : at));
      begin = end;
    }
    at = end;
  }
  if (begin < string.size) parts.push_back(part(run, string, begin, string.size));
  return parts;
}

Value replaced(Run& run, const String& string, const String& old, const String& with,
               int64_t most) {
  if (most < 0) most = INT64_MAX;
  Text out(run);
  int64_t written = 0;
  if (old.size == 0) {  // between all characters
    for (int64_t at = 0; most > 0; --most) {
      run.step();
      out.add(string, written, at);
      written = at;
      out.add(with);
      if (at >= string.size) break;
      at += character_bytes(string.data + at);
    }
  } else {
    for (; most > 0; --most) {
      const int64_t at = find_text(run, string.view(), old.view(), written);
      if (at < 0) break;
      out.add(string, written, at);
      out.add(with);
      written = at + old.size;
    }
  }
  out.add(string, written, string.size);
  return as_markup(run, *out.finish().string, string.markup);
}

Value joined_text(Run& run, const String& between, std::span<const Value> values) {
  Text out(run);
  for (std::size_t i = 0; i < values.size(); ++i) {
    run.step();
    if (i > 0) out.add(between);
    write(run, values[i], out);
  }
  return out.finish();
}

namespace {

Value split_lines(const Arguments& all) {
  return list_of(all.run, lines(all.run, self(all), all.has(0) && truth(all[0])));
}

Value replace(const Arguments& all) {
  return replaced(all.run, self(all), needed_text(all, 0), needed_text(all, 1), whole(all, 2, -1));
}

Value join(const Arguments& all) {
  const auto values = iterate(all.run, all[0]);
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (!values[i].is(Kind::string)) {
      all.run.fail("sequence item {}: expected str instance, {} found", i, type_name(values[i]));
    }
  }
  return joined_text(all.run, self(all), values);
}

// The part between two characters that find, count, startswith and the like look at.
struct Window {
  int64_t begin;
  int64_t end;  // bytes; end < begin where there is nothing to look at
};
Window window(const Arguments& all) {
  if (!all.has(1) && !all.has(2)) return {0, self(all).size};
  const int64_t size = characters(all.run, self(all));
  const auto clamp = [&](int64_t index) {
    return std::clamp<int64_t>(index < 0 ? index + size : index, 0, size + 1);
  };
  const int64_t from = clamp(whole(all, 1, 0));
  const int64_t to = std::min(clamp(whole(all, 2, size)), size);
  if (from > to) return {1, 0};
  return {byte_of(all.run, self(all), from), byte_of(all.run, self(all), to)};
}

std::string_view inside(const Arguments& all, const Window& part) {
  return self(all).view().substr(static_cast<std::size_t>(part.begin),
                                 static_cast<std::size_t>(part.end - part.begin));
}

template <bool last>
int64_t found(const Arguments& all) {
  const String& wanted = needed_text(all, 0);
  const Window part = window(all);
  if (part.end < part.begin) return -1;
  const std::string_view text = inside(all, part);
  const int64_t at =
      last ? find_last(all.run, text, wanted.view()) : find_text(all.run, text, wanted.view(), 0);
  if (at < 0) return -1;
  if (self(all).ascii) return part.begin + at;
  const Value before = regard::chat::part(all.run, self(all), 0, part.begin + at);
  return characters(all.run, *before.string);
}

template <bool last>
Value find_index(const Arguments& all) {
  return integer(found<last>(all));
}

template <bool last>
Value index(const Arguments& all) {
  const int64_t at = found<last>(all);
  if (at < 0) all.run.fail("substring not found");
  return integer(at);
}

Value count(const Arguments& all) {
  const String& wanted = needed_text(all, 0);
  const Window part = window(all);
  if (part.end < part.begin) return integer(0);
  const std::string_view text = inside(all, part);
  if (wanted.size == 0) {
    return integer(1 + std::count_if(text.begin(), text.end(), [](char c) {
                     return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
                   }));
  }
  int64_t times = 0;
  for (int64_t at = find_text(all.run, text, wanted.view(), 0); at >= 0;
       at = find_text(all.run, text, wanted.view(), at + wanted.size)) {
    ++times;
  }
  return integer(times);
}

template <bool at_end>
Value borders(const Arguments& all) {
  const Window part = window(all);
  const auto matches = [&](const Value& value) {
    if (!value.is(Kind::string)) {
      all.run.fail("{} first arg must be str or a tuple of str, not {}",
                   at_end ? "endswith" : "startswith", type_name(value));
    }
    all.run.read(value.string->size);
    if (part.end < part.begin) return false;
    const std::string_view text = inside(all, part);
    return at_end ? text.ends_with(value.text()) : text.starts_with(value.text());
  };
  defined(all.run, all[0]);
  const Value& wanted = all[0];
  if (!(wanted.is(Kind::sequence) && wanted.sequence->kind == SequenceKind::tuple)) {
    return boolean(matches(wanted));
  }
  for (const Value& one : iterate(all.run, wanted)) {
    all.run.step();
    if (matches(one)) return boolean(true);
  }
  return boolean(false);
}

template <bool at_end>
Value without_border(const Arguments& all) {
  const String& string = self(all);
  const String& border = needed_text(all, 0);
  if (at_end ? !string.view().ends_with(border.view())
             : !string.view().starts_with(border.view())) {
    return all.self;
  }
  return at_end ? part(all.run, string, 0, string.size - border.size)
                : part(all.run, string, border.size, string.size);
}

template <bool last>
Value partition(const Arguments& all) {
  const String& string = self(all);
  const String& border = needed_text(all, 0);
  if (border.size == 0) all.run.fail("empty separator");
  const int64_t at = last ? find_last(all.run, string.view(), border.view())
                          : find_text(all.run, string.view(), border.view(), 0);
  const Value nothing = fixed_text(all.run, "");
  if (at < 0) {
    const Value parts[] = {last ? nothing : all.self, nothing, last ? all.self : nothing};
    return sequence(all.run, SequenceKind::tuple, parts);
  }
  const Value parts[] = {part(all.run, string, 0, at), part(all.run, string, at, at + border.size),
                         part(all.run, string, at + border.size, string.size)};
  return sequence(all.run, SequenceKind::tuple, parts);
}

template <CharacterClass which>
Value all_are(const Arguments& all) {
  const String& string = self(all);
  all.run.step(string.size / 8);
  for (int64_t at = 0; at < string.size; at += character_bytes(string.data + at)) {
    if (!is(character(string.data + at), which)) return boolean(false);
  }
  return boolean(string.size > 0);
}

enum class Justify : uint8_t { left, right, centre, zeros };
template <Justify where>
Value justified(const Arguments& all) {
  const String& string = self(all);
  const int64_t gap = whole(all, 0, 0) - characters(all.run, string);
  if (gap <= 0) return all.self;
  std::string_view fill = where == Justify::zeros ? "0" : " ";
  if (where != Justify::zeros && all.has(1)) {
    fill = needed_text(all, 1).view();
    if (characters(all.run, needed_text(all, 1)) != 1) {
      all.run.fail("The fill character must be exactly one character long");
    }
  }
  all.run.room(gap > INT64_MAX / 4 ? INT64_MAX : gap * std::ssize(fill));
  all.run.step(gap / 8);
  int64_t left = 0;
  int64_t sign = 0;
  if (where == Justify::right || where == Justify::zeros) left = gap;
  if (where == Justify::zeros && (string.view().starts_with('-') || string.view().starts_with('+')))
    sign = 1;
  // Python puts the odd one to the left of an even width and to the right of an odd one.
  if (where == Justify::centre) left = gap / 2 + (gap & whole(all, 0, 0) & 1);
  Text out(all.run);
  out.add(string, 0, sign);
  for (int64_t i = 0; i < left; ++i) out.add(fill);
  out.add(string, sign, string.size);
  for (int64_t i = left; i < gap; ++i) out.add(fill);
  return out.finish();
}

template <bool (*wanted)(char32_t), bool (*other)(char32_t)>
Value all_cased(const Arguments& all) {
  return boolean(all_of_case(all.run, self(all), wanted, other));
}

Value is_ascii(const Arguments& all) { return boolean(self(all).ascii); }
Value is_title(const Arguments& all) {
  const Value title = with_case(all.run, self(all), Case::title);
  const String& string = self(all);
  bool any = false;
  for (int64_t at = 0; at < string.size; at += character_bytes(string.data + at)) {
    any |= is_cased(character(string.data + at));
  }
  return boolean(any && title.text() == string.view());
}

Value expand_tabs(const Arguments& all) {
  const String& string = self(all);
  const int64_t width = whole(all, 0, 8);
  Text out(all.run);
  int64_t column = 0;
  for (int64_t at = 0; at < string.size;) {
    const int64_t end = at + character_bytes(string.data + at);
    const char c = string.data[at];
    all.run.step();
    if (c == '\t') {
      const int64_t gap = width > 0 ? width - column % width : 0;
      all.run.room(gap);
      all.run.step(gap / 8);
      for (int64_t i = 0; i < gap; ++i) out.add(" ", any_user(string, at, end));
      column += gap;
    } else {
      out.add(string, at, end);
      column = c == '\n' || c == '\r' ? 0 : column + 1;
    }
    at = end;
  }
  return out.finish();
}

Value format_method(const Arguments& all) { return format_braces(all.run, self(all), all.call); }

constexpr Builtin kStringMethods[] = {
    {"strip", stripped<Side::both>, "chars"},
    {"split", split, "sep maxsplit"},
    {"startswith", borders<false>, "prefix start end", 1},
    {"endswith", borders<true>, "suffix start end", 1},
    {"replace", replace, "old new count", 2},
    {"lstrip", stripped<Side::left>, "chars"},
    {"rstrip", stripped<Side::right>, "chars"},
    {"rsplit", split_right, "sep maxsplit"},
    {"splitlines", split_lines, "keepends"},
    {"join", join, "iterable", 1},
    {"format", format_method, "*"},
    {"upper", cased<Case::upper>},
    {"lower", cased<Case::lower>},
    {"casefold", cased<Case::lower>},
    {"title", cased<Case::title>},
    {"capitalize", cased<Case::capitalised>},
    {"swapcase", cased<Case::swapped>},
    {"find", find_index<false>, "sub start end", 1},
    {"rfind", find_index<true>, "sub start end", 1},
    {"index", index<false>, "sub start end", 1},
    {"rindex", index<true>, "sub start end", 1},
    {"count", count, "sub start end", 1},
    {"partition", partition<false>, "sep", 1},
    {"rpartition", partition<true>, "sep", 1},
    {"removeprefix", without_border<false>, "prefix", 1},
    {"removesuffix", without_border<true>, "suffix", 1},
    {"ljust", justified<Justify::left>, "width fillchar", 1},
    {"rjust", justified<Justify::right>, "width fillchar", 1},
    {"center", justified<Justify::centre>, "width fillchar", 1},
    {"zfill", justified<Justify::zeros>, "width", 1},
    {"expandtabs", expand_tabs, "tabsize"},
    {"isalpha", all_are<CharacterClass::alphabetic>},
    {"isdigit", all_are<CharacterClass::digit>},
    {"isdecimal", all_are<CharacterClass::decimal>},
    {"isnumeric", all_are<CharacterClass::numeric>},
    {"isalnum", all_are<CharacterClass::alphanumeric>},
    {"isspace", all_are<CharacterClass::space>},
    {"isupper", all_cased<is_upper, is_lower>},
    {"islower", all_cased<is_lower, is_upper>},
    {"istitle", is_title},
    {"isascii", is_ascii},
};

}  // namespace

bool all_of_case(Run& run, const String& string, bool (*wanted)(char32_t),
                 bool (*other)(char32_t)) {
  bool any = false;
  run.step(string.size / 8);
  for (int64_t at = 0; at < string.size; at += character_bytes(string.data + at)) {
    const char32_t code = character(string.data + at);
    if (other(code)) return false;
    any |= wanted(code);
  }
  return any;
}

std::span<const Builtin> string_methods() noexcept { return kStringMethods; }

}  // namespace regard::chat
