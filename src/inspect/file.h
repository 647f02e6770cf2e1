// A file that is either there whole or not at all.
#pragma once

#include <string>
#include <string_view>

namespace regard::inspect {

// Writes beside the file, syncs, and renames over it; a link is followed. What is no regular file
// (a pipe, a terminal) is written as it is. Throws Error(failed) that names the path, the system's
// reason and the numbers of bytes; then what was at path before is still there, and nothing else
// is.
void write_whole(const std::string& path, std::string_view bytes);

}  // namespace regard::inspect
