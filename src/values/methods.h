// Methods of strings that filters have, too.
#pragma once

#include <span>
#include <vector>

#include "values/text.h"

namespace regard::chat {

std::vector<Value> lines(Run& run, const String& string, bool keep_ends);  // as str.splitlines
// As str.replace: at most `most` times, or always where that is negative.
Value replaced(Run& run, const String& string, const String& old, const String& with, int64_t most);
// str() of the values, with a text between each two.
Value joined_text(Run& run, const String& between, std::span<const Value> values);
// Is at least one character of the wanted case, and none of the other?
bool all_of_case(Run& run, const String& string, bool (*wanted)(char32_t), bool (*other)(char32_t));

}  // namespace regard::chat
