// AtomicFolder: a folder that appears whole or not at all. Files are written to a temporary one
// beside the target; commit() gives it the name. On any failure the temporary goes.
#pragma once

#include <filesystem>
#include <functional>

namespace regard {

class AtomicFolder {
 public:
  // Throws Error(failed) naming the target: where something lies at the name, except an empty
  // folder, and with the system's reason otherwise.
  explicit AtomicFolder(const std::filesystem::path& path);
  ~AtomicFolder();
  AtomicFolder(const AtomicFolder&) = delete;
  AtomicFolder& operator=(const AtomicFolder&) = delete;

  // Gives `write` the temporary folder. In what it throws the target's name stands for that.
  void fill(const std::function<void(const std::filesystem::path& folder)>& write);
  void commit();

 private:
  [[noreturn]] void refuse(int error) const;

  std::filesystem::path path_;
  std::filesystem::path temporary_;
};

}  // namespace regard
