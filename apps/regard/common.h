// What every verb shares: exit codes, texts in, and results on standard output.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "regard/error.h"

namespace regard::app {

using Arguments = std::vector<std::string>;

// What the process tells its caller.
inline constexpr int kOk = 0;
inline constexpr int kFailed = 1;
inline constexpr int kUsage = 2;
inline constexpr int kUnreadable = 3;
inline constexpr int kOutOfMemory = 4;
inline constexpr int kInterrupted = 130;

int exit_code(ErrorKind kind) noexcept;

std::string_view version() noexcept;

// The candidate with the fewest edits, or "" when none is near.
std::string nearest(std::string_view word, const std::vector<std::string>& candidates);

// Standard output. Both throw Error(failed) when it is full or gone.
void print(std::string_view text);
void flush();

// The bytes of a file as they are; "-" is standard input. Throws
// Error(unreadable).
std::string read_text(const std::string& path);

// "98.4 MB": decimal units.
std::string bytes_text(uint64_t bytes);

}  // namespace regard::app
