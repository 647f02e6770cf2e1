#include "values/print.h"

#include <utf8proc.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <vector>

#include "values/function.h"

namespace regard::chat {
namespace {

bool printable(char32_t code) {
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(code))) {
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
      return false;
    case UTF8PROC_CATEGORY_ZS:
      return code == ' ';
    default:
      return true;
  }
}

void repr_string(const String& string, Text& out) {
  const std::string_view all = string.view();
  const char quote =
      all.find('\'') != std::string_view::npos && all.find('"') == std::string_view::npos ? '"'
                                                                                          : '\'';
  if (string.markup) out.add("Markup(");
  out.add(std::string_view(&quote, 1));
  int64_t plain = 0;  // what is not written yet and stands as it is
  for (int64_t at = 0; at < string.size;) {
    const int64_t end = at + character_bytes(string.data + at);
    const char32_t code = character(string.data + at);
    std::string escape;
    if (code == static_cast<char32_t>(quote) || code == '\\') {
      escape = {'\\', static_cast<char>(code)};
    } else if (code == '\n') {
      escape = "\\n";
    } else if (code == '\r') {
      escape = "\\r";
    } else if (code == '\t') {
      escape = "\\t";
    } else if ((code < 0x20 || code >= 0x7F) && !printable(code)) {
      escape = code <= 0xFF     ? fmt::format("\\x{:02x}", static_cast<uint32_t>(code))
               : code <= 0xFFFF ? fmt::format("\\u{:04x}", static_cast<uint32_t>(code))
                                : fmt::format("\\U{:08x}", static_cast<uint32_t>(code));
    }
    if (!escape.empty()) {
      out.add(string, plain, at);
      out.add(escape, any_user(string, at, end));
      plain = end;
    }
    at = end;
  }
  out.add(string, plain, string.size);
  out.add(std::string_view(&quote, 1));
  if (string.markup) out.add(")");
}

void repr_sequence(Run& run, const Sequence& all, Text& out) {
  using enum SequenceKind;
  if (all.kind == generator) return out.add("<generator object>");
  if (all.kind == range) {
    const int64_t first = all.size > 0 ? all.data[0].integer : 0;
    const int64_t step = all.size > 1 ? all.data[1].integer - first : 1;
    out.add(fmt::format("range({}, {}", first, first + step * all.size));
    return out.add(step == 1 ? ")" : fmt::format(", {})", step));
  }
  if (all.kind == keys) out.add("dict_keys(");
  if (all.kind == values) out.add("dict_values(");
  if (all.kind == items) out.add("dict_items(");
  const bool round = all.kind == tuple || all.kind == group;
  out.add(round ? "(" : "[");
  for (int64_t i = 0; i < all.size; ++i) {
    if (i > 0) out.add(", ");
    write_repr(run, all.data[i], out);
  }
  if (round) return out.add(all.size == 1 ? ",)" : ")");
  out.add(all.kind == list ? "]" : "])");
}

}  // namespace

std::string real_text(double number) {
  if (std::isnan(number)) return "nan";
  if (std::isinf(number)) return number < 0 ? "-inf" : "inf";
  char digits[32];
  const auto end =
      std::to_chars(digits, digits + sizeof digits, number, std::chars_format::scientific).ptr;
  const std::string_view all(digits, static_cast<std::size_t>(end - digits));
  const std::size_t e = all.find('e');
  int exponent = 0;
  const char* from = all.data() + e + (all[e + 1] == '+' ? 2 : 1);
  std::from_chars(from, end, exponent);
  if (exponent < -4 || exponent >= 16) {
    return fmt::format("{}e{}{:02}", all.substr(0, e), exponent < 0 ? '-' : '+',
                       std::abs(exponent));
  }
  char plain[64];
  const auto last =
      std::to_chars(plain, plain + sizeof plain, number, std::chars_format::fixed).ptr;
  std::string result(plain, last);
  if (result.find('.') == std::string::npos) result += ".0";
  return result;
}

void write(Run& run, const Value& value, Text& out) {
  if (value.is(Kind::string)) return out.add(*value.string);
  if (value.is(Kind::undefined)) return;
  write_repr(run, value, out);
}

void write_repr(Run& run, const Value& value, Text& out) {
  run.step();
  const Run::Deeper deeper(run);
  switch (value.kind) {
    case Kind::missing:
      break;
    case Kind::undefined:
      return out.add("Undefined");
    case Kind::none:
      return out.add("None");
    case Kind::boolean:
      return out.add(value.boolean ? "True" : "False");
    case Kind::integer:
      return out.add(std::to_string(value.integer));
    case Kind::real:
      return out.add(real_text(value.real));
    case Kind::string:
      return repr_string(*value.string, out);
    case Kind::sequence:
      return repr_sequence(run, *value.sequence, out);
    case Kind::dict: {
      out.add("{");
      for (int64_t i = 0; i < value.dict->size; ++i) {
        if (i > 0) out.add(", ");
        write_repr(run, value.dict->entries[i].key, out);
        out.add(": ");
        write_repr(run, value.dict->entries[i].value, out);
      }
      return out.add("}");
    }
    case Kind::name_space: {
      out.add("<Namespace {");
      for (int64_t i = 0; i < value.name_space->size; ++i) {
        if (i > 0) out.add(", ");
        write_repr(run, value.name_space->entries[i].key, out);
        out.add(": ");
        write_repr(run, value.name_space->entries[i].value, out);
      }
      return out.add("}>");
    }
    case Kind::loop:
      return out.add("<LoopContext>");
    case Kind::function:
      return out.add(fmt::format("<function {}>", value.function->name));
  }
}

Value to_string(Run& run, const Value& value) {
  if (value.is(Kind::string)) return value;
  Text out(run);
  write(run, value, out);
  return out.finish();
}

namespace {

void json_string(const String& string, bool ascii, Text& out) {
  out.add("\"");
  int64_t plain = 0;
  for (int64_t at = 0; at < string.size;) {
    const int64_t end = at + character_bytes(string.data + at);
    const auto byte = static_cast<unsigned char>(string.data[at]);
    std::string escape;
    switch (byte) {
      case '"':
        escape = "\\\"";
        break;
      case '\\':
        escape = "\\\\";
        break;
      case '\n':
        escape = "\\n";
        break;
      case '\r':
        escape = "\\r";
        break;
      case '\t':
        escape = "\\t";
        break;
      case '\b':
        escape = "\\b";
        break;
      case '\f':
        escape = "\\f";
        break;
      default:
        if (byte < 0x20 || (byte == 0x7F && ascii)) escape = fmt::format("\\u{:04x}", byte);
        if (byte >= 0x80 && ascii) {
          const auto code = static_cast<uint32_t>(character(string.data + at));
          escape = code < 0x10000 ? fmt::format("\\u{:04x}", code)
                                  : fmt::format("\\u{:04x}\\u{:04x}", 0xD7C0 + (code >> 10),
                                                0xDC00 + (code & 0x3FF));
        }
    }
    if (!escape.empty()) {
      out.add(string, plain, at);
      out.add(escape, any_user(string, at, end));
      plain = end;
    }
    at = end;
  }
  out.add(string, plain, string.size);
  out.add("\"");
}

class JsonWriter {
 public:
  JsonWriter(Run& run, const JsonStyle& style, Text& out) : run_(run), style_(style), out_(out) {}

  void value(const Value& value) {
    run_.step();
    const Run::Deeper deeper(run_);
    switch (value.kind) {
      case Kind::none:
        return out_.add("null");
      case Kind::boolean:
        return out_.add(value.boolean ? "true" : "false");
      case Kind::integer:
        return out_.add(std::to_string(value.integer));
      case Kind::real:
        return out_.add(number(value.real));
      case Kind::string:
        return json_string(*value.string, style_.ascii, out_);
      case Kind::sequence:
        if (value.sequence->kind > SequenceKind::group) break;
        return list(*value.sequence);
      case Kind::dict:
        return dict(*value.dict);
      default:
        break;
    }
    run_.fail("Object of type {} is not JSON serializable", type_name(value));
  }

 private:
  static std::string number(double real) {
    if (std::isnan(real)) return "NaN";
    if (std::isinf(real)) return real < 0 ? "-Infinity" : "Infinity";
    return real_text(real);
  }

  void new_line() {
    if (!style_.indent) return;
    out_.add("\n");
    for (int i = 0; i < level_; ++i) out_.add(*style_.indent);
  }

  void list(const Sequence& all) {
    if (all.size == 0) return out_.add("[]");
    out_.add("[");
    ++level_;
    for (int64_t i = 0; i < all.size; ++i) {
      if (i > 0) out_.add(style_.item_separator);
      new_line();
      value(all.data[i]);
    }
    --level_;
    new_line();
    out_.add("]");
  }

  void dict(const Dict& all) {
    if (all.size == 0) return out_.add("{}");
    std::vector<Entry> entries(all.entries, all.entries + all.size);
    if (style_.sort_keys) {
      run_.step(all.size * 8);
      std::stable_sort(entries.begin(), entries.end(), [&](const Entry& a, const Entry& b) {
        return compare(run_, a.key, b.key) < 0;
      });
    }
    out_.add("{");
    ++level_;
    for (std::size_t i = 0; i < entries.size(); ++i) {
      if (i > 0) out_.add(style_.item_separator);
      new_line();
      key(entries[i].key);
      out_.add(style_.key_separator);
      value(entries[i].value);
    }
    --level_;
    new_line();
    out_.add("}");
  }

  void key(const Value& key) {
    switch (key.kind) {
      case Kind::string:
        return json_string(*key.string, style_.ascii, out_);
      case Kind::none:
        return out_.add("\"null\"");
      case Kind::boolean:
        return out_.add(key.boolean ? "\"true\"" : "\"false\"");
      case Kind::integer:
        return out_.add(fmt::format("\"{}\"", key.integer));
      case Kind::real:
        return out_.add(fmt::format("\"{}\"", number(key.real)));
      default:
        run_.fail("keys must be str, int, float, bool or None, not {}", type_name(key));
    }
  }

  Run& run_;
  const JsonStyle& style_;
  Text& out_;
  int level_ = 0;
};

}  // namespace

void write_json(Run& run, const Value& value, const JsonStyle& style, Text& out) {
  JsonWriter(run, style, out).value(value);
}

}  // namespace regard::chat
