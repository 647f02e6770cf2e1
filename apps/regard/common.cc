// What every verb shares. See common.h.
#include "common.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <numeric>

#include "base/check.h"

namespace regard::app {

namespace {

std::string twin_of(const CLI::Option& option) {
  std::string twin = "REGARD_";
  for (const char c : option.get_lnames().front()) {
    twin += c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  }
  return twin;
}

bool has_twin(const CLI::Option& option) {
  if (option.get_lnames().empty()) return false;
  const std::string& name = option.get_lnames().front();
  return name != "help" && name != "version";
}

// Was this option written on the command line (and not taken from its twin)?
bool was_written(const CLI::Option& option, const Arguments& arguments) {
  for (const std::string& argument : arguments) {
    for (const std::string& name : option.get_lnames()) {
      if (argument == "--" + name || argument.starts_with("--" + name + "=")) return true;
    }
    for (const std::string& name : option.get_snames()) {
      if (argument.starts_with("-" + name)) return true;
    }
  }
  return false;
}

// A message is one line: a value may hold line ends and control characters.
std::string one_line(std::string_view text) {
  std::string line;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7F) {
      line += fmt::format("\\x{:02x}", byte);
    } else {
      line += c;
    }
  }
  return line;
}

template <class Number>
bool parse(std::string_view text, Number& value) {
  if (text.starts_with('+')) text.remove_prefix(1);
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

std::string whole_number_fault(std::string_view text, int64_t low, int64_t high) {
  int64_t value = 0;
  if (parse(text, value) && value >= low && value <= high) return {};
  return fmt::format("must be a whole number from {} to {}, got '{}'", low, high, one_line(text));
}

}  // namespace

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

CommandLine::CommandLine(std::string_view verb, std::string_view summary, std::string_view example)
    : app_(std::string(summary), fmt::format("regard {}", verb)) {
  app_.allow_extras();  // refuse() words it better
  app_.set_help_flag("-h,--help", "print this and exit");
  app_.set_version_flag("--version", fmt::format("regard {}", version()))
      ->description("print the version and exit");
  app_.get_formatter()->column_width(30);
  app_.footer(
      fmt::format("Example: {}\n"
                  "Each option has a twin in the environment, REGARD_ and its name in\n"
                  "capitals (--top-k: REGARD_TOP_K); the option wins.",
                  example));
}

bool CommandLine::read(const Arguments& arguments) {
  arguments_ = arguments;
  for (CLI::Option* option : app_.get_options()) {
    if (has_twin(*option)) option->envname(twin_of(*option));
    if (option->get_items_expected_max() == 1) {  // given twice, the later one counts
      option->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
    }
  }
  try {
    app_.parse(Arguments(arguments.rbegin(), arguments.rend()));
  } catch (const CLI::CallForHelp&) {
    for (CLI::Option* option : app_.get_options()) option->envname("");  // the footer says it
    print(app_.help());
    return false;
  } catch (const CLI::CallForVersion&) {
    print(fmt::format("regard {}\n", version()));
    return false;
  } catch (const CLI::ArgumentMismatch& error) {
    const std::string message = one_line(error.what());
    fail(ErrorKind::invalid_argument, "{} needs a value", message.substr(0, message.find(':')));
  } catch (const CLI::ParseError& error) {
    std::string message = one_line(error.what());
    // "--name: what is wrong": say so where the value came from the environment.
    for (const CLI::Option* option : app_.get_options()) {
      const std::string name = option->get_name();
      if (has_twin(*option) && message.starts_with(name + ":") &&
          !was_written(*option, arguments)) {
        message =
            fmt::format("{} (from {}){}", name, twin_of(*option), message.substr(name.size()));
      }
    }
    fail(ErrorKind::invalid_argument, "{}", message);
  }
  if (const Arguments unknown = app_.remaining(); !unknown.empty()) refuse(unknown);
  return true;
}

bool CommandLine::has(const std::string& option) const {
  const CLI::Option* found = app_.get_option_no_throw(option);
  return found != nullptr && found->count() > 0;
}

bool CommandLine::written(const std::string& option) const {
  const CLI::Option* found = app_.get_option_no_throw(option);
  return found != nullptr && was_written(*found, arguments_);
}

void CommandLine::refuse(const Arguments& unknown) const {
  const std::string word = unknown.front();
  if (!word.starts_with('-') || word == "-") {
    fail(ErrorKind::invalid_argument, "unexpected argument '{}' of '{}'; see {} --help",
         one_line(word), app_.get_name(), app_.get_name());
  }
  std::vector<std::string> names;
  for (const CLI::Option* option : app_.get_options()) {
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
    for (const std::string& name : option->get_snames()) names.push_back("-" + name);
  }
  const std::string flag = word.substr(0, word.find('='));
  const std::string guess = nearest(flag, names);
  fail(ErrorKind::invalid_argument, "unknown flag {} of '{}'; {}", one_line(flag), app_.get_name(),
       guess.empty() ? fmt::format("see {} --help", app_.get_name())
                     : fmt::format("did you mean {}?", guess));
}

CLI::Validator whole_number(int64_t low, int64_t high) {
  return CLI::Validator(
      [=](std::string& text) {
        std::string fault = whole_number_fault(text, low, high);
        // CLI11 would read 010 as eight.
        if (fault.empty()) text = fmt::to_string(split_numbers(text).at(0));
        return fault;
      },
      "");
}

CLI::Validator whole_numbers(int64_t low, int64_t high) {
  return CLI::Validator(
      [=](std::string& text) {
        std::string_view rest = text;
        while (true) {
          const size_t comma = rest.find(',');
          const std::string fault = whole_number_fault(rest.substr(0, comma), low, high);
          if (!fault.empty()) return "each " + fault;
          if (comma == std::string_view::npos) return std::string();
          rest.remove_prefix(comma + 1);
        }
      },
      "");
}

CLI::Validator real_number(double low, double high) {
  return CLI::Validator(
      [=](std::string& text) {
        double value = 0;
        if (parse(text, value) && value >= low && value <= high) return std::string();  // not NaN
        return fmt::format("must be a number from {} to {}, got '{}'", low, high, one_line(text));
      },
      "");
}

CLI::Validator one_of(std::vector<std::string> names) {
  return CLI::Validator(
      [names = std::move(names)](std::string& text) {
        if (std::find(names.begin(), names.end(), text) != names.end()) return std::string();
        return fmt::format("must be one of {}, got '{}'", fmt::join(names, ", "), one_line(text));
      },
      "");
}

std::vector<int64_t> split_numbers(std::string_view list) {
  std::vector<int64_t> numbers;
  while (!list.empty()) {
    const size_t comma = std::min(list.find(','), list.size());
    int64_t value = 0;
    require(parse(list.substr(0, comma), value), "'{}' is not a whole number",
            one_line(list.substr(0, comma)));
    numbers.push_back(value);
    list.remove_prefix(std::min(comma + 1, list.size()));
  }
  return numbers;
}

std::string nearest(std::string_view word, const std::vector<std::string>& candidates) {
  // Levenshtein distance; a guess further than half of the word helps nobody.
  std::string best;
  size_t best_distance = std::max<size_t>(2, word.size() / 2);
  for (const std::string& candidate : candidates) {
    std::vector<size_t> row(candidate.size() + 1);
    std::iota(row.begin(), row.end(), size_t{0});
    for (size_t i = 1; i <= word.size(); ++i) {
      size_t diagonal = row[0];
      row[0] = i;
      for (size_t j = 1; j <= candidate.size(); ++j) {
        const size_t above = row[j];
        const size_t replaced = diagonal + (word[i - 1] == candidate[j - 1] ? 0 : 1);
        row[j] = std::min({above + 1, row[j - 1] + 1, replaced});
        diagonal = above;
      }
    }
    if (row.back() < best_distance) {
      best_distance = row.back();
      best = candidate;
    }
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

void print_json(const Json& value) {
  // A text that ends inside a character is shown with the replacement character.
  print(value.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n");
  flush();
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
