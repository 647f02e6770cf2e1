// Texts as numbers, and texts for HTML.
#pragma once

#include <optional>

#include "values/text.h"

namespace regard::chat {

// As int(text, base) and float(text); nothing where they would throw ValueError.
std::optional<int64_t> parse_integer(Run& run, std::string_view text, int64_t base = 10);
std::optional<double> parse_real(std::string_view text);

// str(value) escaped for HTML; a markup comes back as it is.
Value escaped(Run& run, const Value& value);

}  // namespace regard::chat
