#include "chat/lexer.h"

#include <algorithm>
#include <charconv>

#include "base/check.h"
#include "values/character.h"

namespace regard::chat {
namespace {

constexpr std::string_view kSigns[] = {"//", "**", "==", "!=", ">=", "<=", "+", "-", "/",
                                       "*",  "%",  "~",  "[",  "]",  "(",  ")", "{", "}",
                                       ">",  "<",  "=",  ".",  ":",  "|",  ",", ";"};

bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }

class Lexer {
 public:
  Lexer(std::string_view source, std::string_view name, int64_t deepest)
      : source_(source), name_(name), deepest_(deepest) {}

  std::vector<Token> run() {
    while (at_ < source_.size()) root();
    add(Token::Kind::end, at_, at_);
    return std::move(tokens_);
  }

 private:
  using Kind = Token::Kind;

  [[noreturn]] void fail(std::string_view message) { fail_syntax(name_, line_, message); }

  char peek(std::size_t at) const noexcept { return at < source_.size() ? source_[at] : '\0'; }
  bool sees(std::string_view word) const noexcept { return source_.substr(at_).starts_with(word); }

  // Lines are counted as they are passed.
  void move(std::size_t to) {
    line_ += static_cast<int>(std::count(source_.begin() + static_cast<std::ptrdiff_t>(at_),
                                         source_.begin() + static_cast<std::ptrdiff_t>(to), '\n'));
    at_ = to;
  }

  void add(Kind kind, std::size_t begin, std::size_t end) {
    tokens_.push_back({.kind = kind, .line = line_, .text = source_.substr(begin, end - begin)});
  }

  std::size_t behind_spaces(std::size_t at) const {
    while (at < source_.size() && is_space(character(source_.data() + at))) {
      at += static_cast<std::size_t>(character_bytes(source_.data() + at));
    }
    return at;
  }

  // The text up to the next tag, and the tag.
  void root() {
    std::size_t tag = at_;
    while (tag < source_.size() &&
           !(source_[tag] == '{' &&
             (peek(tag + 1) == '%' || peek(tag + 1) == '{' || peek(tag + 1) == '#'))) {
      ++tag;
    }
    if (tag == source_.size()) return data(source_.size(), '+', false);
    const char kind = source_[tag + 1];
    const char sign = peek(tag + 2);
    const bool signs = sign == '-' || sign == '+';
    data(tag, signs ? sign : '\0', kind != '{');
    const std::size_t inside = tag + 2 + (signs ? 1 : 0);
    if (kind == '#') return comment(inside);
    if (kind == '%' && raw(inside)) return;
    add(kind == '{' ? Kind::variable_begin : Kind::block_begin, tag, inside);
    move(inside);
    line_starts_ = false;
    if (kind == '{') {
      inside_tag("}}", Kind::variable_end);
    } else {
      inside_tag("%}", Kind::block_end);
    }
  }

  // Text before a tag, without the spaces that the tag takes away.
  void data(std::size_t end, char sign, bool strips) {
    std::size_t kept = end;
    if (sign == '-') {
      while (kept > at_) {
        std::size_t last = kept - 1;
        while ((static_cast<unsigned char>(source_[last]) & 0xC0) == 0x80) --last;
        if (!is_space(character(source_.data() + last))) break;
        kept = last;
      }
    } else if (sign != '+' && strips) {
      const std::size_t newline = source_.substr(at_, end - at_).rfind('\n');
      const bool in_text = newline != std::string_view::npos;
      const std::size_t line = in_text ? at_ + newline + 1 : at_;
      if ((in_text || line_starts_) && line < end && behind_spaces(line) >= end) kept = line;
    }
    if (kept > at_) add(Kind::data, at_, kept);
    move(end);
  }

  void comment(std::size_t inside) {
    const std::size_t end = source_.find("#}", inside);
    if (end == std::string_view::npos) fail("Missing end of comment tag");
    finish_tag(end > inside ? source_[end - 1] : '\0', end + 2, true);
  }

  // Behind "#}" or "%}": what follows the tag and goes with it.
  void finish_tag(char sign, std::size_t end, bool trims) {
    if (sign == '-') {
      end = behind_spaces(end);
    } else if (sign != '+' && trims && peek(end) == '\n') {
      ++end;
    }
    line_starts_ = source_[end - 1] == '\n';
    move(end);
  }

  // {% raw %} ... {% endraw %}: all of it is text.
  bool raw(std::size_t inside) {
    std::size_t at = behind_spaces(inside);
    if (!source_.substr(at).starts_with("raw")) return false;
    at = behind_spaces(at + 3);
    const bool minus = peek(at) == '-';
    if (!source_.substr(at + (minus ? 1 : 0)).starts_with("%}")) return false;
    finish_tag(minus ? '-' : '\0', at + (minus ? 3 : 2), false);
    for (std::size_t tag = source_.find("{%", at_); tag != std::string_view::npos;
         tag = source_.find("{%", tag + 2)) {
      const char sign = peek(tag + 2);
      const bool signs = sign == '-' || sign == '+';
      std::size_t word = behind_spaces(tag + 2 + (signs ? 1 : 0));
      if (!source_.substr(word).starts_with("endraw")) continue;
      word = behind_spaces(word + 6);
      const char last = peek(word);
      const bool ends = last == '-' || last == '+';
      if (!source_.substr(word + (ends ? 1 : 0)).starts_with("%}")) continue;
      data(tag, signs ? sign : '\0', true);
      finish_tag(ends ? last : '\0', word + (ends ? 3 : 2), true);
      return true;
    }
    fail("Missing end of raw directive");
  }

  void inside_tag(std::string_view close, Kind kind) {
    std::string open;  // the brackets that wait for their end
    while (true) {
      move(behind_spaces(at_));
      if (at_ >= source_.size()) fail("the template ends inside a tag");
      if (open.empty()) {
        const char sign = source_[at_];
        const bool signs = sign == '-' || (sign == '+' && close == "%}");
        if (source_.substr(at_ + (signs ? 1 : 0)).starts_with(close)) {
          add(kind, at_, at_);
          return finish_tag(signs ? sign : '\0', at_ + (signs ? 3 : 2), close == "%}");
        }
      }
      if (is_digit(source_[at_])) {
        number();
      } else if (source_[at_] == '\'' || source_[at_] == '"') {
        string();
      } else if (is_word(character(source_.data() + at_))) {
        word();
      } else {
        sign(open);
      }
    }
  }

  void sign(std::string& open) {
    const auto* found = std::find_if(std::begin(kSigns), std::end(kSigns),
                                     [&](std::string_view one) { return sees(one); });
    if (found == std::end(kSigns)) {
      const auto bytes = static_cast<std::size_t>(character_bytes(source_.data() + at_));
      fail(fmt::format("unexpected char '{}'", shown(source_.substr(at_, bytes))));
    }
    const char c = (*found)[0];
    if (c == '(' || c == '[' || c == '{') {
      open += c == '(' ? ')' : c == '[' ? ']' : '}';
      if (std::ssize(open) > deepest_) fail(fmt::format("nested deeper than {} levels", deepest_));
    } else if (c == ')' || c == ']' || c == '}') {
      if (open.empty()) fail(fmt::format("unexpected '{}'", c));
      if (open.back() != c) fail(fmt::format("unexpected '{}', expected '{}'", c, open.back()));
      open.pop_back();
    }
    add(Kind::sign, at_, at_ + found->size());
    move(at_ + found->size());
  }

  void word() {
    std::size_t end = at_;
    if (!begins_name(character(source_.data() + at_))) fail("Invalid character in identifier");
    while (end < source_.size() && continues_name(character(source_.data() + end))) {
      end += static_cast<std::size_t>(character_bytes(source_.data() + end));
    }
    add(Kind::name, at_, end);
    move(end);
  }

  // Digits, single underscores between them; returns where they end.
  std::size_t digits(std::size_t at, std::string_view allowed = "0123456789") const {
    const auto fits = [&](std::size_t i) {
      return i < source_.size() && allowed.find(source_[i]) != std::string_view::npos;
    };
    while (fits(at) || (peek(at) == '_' && fits(at + 1))) ++at;
    return at;
  }

  void number() {
    std::size_t end = digits(at_);
    bool fraction = false;
    if (at_ == 0 || source_[at_ - 1] != '.') {  // x.0.1 are two subscripts
      std::size_t point = end;
      if (peek(end) == '.' && is_digit(peek(end + 1))) {
        point = digits(end + 1);
        fraction = true;
      }
      if (peek(point) == 'e' || peek(point) == 'E') {
        const std::size_t sign = point + 1;
        const std::size_t first = sign + (peek(sign) == '+' || peek(sign) == '-' ? 1 : 0);
        if (is_digit(peek(first))) {
          point = digits(first);
          fraction = true;
        }
      }
      if (fraction) end = point;
    }
    int base = 10;
    const char letter = static_cast<char>(peek(at_ + 1) | 0x20);
    if (!fraction && source_[at_] == '0' && (letter == 'x' || letter == 'o' || letter == 'b')) {
      base = letter == 'x' ? 16 : letter == 'o' ? 8 : 2;
      const std::string_view allowed =
          std::string_view("0123456789abcdefABCDEF")
              .substr(0, base == 16 ? 22 : static_cast<std::size_t>(base));
      end = digits(at_ + 2, allowed);
    }
    std::string plain;
    for (std::size_t i = at_ + (base == 10 ? 0 : 2); i < end; ++i) {
      if (source_[i] != '_') plain += source_[i];
    }
    Token token{.kind = fraction ? Kind::real : Kind::integer,
                .line = line_,
                .text = source_.substr(at_, end - at_)};
    const char* last = plain.data() + plain.size();
    const auto result = fraction ? std::from_chars(plain.data(), last, token.real)
                                 : std::from_chars(plain.data(), last, token.integer, base);
    if (result.ec != std::errc() || result.ptr != last) {
      fail(fmt::format("{} is not a number of 64 bits", shown(token.text)));
    }
    tokens_.push_back(std::move(token));
    move(end);
  }

  void string() {
    const char quote = source_[at_];
    std::size_t end = at_ + 1;
    while (end < source_.size() && source_[end] != quote) end += source_[end] == '\\' ? 2 : 1;
    if (end >= source_.size()) fail("a string has no end");
    Token token{.kind = Kind::string, .line = line_, .text = source_.substr(at_, end + 1 - at_)};
    token.value = unescaped(source_.substr(at_ + 1, end - at_ - 1));
    tokens_.push_back(std::move(token));
    move(end + 1);
  }

  // The escapes of Python's strings.
  std::string unescaped(std::string_view text) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
      if (text[i] != '\\') {
        out += text[i];
        continue;
      }
      const char c = text[++i];
      constexpr std::string_view kLetters = "abfnrtv\\'\"";
      constexpr std::string_view kMeanings = "\a\b\f\n\r\t\v\\'\"";
      if (const std::size_t at = kLetters.find(c); at != std::string_view::npos) {
        out += kMeanings[at];
      } else if (c == '\n') {
        // a line goes on
      } else if (c >= '0' && c <= '7') {
        uint32_t code = 0;
        std::size_t end = i;
        while (end < text.size() && end < i + 3 && text[end] >= '0' && text[end] <= '7') {
          code = code * 8 + static_cast<uint32_t>(text[end++] - '0');
        }
        append_utf8(out, code);
        i = end - 1;
      } else if (c == 'x' || c == 'u' || c == 'U') {
        const std::size_t size = c == 'x' ? 2 : c == 'u' ? 4 : 8;
        const std::string_view hex = text.substr(i + 1, size);
        uint32_t code = 0;
        const auto result = std::from_chars(hex.data(), hex.data() + hex.size(), code, 16);
        if (hex.size() < size || result.ptr != hex.data() + size || code > 0x10FFFF ||
            (code >= 0xD800 && code < 0xE000)) {
          fail(fmt::format("\\{} without the number of a character", c));
        }
        append_utf8(out, code);
        i += size;
      } else {
        out += '\\';
        out += c;
      }
    }
    return out;
  }

  std::string_view source_;
  std::string_view name_;
  int64_t deepest_;
  std::size_t at_ = 0;
  int line_ = 1;
  bool line_starts_ = true;  // the last token ended a line
  std::vector<Token> tokens_;
};

}  // namespace

std::string normal_lines(std::string_view source) {
  std::string lines;
  lines.reserve(source.size());
  for (std::size_t i = 0; i < source.size(); ++i) {
    if (source[i] == '\r' && i + 1 < source.size() && source[i + 1] == '\n') continue;
    lines += source[i] == '\r' ? '\n' : source[i];
  }
  if (lines.ends_with('\n')) lines.pop_back();
  return lines;
}

std::vector<Token> tokens_of(std::string_view source, std::string_view name, int64_t deepest) {
  return Lexer(source, name, deepest).run();
}

void fail_syntax(std::string_view name, int line, std::string_view message) {
  regard::fail(ErrorKind::unreadable, "{}, line {}: {}", name, line, message);
}

}  // namespace regard::chat
