// What operators do to values: arithmetic, comparison, subscripts, attributes.
#pragma once

#include "values/function.h"
#include "values/value.h"

namespace regard::chat {

enum class Operator : uint8_t {
  add,
  subtract,
  multiply,
  divide,
  floor_divide,
  modulo,
  power,
  equal,
  not_equal,
  less,
  less_equal,
  greater,
  greater_equal,
  in,
  not_in,
};

Value arithmetic(Run& run, Operator what, const Value& a, const Value& b);
Value negated(Run& run, const Value& value);
Value identity(Run& run, const Value& value);  // +value
bool compared(Run& run, Operator what, const Value& a, const Value& b);

// object.name and object[key]; what is not there is undefined, and so is what the sandbox hides.
Value attribute(Run& run, const Value& object, const Value& name);
Value subscript(Run& run, const Value& object, const Value& key);
struct Bounds {
  Value from, to, step;  // each a whole number or none
};
Value slice(Run& run, const Value& object, const Bounds& bounds);

// Tables that each kind of object brings; see methods.cc and the room above.
std::span<const Builtin> string_methods() noexcept;
std::span<const Builtin> dict_methods() noexcept;
std::span<const Builtin> sequence_methods(const Sequence& sequence) noexcept;

}  // namespace regard::chat
