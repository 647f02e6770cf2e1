#include "values/operators.h"

#include <algorithm>
#include <cmath>

#include "values/convert.h"
#include "values/format.h"
#include "values/print.h"

namespace regard::chat {
namespace {

constexpr std::string_view kSigns[] = {"+", "-", "*", "/", "//", "%", "**"};

[[noreturn]] void refuse(Run& run, Operator what, const Value& a, const Value& b) {
  defined(run, a);
  defined(run, b);
  if (what == Operator::add && a.is(Kind::string)) {
    run.fail("can only concatenate str (not \"{}\") to str", type_name(b));
  }
  run.fail("unsupported operand types for {}: '{}' and '{}'",
           kSigns[static_cast<std::size_t>(what)], type_name(a), type_name(b));
}

[[noreturn]] void overflow(Run& run, Operator what) {
  run.fail("the result of {} is beyond whole numbers of 64 bits",
           kSigns[static_cast<std::size_t>(what)]);
}

int64_t floor_quotient(int64_t a, int64_t b) noexcept {
  const int64_t quotient = a / b;
  return a % b != 0 && (a < 0) != (b < 0) ? quotient - 1 : quotient;
}

double floor_remainder(double a, double b) noexcept {
  double rest = std::fmod(a, b);
  if (rest != 0) {
    if ((b < 0) != (rest < 0)) rest += b;
  } else {
    rest = std::copysign(0.0, b);
  }
  return rest;
}

Value power_of(Run& run, int64_t base, int64_t exponent) {
  if (exponent < 0) {
    if (base == 0) run.fail("0 cannot be raised to a negative power");
    return real(std::pow(static_cast<double>(base), static_cast<double>(exponent)));
  }
  int64_t result = 1;
  if (base == 0 || base == 1 || base == -1) {
    if (base != -1) return integer(exponent == 0 ? 1 : base);
    return integer(exponent % 2 == 0 ? 1 : -1);
  }
  for (; exponent > 0; --exponent) {  // at most 63 times
    if (__builtin_mul_overflow(result, base, &result)) overflow(run, Operator::power);
  }
  return integer(result);
}

Value whole(Run& run, Operator what, int64_t a, int64_t b) {
  int64_t result = 0;
  switch (what) {
    case Operator::add:
      if (__builtin_add_overflow(a, b, &result)) overflow(run, what);
      return integer(result);
    case Operator::subtract:
      if (__builtin_sub_overflow(a, b, &result)) overflow(run, what);
      return integer(result);
    case Operator::multiply:
      if (__builtin_mul_overflow(a, b, &result)) overflow(run, what);
      return integer(result);
    case Operator::power:
      return power_of(run, a, b);
    case Operator::divide:
      if (b == 0) run.fail("division by zero");
      return real(static_cast<double>(a) / static_cast<double>(b));
    default:
      break;
  }
  if (b == 0) run.fail("integer division or modulo by zero");
  if (b == -1) {  // the quotient of the least number does not fit
    if (what == Operator::modulo) return integer(0);
    if (a == INT64_MIN) overflow(run, what);
    return integer(-a);
  }
  const int64_t quotient = floor_quotient(a, b);
  return integer(what == Operator::floor_divide ? quotient : a - quotient * b);
}

Value fractional(Run& run, Operator what, double a, double b) {
  switch (what) {
    case Operator::add:
      return real(a + b);
    case Operator::subtract:
      return real(a - b);
    case Operator::multiply:
      return real(a * b);
    case Operator::power: {
      if (a == 0 && b < 0) run.fail("0.0 cannot be raised to a negative power");
      const double result = std::pow(a, b);
      if (std::isnan(result) && !std::isnan(a) && !std::isnan(b)) {
        run.fail("a negative number cannot be raised to a fractional power");
      }
      if (std::isinf(result) && !std::isinf(a) && !std::isinf(b)) run.fail("result too large");
      return real(result);
    }
    default:
      break;
  }
  if (b == 0) run.fail("float division or modulo by zero");
  if (what == Operator::divide) return real(a / b);
  const double rest = floor_remainder(a, b);
  if (what == Operator::modulo) return real(rest);
  return real(std::round((a - rest) / b));
}

Value repeated(Run& run, const Value& value, int64_t times) {
  times = std::max<int64_t>(times, 0);
  if (value.is(Kind::string)) {
    const String& string = *value.string;
    if (string.size == 0) return value;
    run.room(times > INT64_MAX / string.size ? INT64_MAX : times * string.size);
    Text out(run);
    run.step(times / 4);
    for (int64_t i = 0; i < times; ++i) out.add(string);
    return as_markup(run, *out.finish().string, string.markup);
  }
  const Sequence& all = *value.sequence;
  if (all.size == 0) times = 0;
  if (times > 0 && all.size > INT64_MAX / 64 / times) run.room(INT64_MAX);
  const int64_t count = all.size * times;
  run.step(count / 4);
  Value* data = run.make<Value>(count);
  for (int64_t i = 0; i < count; ++i) data[i] = all.data[i % all.size];
  auto* made = run.make<Sequence>(1);
  *made = {data, count, all.kind, 0};
  return {.kind = Kind::sequence, .sequence = made};
}

bool is_list(const Value& value, SequenceKind kind) noexcept {
  return value.is(Kind::sequence) && value.sequence->kind == kind;
}

bool repeats(const Value& value) noexcept {
  return value.is(Kind::string) || is_list(value, SequenceKind::list) ||
         is_list(value, SequenceKind::tuple);
}

Value joined(Run& run, const Sequence& a, const Sequence& b) {
  run.step((a.size + b.size) / 4);
  Value* data = run.make<Value>(a.size + b.size);
  std::copy_n(b.data, b.size, std::copy_n(a.data, a.size, data));
  auto* made = run.make<Sequence>(1);
  *made = {data, a.size + b.size, a.kind, 0};
  return {.kind = Kind::sequence, .sequence = made};
}

}  // namespace

Value arithmetic(Run& run, Operator what, const Value& a, const Value& b) {
  run.step();
  if (is_number(a) && is_number(b)) {
    if (a.is(Kind::real) || b.is(Kind::real)) return fractional(run, what, as_real(a), as_real(b));
    return whole(run, what, as_integer(a), as_integer(b));
  }
  if (what == Operator::add && a.is(Kind::string) && b.is(Kind::string)) {
    if (a.string->markup == b.string->markup) return concat(run, *a.string, *b.string);
    const Value left = escaped(run, a);
    const Value right = escaped(run, b);
    return concat(run, *left.string, *right.string);
  }
  if (what == Operator::add) {
    for (const SequenceKind kind : {SequenceKind::list, SequenceKind::tuple}) {
      if (is_list(a, kind) && is_list(b, kind)) return joined(run, *a.sequence, *b.sequence);
    }
  }
  if (what == Operator::modulo && a.is(Kind::string)) return format_percent(run, *a.string, b);
  if (what == Operator::multiply) {
    const auto count = [](const Value& value) {
      return value.is(Kind::integer) || value.is(Kind::boolean);
    };
    if (repeats(a) && count(b)) return repeated(run, a, as_integer(b));
    if (repeats(b) && count(a)) return repeated(run, b, as_integer(a));
  }
  refuse(run, what, a, b);
}

Value negated(Run& run, const Value& value) {
  defined(run, value);
  if (value.is(Kind::real)) return real(-value.real);
  if (!is_number(value)) run.fail("bad operand type for unary -: '{}'", type_name(value));
  return whole(run, Operator::subtract, 0, as_integer(value));
}

Value identity(Run& run, const Value& value) {
  defined(run, value);
  if (value.is(Kind::real)) return value;
  if (!is_number(value)) run.fail("bad operand type for unary +: '{}'", type_name(value));
  return integer(as_integer(value));
}

bool compared(Run& run, Operator what, const Value& a, const Value& b) {
  run.step();
  const auto nan = [](const Value& value) {
    return value.is(Kind::real) && std::isnan(value.real);
  };
  const bool unordered = is_number(a) && is_number(b) && (nan(a) || nan(b));
  switch (what) {
    case Operator::equal:
      return equal(run, a, b);
    case Operator::not_equal:
      return !equal(run, a, b);
    case Operator::less:
      return !unordered && compare(run, a, b, "<") < 0;
    case Operator::less_equal:
      return !unordered && compare(run, a, b, "<=") <= 0;
    case Operator::greater:
      return !unordered && compare(run, a, b, ">") > 0;
    case Operator::greater_equal:
      return !unordered && compare(run, a, b, ">=") >= 0;
    case Operator::in:
      return contains(run, b, a);
    case Operator::not_in:
      return !contains(run, b, a);
    default:
      return false;
  }
}

namespace {

Value method(Run& run, const Value& object, const Builtin& builtin) {
  auto* made = run.make<Function>(1);
  *made = {builtin.name, &builtin, object, nullptr};
  return {.kind = Kind::function, .function = made};
}

std::span<const Builtin> methods_of(const Value& object) noexcept {
  if (object.is(Kind::string)) return string_methods();
  if (object.is(Kind::dict)) return dict_methods();
  if (object.is(Kind::sequence)) return sequence_methods(*object.sequence);
  return {};
}

// What Python's getattr finds: methods, the attributes of a namespace.
std::optional<Value> own_attribute(Run& run, const Value& object, std::string_view name) {
  if (name.starts_with("__")) {
    return undefined(run, name, type_name(object), "access to an underscored attribute is unsafe");
  }
  if (object.is(Kind::name_space)) {
    if (const Value* found = find(*object.name_space, name)) return *found;
    return std::nullopt;
  }
  if (object.is(Kind::sequence) && object.sequence->kind == SequenceKind::group) {
    if (name == "grouper") return object.sequence->data[0];
    if (name == "list") return object.sequence->data[1];
  }
  if (const Builtin* builtin = find_builtin(methods_of(object), name)) {
    if (builtin->run == nullptr) {
      return undefined(run, name, type_name(object),
                       "a template may not change a list or dict: append, pop, update and the like "
                       "are unsafe");
    }
    return method(run, object, *builtin);
  }
  return std::nullopt;
}

std::optional<Value> own_element(Run& run, const Value& object, const Value& key) {
  if (object.is(Kind::dict)) {
    if (key.is(Kind::dict) || (key.is(Kind::sequence) && !is_list(key, SequenceKind::tuple))) {
      return std::nullopt;  // Python's TypeError, which subscripts forgive
    }
    if (const Value* found = find(run, *object.dict, key)) return *found;
    return std::nullopt;
  }
  if (!key.is(Kind::integer) && !key.is(Kind::boolean)) return std::nullopt;
  int64_t index = as_integer(key);
  if (object.is(Kind::sequence) && (object.sequence->kind <= SequenceKind::range)) {
    if (index < 0) index += object.sequence->size;
    if (index < 0 || index >= object.sequence->size) return std::nullopt;
    return object.sequence->data[index];
  }
  if (object.is(Kind::string)) {
    if (index < 0) index += characters(run, *object.string);
    if (index < 0 || index >= object.string->size) return std::nullopt;
    const int64_t at = byte_of(run, *object.string, index);
    if (at >= object.string->size) return std::nullopt;
    return part(run, *object.string, at, at + character_bytes(object.string->data + at));
  }
  return std::nullopt;
}

}  // namespace

Value attribute(Run& run, const Value& object, const Value& name) {
  defined(run, object);
  run.step();
  if (const auto found = own_attribute(run, object, name.text())) return *found;
  if (const auto found = own_element(run, object, name)) return *found;
  return undefined(run, name.text(), type_name(object));
}

Value subscript(Run& run, const Value& object, const Value& key) {
  defined(run, object);
  run.step();
  if (const auto found = own_element(run, object, key)) return *found;
  if (key.is(Kind::string)) {
    if (const auto found = own_attribute(run, object, key.text())) return *found;
    return undefined(run, key.text(), type_name(object));
  }
  const Value name = to_string(run, key);
  return undefined(run, name.text(), type_name(object));
}

Value slice(Run& run, const Value& object, const Bounds& bounds) {
  defined(run, object);
  const auto number = [&](const Value& value, int64_t other) {
    if (value.is(Kind::none)) return other;
    if (!value.is(Kind::integer) && !value.is(Kind::boolean)) {
      run.fail("slice indices must be integers or None, not {}", type_name(value));
    }
    return as_integer(value);
  };
  const bool text = object.is(Kind::string);
  if (!text && !(object.is(Kind::sequence) && object.sequence->kind <= SequenceKind::range)) {
    run.fail("'{}' object cannot be sliced", type_name(object));
  }
  const int64_t size = *length(run, object);
  const int64_t step = std::max<int64_t>(number(bounds.step, 1), -INT64_MAX);
  if (step == 0) run.fail("slice step cannot be zero");
  const auto clamp = [&](int64_t index) {
    if (index < 0) index = index < -size ? -1 : index + size;
    const int64_t low = step < 0 ? -1 : 0;
    const int64_t high = step < 0 ? size - 1 : size;
    return std::min(std::max(index, low), high);
  };
  const int64_t from =
      bounds.from.is(Kind::none) ? (step < 0 ? size - 1 : 0) : clamp(number(bounds.from, 0));
  const int64_t to =
      bounds.to.is(Kind::none) ? (step < 0 ? -1 : size) : clamp(number(bounds.to, 0));
  int64_t count = 0;
  if (step > 0 && to > from) count = (to - from - 1) / step + 1;
  if (step < 0 && to < from) count = (from - to - 1) / -step + 1;
  run.step(count / 8);
  if (text && step == 1) {
    const int64_t begin = byte_of(run, *object.string, from);
    const int64_t end = count == 0 ? begin : byte_of(run, *object.string, to);
    return part(run, *object.string, begin, end);
  }
  if (!text) {
    Value* data = run.make<Value>(count);
    for (int64_t i = 0; i < count; ++i) data[i] = object.sequence->data[from + i * step];
    auto* made = run.make<Sequence>(1);
    *made = {data, count, object.sequence->kind, 0};
    return {.kind = Kind::sequence, .sequence = made};
  }
  const auto all = *elements(run, object);
  Text out(run);
  for (int64_t i = 0; i < count; ++i) {
    run.step();
    out.add(*all[static_cast<std::size_t>(from + i * step)].string);
  }
  return out.finish();
}

}  // namespace regard::chat
