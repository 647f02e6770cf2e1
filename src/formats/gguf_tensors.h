// GgufTensors: a model in GGUF as a TensorSource. A model that is spread over the files
// name-00001-of-00003.gguf … is opened by any of them and is one source.
#pragma once

#include <filesystem>
#include <vector>

#include "formats/gguf.h"
#include "formats/tensor_source.h"

namespace regard {

class GgufTensors final : public TensorSource {
 public:
  // Throws Error(unreadable): what GgufFile::open() refuses, and parts that are missing or do not
  // belong together.
  static GgufTensors open(const std::filesystem::path& path);

  explicit GgufTensors(GgufFile file);  // one file that is a whole model

  // The metadata: of a split model that of its first file.
  const GgufFile& keys() const noexcept { return files_.front(); }
  std::span<const GgufFile> files() const noexcept { return files_; }

  const std::string& name() const noexcept override { return files_.front().name(); }
  std::span<const TensorInfo> tensors() const noexcept override { return tensors_; }
  const TensorInfo* find(std::string_view wanted) const noexcept override {
    return index_.find(tensors_, wanted);
  }
  void release(std::span<const std::byte> part) const noexcept override;

 private:
  explicit GgufTensors(std::vector<GgufFile> files);

  std::vector<GgufFile> files_;
  std::vector<TensorInfo> tensors_;
  TensorIndex index_;
};

}  // namespace regard
