// Filters of numbers and of single values: int, float, round, default, length.
#include <cmath>

#include "chat/builtins.h"
#include "values/convert.h"
#include "values/operators.h"
#include "values/print.h"

namespace regard::chat {
namespace {

Value absolute(const Arguments& all) {
  defined(all.run, all.self);
  if (!is_number(all.self)) all.run.fail("bad operand type for abs(): '{}'", type_name(all.self));
  if (all.self.is(Kind::real)) return real(std::fabs(all.self.real));
  const int64_t number = as_integer(all.self);
  return number < 0 ? negated(all.run, all.self) : integer(number);
}

Value truncated(const Arguments& all, double number, const Value& other) {
  if (std::isnan(number)) return other;
  if (!(std::fabs(number) < 0x1p63)) {
    if (std::isinf(number)) return other;
    all.run.fail("{} is beyond whole numbers of 64 bits", real_text(number));
  }
  return integer(static_cast<int64_t>(number));
}

Value to_integer(const Arguments& all) {
  const Value other = all.has(0) ? all[0] : integer(0);
  defined(all.run, all.self);
  if (all.self.is(Kind::real)) {
    if (std::isinf(all.self.real)) all.run.fail("cannot convert float infinity to integer");
    return truncated(all, all.self.real, other);
  }
  if (is_number(all.self)) return integer(as_integer(all.self));
  if (!all.self.is(Kind::string)) return other;
  int64_t base = 10;
  if (all.has(1)) {
    if (!all[1].is(Kind::integer)) all.run.fail("the base of int is a whole number");
    base = all[1].integer;
  }
  if (const auto number = parse_integer(all.run, all.self.text(), base)) return integer(*number);
  const auto number = parse_real(all.self.text());
  return number ? truncated(all, *number, other) : other;
}

Value to_real(const Arguments& all) {
  const Value other = all.has(0) ? all[0] : real(0);
  defined(all.run, all.self);
  if (is_number(all.self)) return real(as_real(all.self));
  if (!all.self.is(Kind::string)) return other;
  const auto number = parse_real(all.self.text());
  return number ? real(*number) : other;
}

// Half to even of the decimal digits, as Python rounds.
double rounded(double number, int64_t digits) {
  if (!std::isfinite(number) || digits > 300) return number;
  if (digits < 0) {
    const double scale = std::pow(10.0, static_cast<double>(-std::max<int64_t>(digits, -308)));
    return std::nearbyint(number / scale) * scale;
  }
  return *parse_real(fmt::format("{:.{}f}", number, static_cast<int>(digits)));
}

Value round(const Arguments& all) {
  Run& run = all.run;
  if (!is_number(all.self)) {
    defined(run, all.self);
    run.fail("type {} doesn't define __round__ method", type_name(all.self));
  }
  if (all.has(0) && !all[0].is(Kind::integer)) run.fail("the precision of round is a whole number");
  const int64_t digits = all.has(0) ? all[0].integer : 0;
  const std::string_view method = all.has(1) && all[1].is(Kind::string) ? all[1].text()
                                  : all.has(1)                          ? "?"
                                                                        : "common";
  if (method == "common") {
    if (all.self.is(Kind::real)) return real(rounded(all.self.real, digits));
    const int64_t number = as_integer(all.self);
    if (digits >= 0) return integer(number);
    return integer(static_cast<int64_t>(rounded(static_cast<double>(number), digits)));
  }
  if (method != "ceil" && method != "floor") run.fail("method must be common, ceil or floor");
  const double scale = std::pow(10.0, static_cast<double>(std::min<int64_t>(digits, 308)));
  const double scaled = as_real(all.self) * scale;
  return real((method == "ceil" ? std::ceil(scaled) : std::floor(scaled)) / scale);
}

Value default_value(const Arguments& all) {
  const bool asked = all.has(1) && truth(all[1]);
  if (is_undefined(all.self) || (asked && !truth(all.self))) {
    return all.has(0) ? all[0] : fixed_text(all.run, "");
  }
  return all.self;
}

Value size(const Arguments& all) {
  const auto count = length(all.run, all.self);
  if (!count) all.run.fail("object of type '{}' has no len()", type_name(all.self));
  return integer(*count);
}

// The attribute alone: an element of the same name does not count.
Value attr(const Arguments& all) {
  if (!all[0].is(Kind::string)) all.run.fail("attr needs the name of an attribute");
  defined(all.run, all.self);
  if (all.self.is(Kind::dict) && find_builtin(dict_methods(), all[0].text()) == nullptr) {
    return undefined(all.run, all[0].text(), "dict");
  }
  return attribute(all.run, all.self, all[0]);
}

constexpr Builtin kFilters[] = {
    {"length", size},
    {"count", size},
    {"default", default_value, "default_value boolean"},
    {"d", default_value, "default_value boolean"},
    {"int", to_integer, "default base"},
    {"float", to_real, "default"},
    {"abs", absolute},
    {"round", round, "precision method"},
    {"attr", attr, "name", 1},
};

}  // namespace

std::span<const Builtin> number_filters() noexcept { return kFilters; }

}  // namespace regard::chat
