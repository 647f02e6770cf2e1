#include "models/tensor_names.h"

#include <algorithm>

namespace regard::models {

Pattern pattern_of(std::string_view name, int64_t most) {
  constexpr std::size_t kMostDigits = 7;
  Pattern found;
  while (true) {
    const std::size_t dot = std::min(name.find('.'), name.size());
    const std::string_view part = name.substr(0, dot);
    const bool number = std::ssize(found.numbers) < most && !part.empty() &&
                        part.size() <= kMostDigits &&
                        part.find_first_not_of("0123456789") == std::string_view::npos;
    if (number) found.numbers.push_back(std::stoll(std::string(part)));
    found.text += number ? "{}" : part;
    if (dot == name.size()) return found;
    found.text += '.';
    name.remove_prefix(dot + 1);
  }
}

std::string fill(std::string_view pattern, std::span<const int64_t> numbers) {
  std::string text;
  for (const int64_t number : numbers) {
    const std::size_t at = pattern.find("{}");
    if (at == std::string_view::npos) break;
    text += pattern.substr(0, at);
    text += std::to_string(number);
    pattern.remove_prefix(at + 2);
  }
  return text += pattern;
}

}  // namespace regard::models
