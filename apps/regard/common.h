// What every verb shares: exit codes, reading a command line, and results on standard output.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "regard/error.h"

namespace regard::app {

using Json = nlohmann::ordered_json;
using Arguments = std::vector<std::string>;

// What the process tells its caller.
inline constexpr int kOk = 0;
inline constexpr int kFailed = 1;
inline constexpr int kUsage = 2;
inline constexpr int kUnreadable = 3;
inline constexpr int kOutOfMemory = 4;
inline constexpr int kInterrupted = 130;

int exit_code(ErrorKind kind) noexcept;

// The command line of one verb. Every option has an environment twin, REGARD_ and its long name
// in capitals; the option wins.
class CommandLine {
 public:
  CommandLine(std::string_view verb, std::string_view summary, std::string_view example);

  CLI::App* operator->() noexcept { return &app_; }
  CLI::App& app() noexcept { return app_; }

  // False when --help or --version was asked for and has been answered.
  // Throws Error(invalid_argument), with the nearest name for an unknown one.
  bool read(const Arguments& arguments);

  // After read(): has the option a value, from anywhere; was it written on the command line?
  bool has(const std::string& option) const;
  bool written(const std::string& option) const;

 private:
  [[noreturn]] void refuse(const Arguments& unknown) const;
  CLI::App app_;
  Arguments arguments_;
};

std::string_view version() noexcept;

// Validators: an option's value must be such a number, ends included. whole_number is for
// transform(), which puts the number in plain decimal; the others are for check().
CLI::Validator whole_number(int64_t low, int64_t high);
CLI::Validator whole_numbers(int64_t low, int64_t high);  // of a list "1,2,3"
CLI::Validator real_number(double low, double high);
CLI::Validator one_of(std::vector<std::string> names);

// "1,2,3", already validated.
std::vector<int64_t> split_numbers(std::string_view list);

// The candidate with the fewest edits, or "" when none is near.
std::string nearest(std::string_view word, const std::vector<std::string>& candidates);

// Standard output. Both throw Error(failed) when it is full or gone.
void print(std::string_view text);
void flush();
void print_json(const Json& value);  // one line

// The bytes of a file as they are; "-" is standard input. Throws Error(unreadable).
std::string read_text(const std::string& path);

// "98.4 MB": decimal units.
std::string bytes_text(uint64_t bytes);

}  // namespace regard::app
