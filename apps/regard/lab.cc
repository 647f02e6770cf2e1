// regard lab: finds a Python that has the package and its labs, and becomes it.
#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <optional>

#include "base/check.h"
#include "command_line.h"
#include "verbs.h"

namespace regard::app {

namespace {

namespace fs = std::filesystem;

// -P keeps a folder that happens to be called regard, where the user stands, out of the way.
constexpr const char* kProbe =
    "import importlib.util as u, sys; "
    "sys.exit(0 if u.find_spec('regard.labs') and u.find_spec('matplotlib') else 1)";

std::vector<char*> pointers(Arguments& words) {
  std::vector<char*> list;
  for (std::string& word : words) list.push_back(word.data());
  list.push_back(nullptr);
  return list;
}

// Does this Python start, and find the labs and what they draw with?
bool has_labs(const std::string& python) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    posix_spawn_file_actions_addopen(&actions, stream, "/dev/null", O_RDWR, 0);
  }
  Arguments words{python, "-P", "-c", kProbe};
  pid_t child = 0;
  const int error =
      posix_spawnp(&child, words[0].c_str(), &actions, nullptr, pointers(words).data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) return false;
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

// REGARD_PYTHON alone where it is set; else the checkout's, then whatever python3 is.
std::string find_python() {
  if (const char* named = std::getenv("REGARD_PYTHON"); named != nullptr && *named != '\0') {
    require(has_labs(named),
            "REGARD_PYTHON is {}, which has no labs; {} -m pip install 'regard[labs]' brings them",
            named, named);
    return named;
  }
  std::vector<fs::path> candidates;
  std::error_code error;
  const fs::path self = fs::read_symlink("/proc/self/exe", error);
  if (!error) {  // build/release/regard
    candidates.push_back(self.parent_path().parent_path().parent_path() / ".venv/bin/python");
  }
  candidates.push_back(fs::current_path(error) / ".venv/bin/python");
  for (const fs::path& candidate : candidates) {
    if (fs::exists(candidate, error) && has_labs(candidate.string())) return candidate.string();
  }
  require(has_labs("python3"),
          "the labs are Python, and no Python here has them: pip install 'regard[labs]' (in a "
          "checkout scripts/setup --python), or let REGARD_PYTHON name one that has");
  return "python3";
}

}  // namespace

int lab(const Arguments& arguments) {
  CommandLine line("lab",
                   "Measures what is said about attention and draws it: a figure, its numbers, and "
                   "pass or fail for each acceptance.",
                   "regard lab variance --quick");
  std::string name, out, docs;
  bool list = false, quick = false, json = false;
  int64_t seed = 0;
  line.text("name", name, "a lab, or all", "NAME");
  line.flag("--list", list, "the labs, one a line");
  line.flag("--quick", quick, "less of everything, in seconds; all: without the timings");
  line.text("--out", out, "where NAME.svg, NAME.png and numbers.json go; all: a folder each in it",
            "DIR [regard-labs/NAME]");
  line.whole("--seed", seed, 0, 4294967295, "the first of three seeds", "N [0]");
  line.text("--docs", docs, "write the gallery's page (all: pages) into this folder", "DIR");
  line.flag("--json", json, "print one JSON object");
  if (!line.read(arguments)) return kOk;
  require(list || !name.empty(), "name a lab, or all, or give --list");
  require(docs.empty() || (out.empty() && !quick),
          "--docs writes full runs into its own folder: leave out --out and --quick");

  Arguments words{find_python(), "-P", "-m", "regard.labs"};
  if (list) words.push_back("--list");
  if (quick) words.push_back("--quick");
  if (json) words.push_back("--json");
  if (!out.empty()) words.push_back("--out=" + out);
  if (!docs.empty()) words.push_back("--docs=" + docs);
  words.push_back(fmt::format("--seed={}", seed));
  if (!name.empty()) {
    words.push_back("--");
    words.push_back(name);
  }
  std::error_code error;  // a lab that needs the machine's ceilings asks `regard doctor`
  setenv("REGARD_CLI", fs::read_symlink("/proc/self/exe", error).c_str(), 1);
  flush();
  std::signal(SIGPIPE, SIG_DFL);  // ignored signals outlive exec
  std::signal(SIGXFSZ, SIG_DFL);
  execvp(words[0].c_str(), pointers(words).data());
  fail(ErrorKind::failed, "cannot run {}: {}", words[0], std::strerror(errno));
}

}  // namespace regard::app
