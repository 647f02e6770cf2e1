// The functions that a template finds by name.
#include <algorithm>
#include <array>
#include <cmath>

#include "chat/builtins.h"
#include "values/operators.h"
#include "values/print.h"

namespace regard::chat {
namespace {

constexpr int64_t kLongestRange = 100'000;  // that of jinja2's sandbox

Value range(const Arguments& all) {
  Run& run = all.run;
  const auto& given = all.call.positional;
  if (given.empty() || given.size() > 3 || !all.call.named.empty()) {
    run.fail("range() takes 1 to 3 whole numbers");
  }
  std::array<int64_t, 3> numbers{};
  for (std::size_t i = 0; i < given.size(); ++i) {
    defined(run, given[i]);
    if (!given[i].is(Kind::integer) && !given[i].is(Kind::boolean)) {
      run.fail("'{}' object cannot be interpreted as an integer", type_name(given[i]));
    }
    numbers[i] = as_integer(given[i]);
  }
  const int64_t from = given.size() == 1 ? 0 : numbers[0];
  const int64_t to = given.size() == 1 ? numbers[0] : numbers[1];
  const int64_t step = given.size() == 3 ? numbers[2] : 1;
  if (step == 0) run.fail("range() arg 3 must not be zero");
  // In doubles: the difference may be beyond 64 bits, and only its size matters.
  const double count =
      std::ceil((static_cast<double>(to) - static_cast<double>(from)) / static_cast<double>(step));
  if (count > static_cast<double>(kLongestRange)) {
    run.exceed("Range too big. The sandbox blocks ranges larger than {}.", kLongestRange);
  }
  std::vector<Value> values;
  for (int64_t i = 0; i < static_cast<int64_t>(std::max(count, 0.0)); ++i) {
    values.push_back(integer(from + i * step));
  }
  run.step(std::ssize(values) / 8);
  return sequence(run, SequenceKind::range, values);
}

std::vector<Entry> entries_of(const Arguments& all) {
  std::vector<Entry> entries;
  if (all.call.positional.size() > 1) all.run.fail("dict expected at most 1 argument");
  for (const Value& given : all.call.positional) {
    if (given.is(Kind::dict)) {
      entries.assign(given.dict->entries, given.dict->entries + given.dict->size);
      continue;
    }
    for (const Value& pair : iterate(all.run, given)) {
      const auto two = iterate(all.run, pair);
      if (two.size() != 2) all.run.fail("an element of dict() has {} values, not 2", two.size());
      entries.push_back({two[0], two[1]});
    }
  }
  for (const auto& [name, value] : all.call.named) {
    entries.push_back({text(all.run, name), value});
  }
  return entries;
}

Value make_dict(const Arguments& all) { return dict(all.run, entries_of(all)); }

Value make_namespace(const Arguments& all) {
  auto* made = all.run.make<Namespace>(1);
  *made = {nullptr, 0, 0};
  for (const Entry& entry : entries_of(all)) {
    if (!entry.key.is(Kind::string)) all.run.fail("the names of a namespace are texts");
    if (entry.key.text().starts_with('_')) {
      all.run.fail("a namespace cannot store '{}': it begins with an underscore",
                   shown(entry.key.text()));
    }
    assign(all.run, *made, entry.key, entry.value);
  }
  return {.kind = Kind::name_space, .name_space = made};
}

Value raise_exception(const Arguments& all) {
  all.run.fail("{}", shown(to_string(all.run, all[0]).text()));
}

constexpr std::string_view kDays[] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                      "Thursday", "Friday", "Saturday"};
constexpr std::string_view kMonths[] = {"January",   "February", "March",    "April",
                                        "May",       "June",     "July",     "August",
                                        "September", "October",  "November", "December"};

// Sakamoto's rule; 0 is Sunday.
int day_of_week(int year, int month, int day) noexcept {
  constexpr int kShift[] = {0, 3, 2, 5, 0, 3, 5, 1, 4, 6, 2, 4};
  if (month < 3) --year;
  return (year + year / 4 - year / 100 + year / 400 + kShift[month - 1] + day) % 7;
}

int day_of_year(const DateTime& date) noexcept {
  constexpr int kBefore[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
  const bool leap = (date.year % 4 == 0 && date.year % 100 != 0) || date.year % 400 == 0;
  return kBefore[date.month - 1] + date.day + (leap && date.month > 2 ? 1 : 0);
}

// As datetime.strftime in the C locale.
std::string date_text(Run& run, const DateTime& now, std::string_view format) {
  const auto day = static_cast<std::size_t>(day_of_week(now.year, now.month, now.day));
  const std::string_view month = kMonths[now.month - 1];
  const int hour = now.hour % 12 == 0 ? 12 : now.hour % 12;
  const int year_day = day_of_year(now);
  std::string out;
  for (std::size_t i = 0; i < format.size(); ++i) {
    run.step();
    if (format[i] != '%' || i + 1 == format.size()) {
      out += format[i];
      continue;
    }
    char letter = format[++i];
    const bool plain = letter == '-' && i + 1 < format.size();  // glibc: without zeros
    if (plain) letter = format[++i];
    const auto number = [&](int value, int width) {
      out += plain ? fmt::format("{}", value) : fmt::format("{:0{}}", value, width);
    };
    switch (letter) {
      case 'Y':
        number(now.year, 1);
        break;
      case 'y':
        number(now.year % 100, 2);
        break;
      case 'm':
        number(now.month, 2);
        break;
      case 'd':
        number(now.day, 2);
        break;
      case 'e':
        out += plain ? fmt::format("{}", now.day) : fmt::format("{:2}", now.day);
        break;
      case 'H':
        number(now.hour, 2);
        break;
      case 'I':
        number(hour, 2);
        break;
      case 'M':
        number(now.minute, 2);
        break;
      case 'S':
        number(now.second, 2);
        break;
      case 'j':
        number(year_day, 3);
        break;
      case 'f':
        out += "000000";
        break;
      case 'B':
        out += month;
        break;
      case 'b':
      case 'h':
        out += month.substr(0, 3);
        break;
      case 'A':
        out += kDays[day];
        break;
      case 'a':
        out += kDays[day].substr(0, 3);
        break;
      case 'p':
        out += now.hour < 12 ? "AM" : "PM";
        break;
      case 'w':
        number(static_cast<int>(day), 1);
        break;
      case 'u':
        number(day == 0 ? 7 : static_cast<int>(day), 1);
        break;
      case 'U':
        number((year_day + 6 - static_cast<int>(day)) / 7, 2);
        break;
      case 'W':
        number((year_day + 6 - (static_cast<int>(day) + 6) % 7) / 7, 2);
        break;
      case 'F':
        out += date_text(run, now, "%Y-%m-%d");
        break;
      case 'T':
      case 'X':
        out += date_text(run, now, "%H:%M:%S");
        break;
      case 'R':
        out += date_text(run, now, "%H:%M");
        break;
      case 'D':
      case 'x':
        out += date_text(run, now, "%m/%d/%y");
        break;
      case 'c':
        out += date_text(run, now, "%a %b %e %H:%M:%S %Y");
        break;
      case 'n':
        out += '\n';
        break;
      case 't':
        out += '\t';
        break;
      case 'Z':
      case 'z':
        break;  // a time without a zone
      case '%':
        out += '%';
        break;
      default:
        run.fail("strftime_now does not know %{}", shown(std::string_view(&letter, 1)));
    }
  }
  return out;
}

Value strftime_now(const Arguments& all) {
  if (!all[0].is(Kind::string)) all.run.fail("strftime_now takes a text");
  return text(all.run, date_text(all.run, all.run.now(), all[0].text()));
}

constexpr Builtin kGlobals[] = {
    {"range", range, "*"},
    {"dict", make_dict, "*"},
    {"namespace", make_namespace, "*"},
    {"raise_exception", raise_exception, "message", 1},
    {"strftime_now", strftime_now, "format", 1},
};

}  // namespace

std::span<const Builtin> global_functions() noexcept { return kGlobals; }

}  // namespace regard::chat
