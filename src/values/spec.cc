#include "values/spec.h"

#include <cmath>

#include "values/print.h"

namespace regard::chat {
namespace {

constexpr int64_t kMostDigits = 1000;  // behind the point

void add_padding(Run& run, Text& out, std::string_view fill, int64_t count) {
  if (count <= 0) return;
  run.room(count * std::ssize(fill));
  run.step(count / 16);
  for (int64_t i = 0; i < count; ++i) out.add(fill);
}

// sign: the characters that stay in front of zeros, "-0x".
void add_padded(Run& run, Text& out, const String& body, int64_t sign, const Spec& spec,
                char usual) {
  const char align = spec.align != 0 ? spec.align : usual;
  const int64_t gap = spec.width - characters(run, body);
  if (gap <= 0) return out.add(body);
  if (align == '=') {
    out.add(body, 0, sign);
    add_padding(run, out, spec.fill, gap);
    return out.add(body, sign, body.size);
  }
  const int64_t left = align == '>' ? gap : align == '^' ? gap / 2 : 0;
  add_padding(run, out, spec.fill, left);
  out.add(body);
  add_padding(run, out, spec.fill, gap - left);
}

// "1234567" as "1,234,567": from `first`, where the digits begin.
void group(std::string& digits, std::size_t first, char separator) {
  std::size_t end = first;
  while (end < digits.size() && digits[end] >= '0' && digits[end] <= '9') ++end;
  for (std::size_t at = end; at > first + 3; at -= 3) {
    digits.insert(at - 3, 1, separator);
  }
}

std::string fixed_or_scientific(Run& run, double value, const Spec& spec) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return "inf";
  const int64_t precision = spec.precision < 0 ? 6 : spec.precision;
  if (precision > kMostDigits) run.fail("a precision of {} digits", precision);
  const int digits = static_cast<int>(precision);
  const bool sharp = spec.alternate;
  std::string body;
  switch (spec.type) {
    case 'e':
    case 'E':
      body = sharp ? fmt::format("{:#.{}e}", value, digits) : fmt::format("{:.{}e}", value, digits);
      break;
    case 'f':
    case 'F':
      body = sharp ? fmt::format("{:#.{}f}", value, digits) : fmt::format("{:.{}f}", value, digits);
      break;
    case '%':
      body = fmt::format("{:.{}f}%", value * 100, digits);
      break;
    case 0:
      if (spec.precision < 0) return real_text(value);
      [[fallthrough]];
    default: {
      const int kept = std::max(digits, 1);
      body = sharp ? fmt::format("{:#.{}g}", value, kept) : fmt::format("{:.{}g}", value, kept);
      if (spec.type == 0 && body.find_first_of(".e") == std::string::npos) body += ".0";
    }
  }
  if (spec.type >= 'A' && spec.type <= 'Z') {
    std::transform(body.begin(), body.end(), body.begin(),
                   [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; });
  }
  return body;
}

std::string digits_of(uint64_t value, char type) {
  switch (type) {
    case 'x':
      return fmt::format("{:x}", value);
    case 'X':
      return fmt::format("{:X}", value);
    case 'o':
      return fmt::format("{:o}", value);
    case 'b':
      return fmt::format("{:b}", value);
    default:
      return fmt::format("{}", value);
  }
}

void add_number(Run& run, Text& out, std::string body, bool negative, std::string_view prefix,
                const Spec& spec) {
  std::string front = negative ? "-" : spec.sign == '+' ? "+" : spec.sign == ' ' ? " " : "";
  front += prefix;
  if (spec.grouping != 0) group(body, 0, spec.grouping);
  const Value value = text(run, front + body);
  add_padded(run, out, *value.string, std::ssize(front), spec, '>');
}

}  // namespace

void add_integer(Run& run, Text& out, int64_t value, const Spec& spec) {
  const bool negative = value < 0;
  const uint64_t size = negative ? 0 - static_cast<uint64_t>(value) : static_cast<uint64_t>(value);
  std::string body = digits_of(size, spec.type);
  const bool base = spec.type == 'x' || spec.type == 'X' || spec.type == 'o' || spec.type == 'b';
  const std::string prefix = base && spec.alternate ? std::string{'0', spec.type} : "";
  if (spec.precision > std::ssize(body)) {
    if (spec.precision > kMostDigits) run.fail("a precision of {} digits", spec.precision);
    body.insert(0, static_cast<std::size_t>(spec.precision - std::ssize(body)), '0');
  }
  add_number(run, out, body, negative, prefix, spec);
}

void add_real(Run& run, Text& out, double value, const Spec& spec) {
  const bool negative = std::signbit(value) && !std::isnan(value);
  add_number(run, out, fixed_or_scientific(run, std::fabs(value), spec), negative, "", spec);
}

void add_string(Run& run, Text& out, const String& string, const Spec& spec, char usual) {
  if (spec.precision < 0 || spec.precision >= characters(run, string)) {
    return add_padded(run, out, string, 0, spec, usual);
  }
  const Value cut = part(run, string, 0, byte_of(run, string, spec.precision));
  add_padded(run, out, *cut.string, 0, spec, usual);
}

void add_character(Run& run, Text& out, const Value& value, const Spec& spec, char usual) {
  if (value.is(Kind::string)) {
    if (characters(run, *value.string) != 1) run.fail("%c requires int or char");
    return add_padded(run, out, *value.string, 0, spec, usual);
  }
  if (!value.is(Kind::integer)) run.fail("%c requires int or char");
  if (value.integer < 0 || value.integer > 0x10FFFF ||
      (value.integer >= 0xD800 && value.integer < 0xE000)) {
    run.fail("{} is not the number of a character", value.integer);
  }
  Text one(run);
  one.add(static_cast<char32_t>(value.integer), false);
  add_padded(run, out, *one.finish().string, 0, spec, usual);
}

}  // namespace regard::chat
