// printable(): text out of a file, made safe for one line of a message or a terminal.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace regard {

// Keeps well-formed UTF-8; writes controls, line separators, text-direction marks and broken
// bytes as \xNN. Longer texts end in "..." after at most `limit` bytes of the result.
std::string printable(std::string_view text, std::size_t limit = 96);

}  // namespace regard
