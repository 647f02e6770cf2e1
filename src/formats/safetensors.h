// Safetensors: the tensors of a file in Hugging Face's format, or of a folder whose weights lie in
// one such file or in several with an index. Mapped, not copied; data has no promised alignment.
// Files are treated as hostile: whatever the bytes say, opening ends in a load or in one Error, in
// time and memory linear in the headers.
#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "formats/mapped_file.h"
#include "formats/tensor_source.h"

namespace regard {

class Safetensors final : public TensorSource {
 public:
  // A .safetensors file, or a folder with model.safetensors or with
  // model.safetensors.index.json and the files that it names.
  // Throws Error(unreadable) that names the file, the tensor and the rule.
  static Safetensors open(const std::filesystem::path& path);
  // From bytes that outlive the result; `name` stands for the file in messages.
  static Safetensors parse(std::span<const std::byte> bytes, std::string_view name);

  const std::string& name() const noexcept override { return name_; }
  std::span<const TensorInfo> tensors() const noexcept override { return tensors_; }
  const TensorInfo* find(std::string_view wanted) const noexcept override {
    return index_.find(tensors_, wanted);
  }
  void release(std::span<const std::byte> part) const noexcept override;

  // Of the first file.
  const std::map<std::string, std::string>& metadata() const noexcept { return metadata_; }
  int files() const noexcept { return files_; }
  int64_t file_bytes() const noexcept { return file_bytes_; }  // of all files

 private:
  Safetensors() = default;
  void add(std::span<const std::byte> bytes, const std::string& file);
  void add(const std::filesystem::path& path);
  void finish();

  std::string name_;
  std::vector<MappedFile> mappings_;  // empty after parse()
  std::vector<TensorInfo> tensors_;
  TensorIndex index_;
  std::map<std::string, std::string> metadata_;
  int files_ = 0;
  int64_t file_bytes_ = 0;
};

// What model.safetensors.index.json says: the file of each tensor. Every file is a plain name that
// stays in the folder. Throws Error(unreadable).
std::map<std::string, std::string> parse_safetensors_index(std::string_view text,
                                                           std::string_view name);

}  // namespace regard
