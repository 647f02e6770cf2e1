// Reading a command line: CLI11 finds the options, the values are read here.
// See command_line.h.
#include "command_line.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>

#include <CLI/CLI.hpp>

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

int64_t parse_whole(const std::string& name, std::string_view text, int64_t low, int64_t high,
                    std::string_view which = "") {
  int64_t value = 0;
  if (!parse(text, value) || value < low || value > high) {
    throw CLI::ValidationError(name, fmt::format("{}must be a whole number from {} to {}, got '{}'",
                                                 which, low, high, text));
  }
  return value;
}

CommandLine::Numbers parse_numbers(const std::string& name, std::string_view list, int64_t low,
                                   int64_t high) {
  CommandLine::Numbers numbers;
  while (true) {
    const size_t comma = list.find(',');
    numbers.push_back(parse_whole(name, list.substr(0, comma), low, high, "each "));
    if (comma == std::string_view::npos) return numbers;
    list.remove_prefix(comma + 1);
  }
}

}  // namespace

struct CommandLine::Parser {
  CLI::App app;
  Arguments arguments;

  enum class Times { once, many };

  // take(name, text) is called with each value.
  template <class Take>
  void add(const char* names, const char* help, const char* hint, Times times, Take take) {
    auto* option = app.add_option(
        names,
        [take, this, place = app.get_options().size()](const CLI::results_t& values) {
          for (const std::string& value : values) {
            take(app.get_options()[place]->get_name(), value);
          }
          return true;
        },
        help);
    // Words of their own follow each other; an option takes one value each time it is given.
    const bool words = times == Times::many && *names != '-';
    option->option_text(hint)->allow_extra_args(words);
    if (words) option->expected(0, CLI::detail::expected_max_vector_size);
    option->multi_option_policy(times == Times::once ? CLI::MultiOptionPolicy::TakeLast
                                                     : CLI::MultiOptionPolicy::TakeAll);
  }

  [[noreturn]] void refuse(const Arguments& unknown) const;
};

CommandLine::CommandLine(std::string_view verb, std::string_view summary, std::string_view example)
    : parser_(std::make_unique<Parser>()) {
  CLI::App& app = parser_->app;
  app.name(fmt::format("regard {}", verb));
  app.description(std::string(summary));
  app.allow_extras();  // refuse() words it better
  app.set_help_flag("-h,--help", "print this and exit");
  app.set_version_flag("--version", fmt::format("regard {}", version()))
      ->description("print the version and exit");
  app.get_formatter()->column_width(30);
  app.footer(
      fmt::format("Example: {}\n"
                  "Each option has a twin in the environment, REGARD_ and its name in\n"
                  "capitals (--top-k: REGARD_TOP_K); the option wins.",
                  example));
}

CommandLine::~CommandLine() = default;

void CommandLine::flag(const char* names, bool& value, const char* help) {
  parser_->app.add_flag(names, value, help);
}

void CommandLine::text(const char* names, std::string& value, const char* help, const char* hint) {
  parser_->add(names, help, hint, Parser::Times::once,
               [&value](const std::string&, const std::string& given) { value = given; });
}

void CommandLine::choice(const char* names, std::string& value, std::vector<std::string> from,
                         const char* help, const char* hint) {
  parser_->add(names, help, hint, Parser::Times::once,
               [&value, from = std::move(from)](const std::string& name, const std::string& given) {
                 if (std::find(from.begin(), from.end(), given) == from.end()) {
                   throw CLI::ValidationError(name, fmt::format("must be one of {}, got '{}'",
                                                                fmt::join(from, ", "), given));
                 }
                 value = given;
               });
}

void CommandLine::add_real(const char* names, double low, double high,
                           std::function<void(double)> take, const char* help, const char* hint) {
  parser_->add(names, help, hint, Parser::Times::once,
               [=](const std::string& name, const std::string& given) {
                 double number = 0;
                 if (!parse(given, number) || !(number >= low && number <= high)) {  // or NaN
                   throw CLI::ValidationError(
                       name,
                       fmt::format("must be a number from {} to {}, got '{}'", low, high, given));
                 }
                 take(number);
               });
}

void CommandLine::add_whole(const char* names, int64_t low, int64_t high,
                            std::function<void(int64_t)> take, const char* help, const char* hint) {
  parser_->add(names, help, hint, Parser::Times::once,
               [=](const std::string& name, const std::string& given) {
                 take(parse_whole(name, given, low, high));
               });
}

void CommandLine::numbers(const char* names, Numbers& value, int64_t low, int64_t high,
                          const char* help, const char* hint) {
  parser_->add(names, help, hint, Parser::Times::once,
               [=, &value](const std::string& name, const std::string& given) {
                 value = parse_numbers(name, given, low, high);
               });
}

void CommandLine::texts(const char* names, std::vector<std::string>& values, const char* help,
                        const char* hint) {
  parser_->add(
      names, help, hint, Parser::Times::many,
      [&values](const std::string&, const std::string& given) { values.push_back(given); });
}

void CommandLine::number_lists(const char* names, std::vector<Numbers>& values, int64_t low,
                               int64_t high, const char* help, const char* hint) {
  parser_->add(names, help, hint, Parser::Times::many,
               [=, &values](const std::string& name, const std::string& given) {
                 values.push_back(parse_numbers(name, given, low, high));
               });
}

bool CommandLine::read(const Arguments& arguments) {
  CLI::App& app = parser_->app;
  parser_->arguments = arguments;
  for (CLI::Option* option : app.get_options()) {
    if (has_twin(*option)) option->envname(twin_of(*option));
  }
  try {
    app.parse(Arguments(arguments.rbegin(), arguments.rend()));
  } catch (const CLI::CallForHelp&) {
    for (CLI::Option* option : app.get_options()) option->envname("");  // the footer says it
    print(app.help());
    return false;
  } catch (const CLI::CallForVersion&) {
    print(fmt::format("regard {}\n", version()));
    return false;
  } catch (const CLI::ArgumentMismatch& error) {
    const std::string message = one_line(error.what());
    fail(ErrorKind::invalid_argument, "{} needs a value", message.substr(0, message.find(':')));
  } catch (const CLI::ParseError& error) {
    std::string message = one_line(error.what());
    // "--name: what is wrong": say so where the value came from the
    // environment.
    for (const CLI::Option* option : app.get_options()) {
      const std::string name = option->get_name();
      if (has_twin(*option) && message.starts_with(name + ":") &&
          !was_written(*option, arguments)) {
        message =
            fmt::format("{} (from {}){}", name, twin_of(*option), message.substr(name.size()));
      }
    }
    fail(ErrorKind::invalid_argument, "{}", message);
  }
  if (const Arguments unknown = app.remaining(); !unknown.empty()) parser_->refuse(unknown);
  return true;
}

bool CommandLine::has(const char* option) const {
  const CLI::Option* found = parser_->app.get_option_no_throw(option);
  return found != nullptr && found->count() > 0;
}

bool CommandLine::written(const char* option) const {
  const CLI::Option* found = parser_->app.get_option_no_throw(option);
  return found != nullptr && was_written(*found, parser_->arguments);
}

void CommandLine::Parser::refuse(const Arguments& unknown) const {
  const std::string word = unknown.front();
  if (!word.starts_with('-') || word == "-") {
    fail(ErrorKind::invalid_argument, "unexpected argument '{}' of '{}'; see {} --help",
         one_line(word), app.get_name(), app.get_name());
  }
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
    for (const std::string& name : option->get_snames()) names.push_back("-" + name);
  }
  const std::string flag = word.substr(0, word.find('='));
  const std::string guess = nearest(flag, names);
  fail(ErrorKind::invalid_argument, "unknown flag {} of '{}'; {}", one_line(flag), app.get_name(),
       guess.empty() ? fmt::format("see {} --help", app.get_name())
                     : fmt::format("did you mean {}?", guess));
}

}  // namespace regard::app
