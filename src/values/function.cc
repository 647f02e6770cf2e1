#include "values/function.h"

#include <algorithm>
#include <array>

#include "values/text.h"

namespace regard::chat {
namespace {

constexpr std::size_t kMostParameters = 8;

// The next word of a list of parameters.
std::string_view next_word(std::string_view& words) noexcept {
  const std::size_t end = std::min(words.find(' '), words.size());
  const std::string_view word = words.substr(0, end);
  words.remove_prefix(std::min(end + 1, words.size()));
  return word;
}

}  // namespace

const Builtin* find_builtin(std::span<const Builtin> table, std::string_view name) noexcept {
  for (const Builtin& builtin : table) {
    if (builtin.name == name) return &builtin;
  }
  return nullptr;
}

Value invoke(Run& run, Evaluator& evaluator, const Builtin& builtin, const Value& self,
             const Call& call) {
  run.step();
  if (builtin.parameters == "*") return builtin.run({run, evaluator, self, {}, call});
  std::array<Value, kMostParameters> given;
  given.fill(missing());
  std::size_t count = 0;
  std::size_t named = 0;
  for (std::string_view words = builtin.parameters; !words.empty(); ++count) {
    const std::string_view word = next_word(words);
    if (count < call.positional.size()) given[count] = call.positional[count];
    for (const auto& [name, value] : call.named) {
      if (name != word) continue;
      if (!given[count].is(Kind::missing)) {
        run.fail("{}() got multiple values for argument '{}'", builtin.name, word);
      }
      given[count] = value;
      ++named;
    }
    if (static_cast<int>(count) < builtin.required && given[count].is(Kind::missing)) {
      run.fail("{}() needs its argument '{}'", builtin.name, word);
    }
  }
  if (call.positional.size() > count) {
    run.fail("{}() takes at most {} arguments, {} are given", builtin.name, count,
             call.positional.size());
  }
  if (named < call.named.size()) {
    for (const auto& [name, value] : call.named) {
      std::string_view words = builtin.parameters;
      bool known = false;
      while (!words.empty()) known |= next_word(words) == name;
      if (!known) {
        run.fail("{}() got an unexpected keyword argument '{}'", builtin.name, shown(name));
      }
    }
  }
  return builtin.run({run, evaluator, self, {given.data(), count}, call});
}

}  // namespace regard::chat
