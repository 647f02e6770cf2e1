// Results as JSON: one object or list on one line of standard output.
#pragma once

#include <nlohmann/json.hpp>

#include "common.h"

namespace regard::app {

using Json = nlohmann::ordered_json;

// One line. A text that ends inside a character is shown with the replacement
// character; numbers that are not finite are null.
inline void print_json(const Json& value) {
  print(value.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n");
  flush();
}

// As a JSON string is written, with its quotes: any text on one line.
inline std::string json_text(const std::string& text) {
  return Json(text).dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace regard::app
