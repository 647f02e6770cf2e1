// require() and fail(): how a public boundary refuses bad input, in one line.
#pragma once

#include <fmt/format.h>

#include <string>
#include <utility>

#include "regard/error.h"

namespace regard {

template <class... Args>
[[noreturn]] void fail(ErrorKind kind, fmt::format_string<Args...> format, Args&&... args) {
  throw Error(kind, fmt::format(format, std::forward<Args>(args)...));
}

// Throws Error(invalid_argument) unless the rule holds.
template <class... Args>
void require(bool rule_holds, fmt::format_string<Args...> format, Args&&... args) {
  if (!rule_holds) [[unlikely]] {
    fail(ErrorKind::invalid_argument, format, std::forward<Args>(args)...);
  }
}

}  // namespace regard
