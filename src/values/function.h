// Function: what a template can call. Those that are built in declare their parameters, and find
// their arguments in that order.
#pragma once

#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "values/value.h"

namespace regard::chat {

class Evaluator;
struct Macro;  // chat/evaluate.h

struct Call {
  std::vector<Value> positional;
  std::vector<std::pair<std::string_view, Value>> named;
};

// What a built-in function finds: self is what a filter or method works on.
struct Arguments {
  Run& run;
  Evaluator& evaluator;
  Value self;
  std::span<const Value> given;  // one for each parameter; missing where it was not given
  const Call& call;              // as written, for functions of any arguments

  const Value& operator[](std::size_t index) const noexcept { return given[index]; }
  bool has(std::size_t index) const noexcept { return !given[index].is(Kind::missing); }
};

struct Builtin {
  std::string_view name;
  Value (*run)(const Arguments& arguments);
  std::string_view parameters = {};  // "old new count", or "*" for any arguments
  int required = 0;                  // of the parameters, from the left
};

// The name, or null.
const Builtin* find_builtin(std::span<const Builtin> table, std::string_view name) noexcept;

// Binds the arguments and runs. Throws for too many, too few, unknown and doubled ones.
Value invoke(Run& run, Evaluator& evaluator, const Builtin& builtin, const Value& self,
             const Call& call);

struct Function {
  std::string_view name;
  const Builtin* builtin = nullptr;  // or one of those below
  Value self = {};                   // of a method
  const Macro* macro = nullptr;
};

}  // namespace regard::chat
