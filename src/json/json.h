// parse_json(): JSON text of a file or a request, every bound held while it is read. Nothing is
// nested deeper than the limit, so neither reading, walking nor destroying a value can run out of
// stack.
#pragma once

#include <cstddef>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

namespace regard {

struct JsonLimits {
  std::size_t bytes = std::size_t{1} << 28;   // of the text
  std::size_t values = std::size_t{1} << 23;  // in all, objects and arrays counted
  int depth = 64;                             // arrays and objects inside each other
};

// The whole text as one value. Text and keys are well-formed UTF-8, every number is finite, no
// object has a key twice. `name` stands for the file in messages.
// Throws Error(unreadable) that names it, the byte from 0 on, and the rule.
nlohmann::json parse_json(std::string_view text, std::string_view name,
                          const JsonLimits& limits = {});

// The same; objects keep the order of the text. Looking a key up takes time linear in the object.
nlohmann::ordered_json parse_ordered_json(std::string_view text, std::string_view name,
                                          const JsonLimits& limits = {});

}  // namespace regard
