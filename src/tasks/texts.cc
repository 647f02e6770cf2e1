// Tasks over characters: dates as people write them to ISO 8601, and sums of numbers.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "tasks/draw.h"

namespace regard::tasks {
namespace {

constexpr std::string_view kCharacters =
    " ,-./+0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
constexpr std::array<std::string_view, 12> kMonths = {
    "January", "February", "March",     "April",   "May",      "June",
    "July",    "August",   "September", "October", "November", "December"};

std::vector<std::string> characters(const TaskOptions&) {
  std::vector<std::string> made;
  for (const char c : kCharacters) made.emplace_back(1, c);
  return made;
}

Id id_of(char c) { return static_cast<Id>(kFirstSymbol + static_cast<Id>(kCharacters.find(c))); }

void append(std::vector<Id>& ids, std::string_view text) {
  for (const char c : text) ids.push_back(id_of(c));
}

int64_t days_of(int64_t month, int64_t year) {
  if (month == 2) return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28;
  return month == 4 || month == 6 || month == 9 || month == 11 ? 30 : 31;
}

// A date in parts, in the order in which a way of writing has them.
struct Writer {
  std::string text;
  std::size_t day = 0, month = 0, year = 0;  // where each begins

  void put_day(int64_t value) {
    day = text.size();
    text += fmt::format("{}", value);
  }
  void put_month(std::string_view name) {
    month = text.size();
    text += name;
  }
  void put_year(int64_t value) {
    year = text.size();
    text += fmt::format("{}", value);
  }
};

Example dates(const Task&, uint64_t stream) {
  Draw draw(stream);
  const int64_t year = draw.between(1900, 2099), month = draw.between(1, 12);
  const int64_t day = draw.between(1, days_of(month, year));
  const std::string_view name = kMonths[static_cast<std::size_t>(month - 1)];
  Writer to;
  switch (draw.between(0, 4)) {
    case 0:  // 3 May 1999
      to.put_day(day), to.text += ' ', to.put_month(name), to.text += ' ', to.put_year(year);
      break;
    case 1:  // May 3, 1999
      to.put_month(name), to.text += ' ', to.put_day(day), to.text += ", ", to.put_year(year);
      break;
    case 2:  // 3 Sep 1999
      to.put_day(day), to.text += ' ', to.put_month(name.substr(0, 3)), to.text += ' ';
      to.put_year(year);
      break;
    case 3:  // 1999, 3 May
      to.put_year(year), to.text += ", ", to.put_day(day), to.text += ' ', to.put_month(name);
      break;
    default:  // 3/5/1999, the day first
      to.put_day(day), to.text += '/', to.put_month(fmt::format("{}", month)), to.text += '/';
      to.put_year(year);
  }
  Example made;
  append(made.source, to.text);
  append(made.target, fmt::format("{:04}-{:02}-{:02}", year, month, day));
  const auto y = static_cast<int32_t>(to.year), m = static_cast<int32_t>(to.month),
             d = static_cast<int32_t>(to.day);
  // A digit that is written stands for itself; of a month's name it is the first letter; a zero in
  // front is made of nothing.
  const bool in_digits = to.text[to.month] >= '0' && to.text[to.month] <= '9';
  const int32_t m_low = in_digits && month >= 10 ? m + 1 : m;
  const int32_t m_high = month < 10 && in_digits ? -1 : m;
  made.alignment = {
      y, y + 1, y + 2, y + 3, -1, m_high, m_low, -1, day < 10 ? -1 : d, day < 10 ? d : d + 1};
  return made;
}

Example addition(const Task& task, uint64_t stream) {
  Draw draw(stream);
  const int64_t digits = std::clamp<int64_t>((task.options().longest - 1) / 2, 1, 9);
  const auto number = [&] {
    int64_t bound = 1;
    for (int64_t i = draw.between(1, digits); i > 0; --i) bound *= 10;
    return draw.between(0, bound - 1);
  };
  const int64_t a = number(), b = number();
  Example made;
  append(made.source, fmt::format("{}+{}", a, b));
  append(made.target, fmt::format("{}", a + b));
  return made;
}

}  // namespace

const Maker kDates{"dates", characters, dates, true};
const Maker kAddition{"addition", characters, addition, false, false, 3};

}  // namespace regard::tasks
