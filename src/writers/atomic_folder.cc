#include "writers/atomic_folder.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <string>
#include <system_error>

#include "base/check.h"
#include "base/printable.h"

namespace regard {
namespace {

namespace fs = std::filesystem;

constexpr int kMostAttempts = 1000;  // past names that an ended program left behind

int next_number() {
  static std::atomic<int> number{0};
  return number++;
}

void make_durable(const fs::path& folder) {
  const int opened = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (opened < 0) return;
  fsync(opened);
  close(opened);
}

}  // namespace

void AtomicFolder::refuse(int error) const {
  fail(ErrorKind::failed, "{}: cannot be written: {}", printable(path_.native(), 1024),
       std::generic_category().message(error));
}

AtomicFolder::AtomicFolder(const fs::path& path) : path_(path.lexically_normal()) {
  if (!path_.has_filename()) path_ = path_.parent_path();  // "model/"
  std::error_code error;
  const fs::file_status status = fs::symlink_status(path_, error);
  if (fs::exists(status) && !(fs::is_directory(status) && fs::is_empty(path_, error))) {
    fail(ErrorKind::failed, "{}: is there already; give the name of a new folder",
         printable(path_.native(), 1024));
  }
  const fs::path beside = path_.has_parent_path() ? path_.parent_path() : fs::path(".");
  for (int attempt = 0; temporary_.empty(); ++attempt) {
    const fs::path name = beside / fmt::format(".regard-{}-{}.folder", getpid(), next_number());
    if (mkdir(name.c_str(), 0777) == 0) {
      temporary_ = name;
    } else if (errno != EEXIST || attempt == kMostAttempts) {
      refuse(errno);
    }
  }
}

AtomicFolder::~AtomicFolder() {
  std::error_code ignored;
  if (!temporary_.empty()) fs::remove_all(temporary_, ignored);
}

void AtomicFolder::fill(const std::function<void(const fs::path& folder)>& write) {
  try {
    write(temporary_);
  } catch (const Error& error) {
    std::string text = error.what();
    const std::size_t at = text.find(temporary_.native());
    if (at == std::string::npos) throw;
    text.replace(at, temporary_.native().size(), printable(path_.native(), 1024));
    fail(error.kind(), "{}", text);
  }
}

void AtomicFolder::commit() {
  make_durable(temporary_);
  if (rename(temporary_.c_str(), path_.c_str()) != 0) refuse(errno);
  temporary_.clear();
  make_durable(path_.has_parent_path() ? path_.parent_path() : fs::path("."));
}

}  // namespace regard
