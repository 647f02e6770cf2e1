// What str(), repr() and json.dumps write for a value.
#pragma once

#include "values/text.h"

namespace regard::chat {

void write(Run& run, const Value& value, Text& out);       // as str()
void write_repr(Run& run, const Value& value, Text& out);  // as repr()
Value to_string(Run& run, const Value& value);             // a string comes back as it is
std::string real_text(double number);                      // as repr(float)

struct JsonStyle {
  bool ascii = false;                 // \u00e9 for what is beyond ASCII
  std::optional<std::string> indent;  // of a level; not set: all on one line
  std::string item_separator = ", ";
  std::string key_separator = ": ";
  bool sort_keys = false;
};
// As json.dumps. Throws for what JSON does not know.
void write_json(Run& run, const Value& value, const JsonStyle& style, Text& out);

}  // namespace regard::chat
