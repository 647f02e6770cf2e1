// regard VERB: finds the verb, runs it, and turns whatever it throws into one
// line and a code.
#include <fmt/format.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <exception>
#include <new>
#include <span>

#include "base/check.h"
#include "verbs.h"

namespace regard::app {

namespace {

struct Verb {
  std::string_view name;  // one word, or two
  std::string_view summary;
  int (*run)(const Arguments& arguments);
};

constexpr Verb kVerbs[] = {
    {"generate", "continue a text", generate},
    {"chat", "talk with a model, by its chat template", chat},
    {"score", "how well a model foresees a text", score},
    {"embed", "texts as vectors, and how near they are", embed},
    {"tokenize", "a text as token ids, and back", tokenize},
    {"inspect", "where a token looked, and what came of it", inspect},
    {"train", "teach a model a text or a task", train},
    {"lab", "measure and draw what is said about attention", lab},
    {"bench attention", "time the operator against this machine's ceilings", bench_attention},
    {"bench model", "time a model, tokens per second", bench_model},
    {"doctor", "this machine and its models, or one model file", doctor},
    {"convert", "write a model's folder as one GGUF file", convert},
    {"pull", "fetch a model by name", pull},
};

std::string help(std::string_view prefix = {}) {
  std::string text = fmt::format(
      "regard {}: attention you can write down, run "
      "fast, trust to the bit, and look inside\n"
      "Usage: regard VERB [OPTIONS]\n\nVerbs:\n",
      version());
  for (const Verb& verb : kVerbs) {
    if (!verb.name.starts_with(prefix)) continue;
    text += fmt::format("  {:<18}{}\n", verb.name, verb.summary);
  }
  return text +
         "\nregard VERB --help lists a verb's options; regard --version "
         "prints the version.\n"
         "Example: regard generate -p \"Once upon a time\" -n 50\n";
}

// The verb that the first words name; `arguments` loses them. Null: help was
// printed.
const Verb* find_verb(Arguments& arguments) {
  const auto is_help = [](const std::string& word) { return word == "--help" || word == "-h"; };
  if (arguments.empty() || is_help(arguments[0])) return print(help()), nullptr;
  if (arguments[0] == "--version") return print(fmt::format("regard {}\n", version())), nullptr;

  std::vector<std::string> names;
  for (const Verb& verb : kVerbs) names.emplace_back(verb.name);
  std::string name = arguments[0];
  size_t words = 1;
  if (name == "bench") {
    if (arguments.size() == 1 || is_help(arguments[1])) return print(help("bench")), nullptr;
    name += " " + arguments[1];
    words = 2;
  }
  for (const Verb& verb : kVerbs) {
    if (verb.name != name) continue;
    arguments.erase(arguments.begin(), arguments.begin() + static_cast<ptrdiff_t>(words));
    return &verb;
  }
  if (name.starts_with('-')) {
    fail(ErrorKind::invalid_argument,
         "unknown flag {}; the verb comes first: regard VERB [OPTIONS]", name);
  }
  const std::string guess = nearest(name, names);
  fail(ErrorKind::invalid_argument, "unknown verb '{}'; {}", name,
       guess.empty() ? "regard --help lists them" : fmt::format("did you mean '{}'?", guess));
}

int run(Arguments arguments) {
  const Verb* verb = find_verb(arguments);
  const int code = verb == nullptr ? kOk : verb->run(arguments);
  flush();
  return code;
}

// An error is one line, whatever a name or a file put into it.
int report(int code, std::string_view message) {
  std::string line = "regard: ";
  for (const char c : message) line += c == '\n' || c == '\r' ? ' ' : c;
  line += '\n';
  std::fwrite(line.data(), 1, line.size(), stderr);
  return code;
}

}  // namespace

}  // namespace regard::app

int main(int count, char** words) {
  using namespace regard::app;
  std::signal(SIGPIPE, SIG_IGN);  // a closed pipe is an error like any other
  std::signal(SIGXFSZ, SIG_IGN);  // and so is a file that may not grow
  std::signal(SIGINT, [](int) { _exit(kInterrupted); });  // verbs with something to end take over
  try {
    return run(Arguments(words + (count > 0 ? 1 : 0), words + count));
  } catch (const regard::Error& error) {
    return report(exit_code(error.kind()), error.what());
  } catch (const std::bad_alloc&) {
    return report(kOutOfMemory, "the system has no memory left");
  } catch (const std::exception& error) {
    return report(kFailed, error.what());
  }
}
