// The words of a template: text, and the names, numbers, strings and signs inside its tags, with
// the spaces around tags taken away as trim_blocks, lstrip_blocks, {%- and -%} ask.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace regard::chat {

struct Token {
  enum class Kind : uint8_t {
    data,
    variable_begin,
    variable_end,
    block_begin,
    block_end,
    name,
    string,
    integer,
    real,
    sign,
    end,
  };
  Kind kind = Kind::end;
  int line = 1;
  std::string_view text = {};  // in the source
  std::string value = {};      // of a string, its escapes resolved
  int64_t integer = 0;
  double real = 0;

  bool is(std::string_view sign) const noexcept { return kind == Kind::sign && text == sign; }
  bool names(std::string_view name) const noexcept { return kind == Kind::name && text == name; }
};

// With "\n" for every line end, and without the last of them.
std::string normal_lines(std::string_view source);

// Requires lines as above, in UTF-8. The tokens look into source. The last one is of kind end.
// deepest: of brackets in brackets. Throws Error(unreadable) "name, line 3: ...".
std::vector<Token> tokens_of(std::string_view source, std::string_view name, int64_t deepest);

[[noreturn]] void fail_syntax(std::string_view name, int line, std::string_view message);

}  // namespace regard::chat
