// The person at the terminal. See terminal.h.
#include "terminal.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <utf8proc.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>

#include "base/check.h"
#include "common.h"

namespace regard::app {

namespace {

std::atomic<bool> interrupted{false};
static_assert(std::atomic<bool>::is_always_lock_free, "set in a signal handler");

}  // namespace

bool on_terminal(std::FILE* stream) noexcept { return isatty(fileno(stream)) == 1; }

bool in_colour(std::FILE* stream) noexcept {
  const char* refused = std::getenv("NO_COLOR");
  return on_terminal(stream) && (refused == nullptr || *refused == '\0');
}

int terminal_width() noexcept {
  winsize size{};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  return 80;
}

Progress::Progress() noexcept : terminal_(on_terminal(stderr)) {}

Progress::~Progress() { clear(); }

void Progress::show(std::string_view line) {
  const auto now = std::chrono::steady_clock::now();
  if (!terminal_ || now < next_) return;
  next_ = now + std::chrono::milliseconds(100);
  std::fprintf(stderr, "\r\033[K%.*s", static_cast<int>(line.size()), line.data());
  std::fflush(stderr);
  drawn_ = true;
}

void Progress::clear() noexcept {
  if (!drawn_) return;
  std::fputs("\r\033[K", stderr);
  std::fflush(stderr);
  drawn_ = false;
}

const std::atomic<bool>& interrupts() noexcept {
  struct sigaction action {};
  action.sa_handler = [](int) { interrupted.store(true, std::memory_order_relaxed); };
  action.sa_flags = SA_RESETHAND;  // the second one does what it always did
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, nullptr);
  return interrupted;
}

std::atomic<bool>& repeated_interrupts() noexcept {
  struct sigaction action {};
  action.sa_handler = [](int) { interrupted.store(true, std::memory_order_relaxed); };
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, nullptr);  // without SA_RESTART: read() returns
  return interrupted;
}

namespace {

// Waits until standard input has something, or a Ctrl-C came. A signal that comes just before the
// wait, or to another thread, ends no system call: the flag is looked at between short waits.
bool interrupted_while_waiting() {
  constexpr int kLookMs = 50;
  pollfd input{STDIN_FILENO, POLLIN, 0};
  while (!interrupted) {
    const int ready = poll(&input, 1, kLookMs);
    if (ready > 0 || (ready < 0 && errno != EINTR)) return false;  // read() tells what it is
  }
  return true;
}

}  // namespace

Lines::Got Lines::next(std::string& line) {
  constexpr std::size_t kLongest = std::size_t{1} << 24;
  while (true) {
    const std::size_t end = waiting_.find('\n', searched_);
    if (end != std::string::npos || (ended_ && !waiting_.empty())) {
      line = waiting_.substr(0, end);
      if (line.ends_with('\r')) line.pop_back();
      waiting_.erase(0, end == std::string::npos ? end : end + 1);
      searched_ = 0;
      return Got::line;
    }
    if (ended_) return Got::end;
    searched_ = waiting_.size();
    require(searched_ <= kLongest, "standard input: a line of more than {}", bytes_text(kLongest));
    if (interrupted_while_waiting()) {
      waiting_.clear();
      searched_ = 0;
      return Got::interrupt;
    }
    char part[1 << 12];
    const ssize_t count = ::read(STDIN_FILENO, part, sizeof part);
    if (count > 0) {
      waiting_.append(part, static_cast<std::size_t>(count));
    } else if (count == 0) {
      ended_ = true;
    } else if (errno != EINTR) {  // which the next look finds
      fail(ErrorKind::unreadable, "cannot read standard input: {}", std::strerror(errno));
    }
  }
}

int columns(std::string_view text) noexcept {
  int count = 0;
  const auto* at = reinterpret_cast<const utf8proc_uint8_t*>(text.data());
  auto left = static_cast<utf8proc_ssize_t>(text.size());
  while (left > 0) {
    utf8proc_int32_t code = 0;
    utf8proc_ssize_t step = utf8proc_iterate(at, left, &code);
    if (step <= 0) {
      step = 1;
      count += 1;
    } else {
      count += utf8proc_charwidth(code);
    }
    at += step;
    left -= step;
  }
  return count;
}

}  // namespace regard::app
