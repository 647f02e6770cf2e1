#include "values/convert.h"

#include <charconv>
#include <cmath>

#include "values/print.h"

namespace regard::chat {
namespace {

// Without spaces around, and without the underscores that may stand between digits.
std::optional<std::string> plain_number(std::string_view text) {
  const auto space = [](char c) { return is_space(static_cast<unsigned char>(c)) && c > 0; };
  while (!text.empty() && space(text.front())) text.remove_prefix(1);
  while (!text.empty() && space(text.back())) text.remove_suffix(1);
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '_') {
      plain += text[i];
      continue;
    }
    const auto digit = [](char c) {
      return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    };
    if (i == 0 || i + 1 == text.size() || !digit(text[i - 1]) || !digit(text[i + 1])) {
      return std::nullopt;
    }
  }
  return plain;
}

}  // namespace

std::optional<int64_t> parse_integer(Run& run, std::string_view text, int64_t base) {
  if (base != 0 && (base < 2 || base > 36)) run.fail("int() base must be >= 2 and <= 36, or 0");
  run.read(std::ssize(text));
  const auto plain = plain_number(text);
  if (!plain) return std::nullopt;
  std::string_view digits = *plain;
  const bool negative = digits.starts_with('-');
  if (negative || digits.starts_with('+')) digits.remove_prefix(1);
  if (digits.size() > 2 && digits[0] == '0') {
    const char letter = static_cast<char>(digits[1] | 0x20);
    const int64_t named = letter == 'x' ? 16 : letter == 'o' ? 8 : letter == 'b' ? 2 : 0;
    if (named != 0 && (base == 0 || base == named)) {
      base = named;
      digits.remove_prefix(2);
    }
  }
  const bool zeros = digits.find_first_not_of('0') == std::string_view::npos;
  if (base == 0 && digits.size() > 1 && digits[0] == '0' && !zeros) return std::nullopt;
  uint64_t value = 0;
  const auto result = std::from_chars(digits.data(), digits.data() + digits.size(), value,
                                      base == 0 ? 10 : static_cast<int>(base));
  if (digits.empty() || result.ptr != digits.data() + digits.size()) return std::nullopt;
  if (result.ec != std::errc() || value > static_cast<uint64_t>(INT64_MAX)) {
    run.fail("{} is beyond whole numbers of 64 bits", shown(text));
  }
  return negative ? -static_cast<int64_t>(value) : static_cast<int64_t>(value);
}

std::optional<double> parse_real(std::string_view text) {
  const auto plain = plain_number(text);
  if (!plain) return std::nullopt;
  std::string_view digits = *plain;
  const bool negative = digits.starts_with('-');
  if (negative || digits.starts_with('+')) digits.remove_prefix(1);
  if (digits.empty() || digits[0] == '-' || digits[0] == '+') return std::nullopt;
  double value = 0;
  const auto result = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (result.ptr != digits.data() + digits.size()) return std::nullopt;
  if (digits.find('(') != std::string_view::npos) return std::nullopt;  // nan(...)
  if (result.ec == std::errc::result_out_of_range) {
    const bool small =
        digits.find("e-") != std::string_view::npos || digits.find("E-") != std::string_view::npos;
    value = small ? 0 : HUGE_VAL;
  } else if (result.ec != std::errc()) {
    return std::nullopt;
  }
  return negative ? -value : value;
}

Value escaped(Run& run, const Value& value) {
  const Value plain = to_string(run, value);
  const String& string = *plain.string;
  if (string.markup) return plain;
  Text out(run);
  int64_t written = 0;
  for (int64_t at = 0; at < string.size; ++at) {
    const char c = string.data[at];
    const char* entity = c == '&'    ? "&amp;"
                         : c == '<'  ? "&lt;"
                         : c == '>'  ? "&gt;"
                         : c == '"'  ? "&#34;"
                         : c == '\'' ? "&#39;"
                                     : nullptr;
    if (entity == nullptr) continue;
    out.add(string, written, at);
    out.add(std::string_view(entity), any_user(string, at, at + 1));
    written = at + 1;
  }
  out.add(string, written, string.size);
  return as_markup(run, *out.finish().string, true);
}

}  // namespace regard::chat
