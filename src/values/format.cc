#include "values/format.h"

#include <algorithm>
#include <cmath>

#include "values/operators.h"
#include "values/print.h"
#include "values/spec.h"

namespace regard::chat {
namespace {

Value repr_of(Run& run, const Value& value) {
  Text out(run);
  write_repr(run, value, out);
  return out.finish();
}

}  // namespace

Value format_percent(Run& run, const String& format, const Value& arguments) {
  const bool tuple =
      arguments.is(Kind::sequence) && arguments.sequence->kind == SequenceKind::tuple;
  const std::span<const Value> all =
      tuple
          ? std::span(arguments.sequence->data, static_cast<std::size_t>(arguments.sequence->size))
          : std::span(&arguments, 1);
  std::size_t taken = 0;
  const auto next = [&]() -> const Value& {
    if (taken == all.size()) run.fail("not enough arguments for format string");
    return all[taken++];
  };
  Text out(run);
  Reader reader(format.view());
  while (!reader.end()) {
    const std::size_t percent =
        std::min(reader.text().find('%', reader.at()), reader.text().size());
    out.add(format, static_cast<int64_t>(reader.at()), static_cast<int64_t>(percent));
    reader.move(percent);
    if (!reader.skip('%')) break;
    run.step();
    Spec spec;
    Value value = missing();
    bool keyed = false;
    if (reader.skip('(')) {
      const std::size_t close = reader.text().find(')', reader.at());
      if (close == std::string_view::npos) run.fail("incomplete format key");
      if (!arguments.is(Kind::dict)) run.fail("format requires a mapping");
      const std::string_view key = reader.text().substr(reader.at(), close - reader.at());
      const Value* found = find(run, *arguments.dict, text(run, key));
      if (found == nullptr) run.fail("the format's key '{}' is not in the mapping", shown(key));
      value = *found;
      keyed = true;
      reader.move(close + 1);
    }
    bool zero = false;
    for (bool flags = true; flags;) {
      switch (reader.peek()) {
        case '-':
          spec.align = '<';
          break;
        case '+':
          spec.sign = '+';
          break;
        case ' ':
          if (spec.sign != '+') spec.sign = ' ';
          break;
        case '#':
          spec.alternate = true;
          break;
        case '0':
          zero = true;
          break;
        default:
          flags = false;
          continue;
      }
      reader.next();
    }
    const auto size = [&]() -> int64_t {
      if (!reader.skip('*')) return reader.number().value_or(0);
      const Value& given = next();
      if (!given.is(Kind::integer)) run.fail("* wants int");
      return std::clamp<int64_t>(given.integer, -INT32_MAX, INT32_MAX);
    };
    spec.width = size();
    if (spec.width < 0) {
      spec.width = -spec.width;
      spec.align = '<';
    }
    if (reader.skip('.')) spec.precision = std::max<int64_t>(size(), 0);
    while (reader.peek() == 'h' || reader.peek() == 'l' || reader.peek() == 'L') reader.next();
    if (reader.end()) run.fail("incomplete format");
    const char type = reader.next();
    if (type == '%') {
      out.add("%");
      continue;
    }
    if (!keyed) value = next();
    defined(run, value.is(Kind::undefined) && type != 's' && type != 'r' ? value : none());
    spec.type = type;
    const bool number = std::string_view("diuoxXeEfFgG").find(type) != std::string_view::npos;
    if (number && zero && spec.align == 0) {
      spec.align = '=';
      spec.fill = "0";
    }
    if (number && !is_number(value)) {
      run.fail("%{} format: a number is required, not {}", type, type_name(value));
    }
    switch (type) {
      case 's':
        add_string(run, out, *to_string(run, value).string, spec, '>');
        break;
      case 'r':
      case 'a':
        add_string(run, out, *repr_of(run, value).string, spec, '>');
        break;
      case 'c':
        add_character(run, out, value, spec, '>');
        break;
      case 'd':
      case 'i':
      case 'u':
        if (value.is(Kind::real)) {
          if (!(std::fabs(value.real) < 0x1p63)) run.fail("{} is no whole number", value.real);
          value = integer(static_cast<int64_t>(value.real));
        }
        spec.type = 'd';
        add_integer(run, out, as_integer(value), spec);
        break;
      case 'x':
      case 'X':
      case 'o':
        if (value.is(Kind::real)) run.fail("%{} format: an integer is required, not float", type);
        add_integer(run, out, as_integer(value), spec);
        break;
      case 'e':
      case 'E':
      case 'f':
      case 'F':
      case 'g':
      case 'G':
        add_real(run, out, as_real(value), spec);
        break;
      default:
        run.fail("unsupported format character '{}'", shown(std::string_view(&type, 1)));
    }
  }
  if (taken < all.size() && !arguments.is(Kind::dict) && (tuple || taken == 0)) {
    run.fail("not all arguments converted during string formatting");
  }
  return out.finish();
}

namespace {

Spec parse_spec(Run& run, std::string_view written) {
  Spec spec;
  Reader reader(written);
  const auto is_align = [](char c) { return c == '<' || c == '>' || c == '^' || c == '='; };
  if (!reader.end()) {
    const int first = character_bytes(written.data());
    if (written.size() > static_cast<std::size_t>(first) && is_align(written[first])) {
      spec.fill = std::string(written.substr(0, static_cast<std::size_t>(first)));
      reader.move(static_cast<std::size_t>(first));
      spec.align = reader.next();
    } else if (is_align(reader.peek())) {
      spec.align = reader.next();
    }
  }
  if (reader.peek() == '+' || reader.peek() == '-' || reader.peek() == ' ')
    spec.sign = reader.next();
  if (reader.skip('#')) spec.alternate = true;
  if (reader.peek() == '0') {
    reader.next();
    if (spec.align == 0) {
      spec.align = '=';
      spec.fill = "0";
    }
  }
  spec.width = reader.number().value_or(0);
  if (reader.peek() == ',' || reader.peek() == '_') spec.grouping = reader.next();
  if (reader.skip('.')) {
    const auto precision = reader.number();
    if (!precision) run.fail("Format specifier missing precision");
    spec.precision = *precision;
  }
  spec.type = reader.next();
  if (!reader.end()) run.fail("Invalid format specifier '{}'", shown(written));
  return spec;
}

void add_formatted(Run& run, Text& out, const Value& value, std::string_view written) {
  if (written.empty()) return write(run, value, out);
  Spec spec = parse_spec(run, written);
  const auto unknown = [&] {
    run.fail("Unknown format code '{}' for object of type '{}'",
             shown(std::string_view(&spec.type, 1)), type_name(value));
  };
  if (value.is(Kind::string)) {
    if (spec.type != 0 && spec.type != 's') unknown();
    if (spec.align == '=') run.fail("'=' alignment not allowed in string format specifier");
    return add_string(run, out, *value.string, spec, '<');
  }
  if (!is_number(value)) {
    run.fail("unsupported format string passed to {}.__format__", type_name(value));
  }
  if (std::string_view("eEfFgG%").find(spec.type) != std::string_view::npos && spec.type != 0) {
    return add_real(run, out, as_real(value), spec);
  }
  if (value.is(Kind::real)) {
    if (spec.type != 0) unknown();
    return add_real(run, out, value.real, spec);
  }
  if (spec.type == 'c') return add_character(run, out, integer(as_integer(value)), spec, '<');
  if (spec.type != 0 && std::string_view("bdoxX").find(spec.type) == std::string_view::npos) {
    unknown();
  }
  if (spec.precision >= 0) run.fail("Precision not allowed in integer format specifier");
  add_integer(run, out, as_integer(value), spec);
}

// '{0[key].name!r:>{width}}'.format(...)
class Braces {
 public:
  Braces(Run& run, const String& format, const Call& call)
      : run_(run), format_(format), call_(call) {}

  Value text() {
    Text out(run_);
    write(out, 0, format_.size, 2);
    return out.finish();
  }

 private:
  void write(Text& out, int64_t at, int64_t end, int levels) {
    if (levels == 0) run_.fail("Max string recursion exceeded");
    const std::string_view all = format_.view().substr(0, static_cast<std::size_t>(end));
    while (at < end) {
      run_.step();
      const auto brace = static_cast<int64_t>(
          std::min(all.find_first_of("{}", static_cast<std::size_t>(at)), all.size()));
      out.add(format_, at, brace);
      if (brace == end) return;
      const char c = all[static_cast<std::size_t>(brace)];
      if (brace + 1 < end && all[static_cast<std::size_t>(brace) + 1] == c) {
        out.add(format_, brace, brace + 1);
        at = brace + 2;
        continue;
      }
      if (c == '}') run_.fail("Single '}}' encountered in format string");
      int64_t close = brace + 1;
      for (int depth = 1; close < end; ++close) {
        run_.step();
        const char inner = all[static_cast<std::size_t>(close)];
        if (inner == '{') ++depth;
        if (inner == '}' && --depth == 0) break;
      }
      if (close == end) run_.fail("expected '}}' before end of string");
      field(out, brace + 1, close, levels);
      at = close + 1;
    }
  }

  void field(Text& out, int64_t begin, int64_t end, int levels) {
    const std::string_view all = format_.view().substr(static_cast<std::size_t>(begin),
                                                       static_cast<std::size_t>(end - begin));
    std::size_t name_end = 0;
    bool in_brackets = false;
    while (name_end < all.size()) {
      const char c = all[name_end];
      if (c == '[') in_brackets = true;
      if (c == ']') in_brackets = false;
      if (!in_brackets && (c == ':' || c == '!')) break;
      ++name_end;
    }
    Value value = look_up(all.substr(0, name_end));
    std::size_t at = name_end;
    if (at < all.size() && all[at] == '!') {
      const char conversion = at + 1 < all.size() ? all[at + 1] : '\0';
      if (conversion == 'r' || conversion == 'a') {
        value = repr_of(run_, value);
      } else if (conversion == 's') {
        value = to_string(run_, value);
      } else {
        run_.fail("unknown conversion in a format");
      }
      at += 2;
      if (at < all.size() && all[at] != ':') run_.fail("expected ':' after conversion specifier");
    }
    Text spec(run_);
    if (at < all.size()) write(spec, begin + static_cast<int64_t>(at) + 1, end, levels - 1);
    add_formatted(run_, out, value, spec.bytes());
  }

  Value look_up(std::string_view name) {
    const std::size_t first_end = std::min(name.find_first_of(".["), name.size());
    const std::string_view first = name.substr(0, first_end);
    Value value = missing();
    Reader digits(first);
    const auto number = digits.number();
    if (first.empty() || (number && digits.end())) {
      if (first.empty() ? manual_ : next_ > 0) {
        run_.fail("cannot switch between automatic field numbering and manual specification");
      }
      if (!first.empty()) manual_ = true;
      const int64_t index = first.empty() ? next_++ : *number;
      if (index >= std::ssize(call_.positional)) {
        run_.fail("Replacement index {} out of range for positional args tuple", index);
      }
      value = call_.positional[static_cast<std::size_t>(index)];
    } else {
      for (const auto& [key, given] : call_.named) {
        if (key == first) value = given;
      }
      if (value.is(Kind::missing)) run_.fail("the format's key '{}' is not given", shown(first));
    }
    for (std::size_t at = first_end; at < name.size();) {
      run_.step();
      if (name[at] == '.') {
        const std::size_t end = std::min(name.find_first_of(".[", at + 1), name.size());
        if (end == at + 1) run_.fail("Empty attribute in format string");
        value = attribute(run_, value, regard::chat::text(run_, name.substr(at + 1, end - at - 1)));
        at = end;
        continue;
      }
      const std::size_t close = name.find(']', at);
      if (name[at] != '[' || close == std::string_view::npos || close == at + 1) {
        run_.fail("a format's field '{}' is no name", shown(name));
      }
      const std::string_view key = name.substr(at + 1, close - at - 1);
      Reader index(key);
      const auto whole = index.number();
      value = subscript(run_, value,
                        whole && index.end() ? integer(*whole) : regard::chat::text(run_, key));
      at = close + 1;
    }
    return value;
  }

  Run& run_;
  const String& format_;
  const Call& call_;
  int64_t next_ = 0;
  bool manual_ = false;
};

}  // namespace

Value format_braces(Run& run, const String& format, const Call& call) {
  return Braces(run, format, call).text();
}

}  // namespace regard::chat
