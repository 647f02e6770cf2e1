// CommandLine: the options of one verb, read into its variables.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "common.h"

namespace regard::app {

// The command line of one verb. Options are told by their names, "-n,--tokens";
// a name without dashes is a word of its own. The variable keeps its value
// unless the option is given; hint shows the value's form and default, "N
// [256]". Given twice, the later one counts. Every option has an environment
// twin, REGARD_ and its long name in capitals; the option wins.
class CommandLine {
 public:
  using Numbers = std::vector<int64_t>;

  CommandLine(std::string_view verb, std::string_view summary, std::string_view example);
  ~CommandLine();

  void flag(const char* names, bool& value, const char* help);
  void text(const char* names, std::string& value, const char* help, const char* hint);
  void choice(const char* names, std::string& value, std::vector<std::string> from,
              const char* help, const char* hint);
  void numbers(const char* names, Numbers& value, int64_t low, int64_t high, const char* help,
               const char* hint);  // "1,2,3"
  // The bounds are allowed values.
  template <class Int>
  requires std::is_integral_v<Int>
  void whole(const char* names, Int& value, int64_t low, int64_t high, const char* help,
             const char* hint) {
    add_whole(
        names, low, high, [&value](int64_t number) { value = static_cast<Int>(number); }, help,
        hint);
  }
  template <class Real>
  requires std::is_floating_point_v<Real>
  void real(const char* names, Real& value, double low, double high, const char* help,
            const char* hint) {
    add_real(
        names, low, high, [&value](double number) { value = static_cast<Real>(number); }, help,
        hint);
  }
  // These may be given again, and gather.
  void texts(const char* names, std::vector<std::string>& values, const char* help,
             const char* hint);
  void number_lists(const char* names, std::vector<Numbers>& values, int64_t low, int64_t high,
                    const char* help, const char* hint);

  // False when --help or --version was asked for and has been answered.
  // Throws Error(invalid_argument), with the nearest name for an unknown one.
  bool read(const Arguments& arguments);

  // After read(): has the option a value, from anywhere; was it written on the
  // command line?
  bool has(const char* option) const;
  bool written(const char* option) const;

 private:
  void add_real(const char* names, double low, double high, std::function<void(double)> take,
                const char* help, const char* hint);
  void add_whole(const char* names, int64_t low, int64_t high, std::function<void(int64_t)> take,
                 const char* help, const char* hint);
  struct Parser;
  std::unique_ptr<Parser> parser_;
};

}  // namespace regard::app
