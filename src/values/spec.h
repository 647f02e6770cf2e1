// A format specification, and values written as it says.
#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>

#include "values/text.h"

namespace regard::chat {

// [[fill]align][sign][#][0][width][,][.precision][type], of Python's format(); what % writes is
// turned into one.
struct Spec {
  std::string fill = " ";
  char align = 0;  // < > ^ =
  char sign = '-';
  bool alternate = false;
  int64_t width = 0;
  char grouping = 0;
  int64_t precision = -1;
  char type = 0;
};

// Reads a format from left to right.
class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}
  bool end() const noexcept { return at_ >= text_.size(); }
  char peek(std::size_t ahead = 0) const noexcept {
    return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0';
  }
  char next() noexcept { return end() ? '\0' : text_[at_++]; }
  bool skip(char c) noexcept {
    if (peek() != c || end()) return false;
    ++at_;
    return true;
  }
  std::optional<int64_t> number() noexcept {
    if (peek() < '0' || peek() > '9') return std::nullopt;
    int64_t value = 0;
    while (peek() >= '0' && peek() <= '9') {
      value = std::min<int64_t>(value * 10 + (next() - '0'), INT32_MAX);
    }
    return value;
  }
  std::size_t at() const noexcept { return at_; }
  void move(std::size_t at) noexcept { at_ = at; }
  std::string_view text() const noexcept { return text_; }

 private:
  std::string_view text_;
  std::size_t at_ = 0;
};

// usual: the alignment where the specification has none.
void add_string(Run& run, Text& out, const String& string, const Spec& spec, char usual);
void add_character(Run& run, Text& out, const Value& value, const Spec& spec, char usual);
void add_integer(Run& run, Text& out, int64_t value, const Spec& spec);
void add_real(Run& run, Text& out, double value, const Spec& spec);

}  // namespace regard::chat
