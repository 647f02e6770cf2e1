// Error: the one exception of regard. Its message is one line that names the call, file, key or
// flag, the rule that was broken, the numbers, and where there is one the remedy.
#pragma once

#include <stdexcept>
#include <string>

namespace regard {

enum class ErrorKind {
  invalid_argument,  // a shape, option or value that breaks a stated rule
  unreadable,        // a model or file that cannot be read or is damaged
  out_of_memory,     // the system or a fixed budget has no room left
  failed,            // anything else: a full disk, a broken pipe
};

class Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, const std::string& message) : std::runtime_error(message), kind_(kind) {}
  ErrorKind kind() const noexcept { return kind_; }

 private:
  ErrorKind kind_;
};

}  // namespace regard
