// What may stand behind `is`.
#include "chat/builtins.h"
#include "values/character.h"
#include "values/methods.h"
#include "values/operators.h"
#include "values/print.h"

namespace regard::chat {
namespace {

int64_t modulo_of(const Arguments& all, int64_t by) {
  const Value rest = arithmetic(all.run, Operator::modulo, all.self, integer(by));
  return equal(all.run, rest, integer(1)) ? 1 : equal(all.run, rest, integer(0)) ? 0 : -1;
}

Value odd(const Arguments& all) { return boolean(modulo_of(all, 2) == 1); }
Value even(const Arguments& all) { return boolean(modulo_of(all, 2) == 0); }
Value divisible(const Arguments& all) {
  const Value rest = arithmetic(all.run, Operator::modulo, all.self, all[0]);
  return boolean(equal(all.run, rest, integer(0)));
}
Value is_defined(const Arguments& all) { return boolean(!is_undefined(all.self)); }
Value is_not_defined(const Arguments& all) { return boolean(is_undefined(all.self)); }

template <Kind kind>
Value of_kind(const Arguments& all) {
  return boolean(all.self.is(kind));
}

template <bool wanted>
Value exactly(const Arguments& all) {
  return boolean(all.self.is(Kind::boolean) && all.self.boolean == wanted);
}

Value number(const Arguments& all) { return boolean(is_number(all.self)); }

template <bool (*wanted)(char32_t), bool (*other)(char32_t)>
Value of_case(const Arguments& all) {
  return boolean(all_of_case(all.run, *to_string(all.run, all.self).string, wanted, other));
}

Value is_sequence(const Arguments& all) {
  switch (all.self.kind) {
    case Kind::undefined:
    case Kind::string:
    case Kind::dict:
      return boolean(true);
    case Kind::sequence:
      return boolean(all.self.sequence->kind <= SequenceKind::range);
    default:
      return boolean(false);
  }
}

Value is_iterable(const Arguments& all) {
  switch (all.self.kind) {
    case Kind::undefined:
    case Kind::string:
    case Kind::dict:
    case Kind::sequence:
    case Kind::loop:
      return boolean(true);
    default:
      return boolean(false);
  }
}

Value is_callable(const Arguments& all) {
  return boolean(all.self.is(Kind::function) || all.self.is(Kind::loop) ||
                 all.self.is(Kind::undefined));
}

// `is` of Python: the same object, and the same value of what has no identity to see.
Value same_as(const Arguments& all) {
  const Value& a = all.self;
  const Value& b = all[0];
  if (a.kind != b.kind) return boolean(false);
  switch (a.kind) {
    case Kind::string:
    case Kind::none:
    case Kind::boolean:
    case Kind::integer:
    case Kind::real:
      return boolean(equal(all.run, a, b));
    default:
      return boolean(a.integer == b.integer);  // the pointers
  }
}

Value is_escaped(const Arguments& all) {
  return boolean(all.self.is(Kind::string) && all.self.string->markup);
}

Value is_in(const Arguments& all) { return boolean(contains(all.run, all[0], all.self)); }

Value is_filter(const Arguments& all) {
  return boolean(all.self.is(Kind::string) && find_filter(all.self.text()) != nullptr);
}

Value is_test(const Arguments& all) {
  return boolean(all.self.is(Kind::string) && find_test(all.self.text()) != nullptr);
}

template <Operator what>
Value comparing(const Arguments& all) {
  return boolean(compared(all.run, what, all.self, all[0]));
}

constexpr Builtin kTests[] = {
    {"defined", is_defined},
    {"undefined", is_not_defined},
    {"none", of_kind<Kind::none>},
    {"string", of_kind<Kind::string>},
    {"mapping", of_kind<Kind::dict>},
    {"iterable", is_iterable},
    {"sequence", is_sequence},
    {"number", number},
    {"integer", of_kind<Kind::integer>},
    {"float", of_kind<Kind::real>},
    {"boolean", of_kind<Kind::boolean>},
    {"true", exactly<true>},
    {"false", exactly<false>},
    {"odd", odd},
    {"even", even},
    {"divisibleby", divisible, "num", 1},
    {"lower", of_case<is_lower, is_upper>},
    {"upper", of_case<is_upper, is_lower>},
    {"callable", is_callable},
    {"sameas", same_as, "other", 1},
    {"escaped", is_escaped},
    {"in", is_in, "seq", 1},
    {"filter", is_filter},
    {"test", is_test},
    {"eq", comparing<Operator::equal>, "b", 1},
    {"equalto", comparing<Operator::equal>, "b", 1},
    {"==", comparing<Operator::equal>, "b", 1},
    {"ne", comparing<Operator::not_equal>, "b", 1},
    {"!=", comparing<Operator::not_equal>, "b", 1},
    {"lt", comparing<Operator::less>, "b", 1},
    {"lessthan", comparing<Operator::less>, "b", 1},
    {"<", comparing<Operator::less>, "b", 1},
    {"le", comparing<Operator::less_equal>, "b", 1},
    {"<=", comparing<Operator::less_equal>, "b", 1},
    {"gt", comparing<Operator::greater>, "b", 1},
    {"greaterthan", comparing<Operator::greater>, "b", 1},
    {">", comparing<Operator::greater>, "b", 1},
    {"ge", comparing<Operator::greater_equal>, "b", 1},
    {">=", comparing<Operator::greater_equal>, "b", 1},
};

}  // namespace

const Builtin* find_test(std::string_view name) noexcept { return find_builtin(kTests, name); }

}  // namespace regard::chat
