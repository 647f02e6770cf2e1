// The person at the terminal: colour, width, a progress line, and Ctrl-C.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdio>
#include <string>
#include <string_view>

namespace regard::app {

// Is this stream a terminal?
bool on_terminal(std::FILE* stream) noexcept;
// A terminal, and NO_COLOR is not set?
bool in_colour(std::FILE* stream) noexcept;
int terminal_width() noexcept;  // of standard output; 80 where nobody says

// One line on standard error that is written over, only on a terminal; gone
// when this goes.
class Progress {
 public:
  Progress() noexcept;
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  bool shown() const noexcept { return terminal_; }
  // Drawn at most ten times a second.
  void show(std::string_view line);
  void clear() noexcept;

 private:
  bool terminal_;
  bool drawn_ = false;
  std::chrono::steady_clock::time_point next_{};
};

// From the first call on, one Ctrl-C only sets the flag; the next one ends the
// process.
const std::atomic<bool>& interrupts() noexcept;

// From the first call on, Ctrl-C only sets the flag, and what waits for input wakes up.
std::atomic<bool>& repeated_interrupts() noexcept;

// Lines of standard input, one after the other.
class Lines {
 public:
  enum class Got { line, end, interrupt };
  // The next line without its end. interrupt: a Ctrl-C came while it was waited for.
  // Throws Error for a line beyond all measure, and where nothing can be read.
  Got next(std::string& line);

 private:
  std::string waiting_;  // read, and not yet given
  std::size_t searched_ = 0;
  bool ended_ = false;
};

// How many terminal columns a UTF-8 text takes.
int columns(std::string_view text) noexcept;

}  // namespace regard::app
