// What every verb shares. See common.h.
#include "common.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "base/check.h"
#include "base/edit_distance.h"

namespace regard::app {

int exit_code(ErrorKind kind) noexcept {
  switch (kind) {
    case ErrorKind::invalid_argument:
      return kUsage;
    case ErrorKind::unreadable:
      return kUnreadable;
    case ErrorKind::out_of_memory:
      return kOutOfMemory;
    case ErrorKind::failed:
      break;
  }
  return kFailed;
}

std::string_view version() noexcept { return REGARD_VERSION; }

std::string nearest(std::string_view word, const std::vector<std::string>& candidates) {
  // A guess further than half of the word helps nobody.
  std::string best;
  size_t best_distance = std::max<size_t>(2, word.size() / 2);
  for (const std::string& candidate : candidates) {
    const size_t distance = edit_distance(word, candidate);
    if (distance >= best_distance) continue;
    best_distance = distance;
    best = candidate;
  }
  return best;
}

void print(std::string_view text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size()) {
    fail(ErrorKind::failed, "cannot write to standard output: {}", std::strerror(errno));
  }
}

void flush() {
  if (std::fflush(stdout) != 0) {
    fail(ErrorKind::failed, "cannot write to standard output: {}", std::strerror(errno));
  }
}

std::string read_text(const std::string& path) {
  struct Close {
    void operator()(std::FILE* file) const noexcept {
      if (file != stdin) std::fclose(file);
    }
  };
  const std::unique_ptr<std::FILE, Close> file(path == "-" ? stdin
                                                           : std::fopen(path.c_str(), "rb"));
  const std::string name = path == "-" ? "standard input" : path;
  if (file == nullptr) {
    fail(ErrorKind::unreadable, "cannot read {}: {}", name, std::strerror(errno));
  }
  constexpr size_t kMost = size_t{1} << 28;  // far beyond any context
  std::string text;
  char part[1 << 16];
  while (const size_t count = std::fread(part, 1, sizeof part, file.get())) {
    text.append(part, count);
    require(text.size() <= kMost, "{} holds more than {} of text", name, bytes_text(kMost));
  }
  if (std::ferror(file.get()) != 0) {
    fail(ErrorKind::unreadable, "cannot read {}: {}", name, std::strerror(errno));
  }
  return text;
}

std::string bytes_text(uint64_t bytes) {
  constexpr const char* kUnits[] = {"kB", "MB", "GB", "TB"};
  if (bytes < 1000) return fmt::format("{} bytes", bytes);
  double value = static_cast<double>(bytes) / 1000;
  size_t unit = 0;
  while (value >= 999.95 && unit + 1 < std::size(kUnits)) {
    value /= 1000;
    ++unit;
  }
  return fmt::format("{:.1f} {}", value, kUnits[unit]);
}

}  // namespace regard::app
