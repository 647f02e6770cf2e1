#include "inspect/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "base/check.h"

namespace regard::inspect {
namespace {

// Closes the descriptor, and removes the file while it has a name that is not wanted.
class Draft {
 public:
  Draft(int descriptor, std::string unwanted)
      : descriptor_(descriptor), unwanted_(std::move(unwanted)) {}
  ~Draft() {
    if (descriptor_ >= 0) ::close(descriptor_);
    if (!unwanted_.empty()) ::unlink(unwanted_.c_str());
  }
  Draft(const Draft&) = delete;
  Draft& operator=(const Draft&) = delete;

  int descriptor() const noexcept { return descriptor_; }
  const std::string& name() const noexcept { return unwanted_; }
  bool close() noexcept { return ::close(std::exchange(descriptor_, -1)) == 0; }
  void keep() noexcept { unwanted_.clear(); }

 private:
  int descriptor_;
  std::string unwanted_;
};

[[noreturn]] void cannot(const std::string& path, const char* what) {
  fail(ErrorKind::failed, "{}: cannot {}: {}", path, what, std::strerror(errno));
}

void write_all(int descriptor, const std::string& path, std::string_view bytes) {
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t wrote = ::write(descriptor, bytes.data() + done, bytes.size() - done);
    if (wrote > 0) {
      done += static_cast<std::size_t>(wrote);
    } else if (wrote == 0 || errno != EINTR) {
      fail(ErrorKind::failed, "{}: cannot write: {}, after {} of {} bytes", path,
           std::strerror(wrote == 0 ? ENOSPC : errno), done, bytes.size());
    }
  }
}

}  // namespace

void write_whole(const std::string& path, std::string_view bytes) {
  require(!path.empty(), "file: the path is empty");
  struct stat there {};
  const bool exists = ::stat(path.c_str(), &there) == 0;
  if (exists && S_ISDIR(there.st_mode)) {
    fail(ErrorKind::failed, "{}: cannot write: it is a directory", path);
  }
  if (exists && !S_ISREG(there.st_mode)) {
    const Draft draft(::open(path.c_str(), O_WRONLY | O_CLOEXEC), "");
    if (draft.descriptor() < 0) cannot(path, "open");
    write_all(draft.descriptor(), path, bytes);
    return;
  }

  // Behind a link, so that the rename replaces the file and not the link to it.
  std::string target = path;
  std::error_code ignored;
  if (const auto real = std::filesystem::canonical(path, ignored); !real.empty()) target = real;
  std::string name = target + ".XXXXXX";
  const int descriptor = ::mkostemp(name.data(), O_CLOEXEC);
  if (descriptor < 0) cannot(path, "write beside it");
  Draft draft(descriptor, name);
  write_all(draft.descriptor(), path, bytes);
  const mode_t mask = ::umask(0);
  ::umask(mask);
  const mode_t mode = exists ? there.st_mode & 0777 : 0666 & ~mask;
  if (::fchmod(draft.descriptor(), mode) != 0) cannot(path, "set its mode");
  // A delayed allocation may find the disk full only now.
  if (::fsync(draft.descriptor()) != 0 || !draft.close()) cannot(path, "write");
  if (::rename(name.c_str(), target.c_str()) != 0) cannot(path, "rename into place");
  draft.keep();
}

}  // namespace regard::inspect
