// The variables of a conversation: JSON as values.
#pragma once

#include <string_view>
#include <utility>
#include <vector>

#include "values/text.h"

namespace regard::chat {

using Variables = std::vector<std::pair<std::string_view, Value>>;

// A role that may stand inside a control token: letters, digits, _ and -.
bool is_plain_word(std::string_view text) noexcept;

// Strings inside lists and objects come from the conversation and are marked so, but for a "role"
// that is a plain word: templates write "<|" ~ role ~ "|>". Strings of the outermost object are the
// caller's own. Later values of equal keys count.
// Throws Error(invalid_argument) for what is no JSON object.
Variables read_variables(Run& run, std::string_view json);

}  // namespace regard::chat
