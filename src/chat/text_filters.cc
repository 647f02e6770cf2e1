// Filters of text: cases, trimming, replacing, escaping, tojson.
#include <algorithm>

#include "chat/builtins.h"
#include "values/character.h"
#include "values/convert.h"
#include "values/format.h"
#include "values/methods.h"
#include "values/operators.h"
#include "values/print.h"

namespace regard::chat {
namespace {

// What the filter works on, as str() gives it.
Value self_text(const Arguments& all) { return to_string(all.run, all.self); }

Value string_argument(const Arguments& all, std::size_t index, std::string_view other) {
  if (!all.has(index)) return fixed_text(all.run, other);
  return to_string(all.run, all[index]);
}

int64_t whole_argument(const Arguments& all, std::size_t index, int64_t other) {
  if (!all.has(index)) return other;
  defined(all.run, all[index]);
  if (!all[index].is(Kind::integer) && !all[index].is(Kind::boolean)) {
    all.run.fail("'{}' object cannot be interpreted as an integer", type_name(all[index]));
  }
  return as_integer(all[index]);
}

template <Case wanted>
Value cased(const Arguments& all) {
  return with_case(all.run, *self_text(all).string, wanted);
}

Value title(const Arguments& all) { return title_words(all.run, *self_text(all).string); }

Value trim(const Arguments& all) {
  const Value self = self_text(all);
  if (!all.has(0) || all[0].is(Kind::none)) return strip(all.run, *self.string, Side::both);
  defined(all.run, all[0]);
  if (!all[0].is(Kind::string)) all.run.fail("strip arg must be None or str");
  return strip(all.run, *self.string, Side::both, all[0].string);
}

Value replace(const Arguments& all) {
  const bool bounded = all.has(2) && !all[2].is(Kind::none);
  const Value old = to_string(all.run, all[0]);
  const Value with = to_string(all.run, all[1]);
  const Value result = replaced(all.run, *self_text(all).string, *old.string, *with.string,
                                bounded ? whole_argument(all, 2, -1) : -1);
  return as_markup(all.run, *result.string, false);
}

Value string(const Arguments& all) { return self_text(all); }
Value safe(const Arguments& all) { return as_markup(all.run, *self_text(all).string, true); }
Value escape(const Arguments& all) { return escaped(all.run, all.self); }
Value escape_always(const Arguments& all) {
  return escaped(all.run, as_markup(all.run, *self_text(all).string, false));
}

Value format(const Arguments& all) {
  if (!all.call.named.empty()) {
    if (!all.call.positional.empty()) {
      all.run.fail("can't handle positional and keyword arguments at the same time");
    }
    std::vector<Entry> entries;
    for (const auto& [name, value] : all.call.named) {
      entries.push_back({text(all.run, name), value});
    }
    return format_percent(all.run, *self_text(all).string, dict(all.run, entries));
  }
  return format_percent(all.run, *self_text(all).string,
                        sequence(all.run, SequenceKind::tuple, all.call.positional));
}

Value indent(const Arguments& all) {
  defined(all.run, all.self);
  if (!all.self.is(Kind::string)) {
    all.run.fail("indent works on str, not {}", type_name(all.self));
  }
  const bool given = all.has(0) && all[0].is(Kind::string);
  Value indention = given ? all[0] : none();
  if (!given) {
    const int64_t width = std::clamp<int64_t>(whole_argument(all, 0, 4), 0, 1 << 20);
    indention = text(all.run, std::string(static_cast<std::size_t>(width), ' '));
  }
  const bool first = all.has(1) && truth(all[1]);
  const bool blank = all.has(2) && truth(all[2]);
  // A line end is added first: a text that ends in one keeps it.
  const Value with_end = concat(all.run, *all.self.string, *fixed_text(all.run, "\n").string);
  const std::vector<Value> parts = lines(all.run, *with_end.string, false);
  Text out(all.run);
  for (std::size_t i = 0; i < parts.size(); ++i) {
    all.run.step();
    if (i > 0) out.add("\n");
    if (i == 0 ? first : blank || parts[i].string->size > 0) out.add(*indention.string);
    out.add(*parts[i].string);
  }
  return as_markup(all.run, *out.finish().string, all.self.string->markup);
}

Value centre(const Arguments& all) {
  const Builtin* method = find_builtin(string_methods(), "center");
  Call call;
  call.positional.push_back(all.has(0) ? all[0] : integer(80));
  return invoke(all.run, all.evaluator, *method, self_text(all), call);
}

Value truncate(const Arguments& all) {
  Run& run = all.run;
  defined(run, all.self);
  if (!all.self.is(Kind::string)) run.fail("truncate works on str, not {}", type_name(all.self));
  const String& self = *all.self.string;
  const int64_t most = whole_argument(all, 0, 255);
  const bool kill_words = all.has(1) && truth(all[1]);
  const Value end = string_argument(all, 2, "...");
  const int64_t leeway = all.has(3) && !all[3].is(Kind::none) ? whole_argument(all, 3, 5) : 5;
  const int64_t end_size = characters(run, *end.string);
  if (most < end_size) run.fail("expected length >= {}, got {}", end_size, most);
  if (leeway < 0) run.fail("expected leeway >= 0, got {}", leeway);
  if (characters(run, self) - leeway <= most) return all.self;
  Value kept = part(run, self, 0, byte_of(run, self, most - end_size));
  if (!kill_words) {
    const int64_t space = find_last(run, kept.text(), " ");
    if (space >= 0) kept = part(run, *kept.string, 0, space);
  }
  return concat(run, *kept.string, *end.string);
}

Value word_count(const Arguments& all) {
  const Value self = self_text(all);
  int64_t count = 0;
  bool in_word = false;
  all.run.step(self.string->size / 8);
  for (int64_t at = 0; at < self.string->size; at += character_bytes(self.string->data + at)) {
    const bool word = is_word(character(self.string->data + at));
    count += word && !in_word ? 1 : 0;
    in_word = word;
  }
  return integer(count);
}

Value to_json(const Arguments& all) {
  JsonStyle style;
  style.ascii = all.has(0) && truth(all[0]);
  if (all.has(1) && !all[1].is(Kind::none)) {
    style.item_separator = ",";
    style.indent = all[1].is(Kind::string)
                       ? std::string(all[1].text())
                       : std::string(static_cast<std::size_t>(std::clamp<int64_t>(
                                         whole_argument(all, 1, 0), 0, 1 << 10)),
                                     ' ');
  }
  if (all.has(2) && !all[2].is(Kind::none)) {
    const auto parts = iterate(all.run, all[2]);
    if (parts.size() != 2 || !parts[0].is(Kind::string) || !parts[1].is(Kind::string)) {
      all.run.fail("separators are two texts");
    }
    style.item_separator = parts[0].text();
    style.key_separator = parts[1].text();
  }
  style.sort_keys = all.has(3) && truth(all[3]);
  Text out(all.run);
  write_json(all.run, all.self, style, out);
  return out.finish();
}

constexpr Builtin kFilters[] = {
    {"trim", trim, "chars"},
    {"tojson", to_json, "ensure_ascii indent separators sort_keys"},
    {"upper", cased<Case::upper>},
    {"lower", cased<Case::lower>},
    {"capitalize", cased<Case::capitalised>},
    {"title", title},
    {"replace", replace, "old new count", 2},
    {"string", string},
    {"safe", safe},
    {"e", escape},
    {"escape", escape},
    {"forceescape", escape_always},
    {"format", format, "*"},
    {"indent", indent, "width first blank"},
    {"center", centre, "width"},
    {"truncate", truncate, "length killwords end leeway"},
    {"wordcount", word_count},
};

}  // namespace

std::span<const Builtin> text_filters() noexcept { return kFilters; }

}  // namespace regard::chat
