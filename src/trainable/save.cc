#include "trainable/save.h"

#include <nlohmann/json.hpp>

#include "base/check.h"
#include "convert/rows.h"
#include "families/families.h"
#include "formats/tensor_source.h"
#include "models/stored_tensors.h"
#include "models/transforms.h"
#include "writers/atomic_file.h"
#include "writers/atomic_folder.h"
#include "writers/safetensors_writer.h"

namespace regard::models {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// The leaves as the tensors of a checkpoint; they stay where they are.
class Leaves final : public TensorSource {
 public:
  Leaves(const nn::Parameters& parameters, std::string name) : name_(std::move(name)) {
    for (const nn::Parameter& one : parameters) {
      TensorInfo made{.name = one.name,
                      .dtype = DType::f32,
                      .type_name = "f32",
                      .rank = one.leaf.rank(),
                      .data = std::as_bytes(one.leaf.numbers<float>())};
      std::ranges::copy(one.leaf.shape(), made.shape.begin());
      tensors_.push_back(std::move(made));
    }
    index_ = TensorIndex(tensors_);
  }

  const std::string& name() const noexcept override { return name_; }
  std::span<const TensorInfo> tensors() const noexcept override { return tensors_; }
  const TensorInfo* find(std::string_view name) const noexcept override {
    return index_.find(tensors_, name);
  }
  void release(std::span<const std::byte>) const noexcept override {}

 private:
  std::string name_;
  std::vector<TensorInfo> tensors_;
  TensorIndex index_;
};

// Rows of Q and K are in the folder's own order already, where whole heads are turned.
Transform undone(Transform how, const Settings& settings) {
  const bool heads = how == Transform::query_pairs || how == Transform::key_pairs;
  const bool halves = settings.pairs && settings.rope.dim == settings.dim;
  return heads && halves ? Transform::as_is : how;
}

void give(const Leaves& leaves, const Settings& settings, const StoredTensor& tensor, DType dtype,
          const std::function<void(Bytes)>& take) {
  std::vector<std::byte> whole;
  const auto collect = [&](Bytes bytes) { whole.insert(whole.end(), bytes.begin(), bytes.end()); };
  for (const TensorInfo* part : tensor.parts) {
    give_rows(leaves, *part, 0, rows_of(*part), dtype, nullptr, collect);
  }
  take(restored(undone(tensor.transform, settings), tensor.joined(dtype, whole), settings));
}

const char* torch_name(DType dtype) {
  if (dtype == DType::f16) return "float16";
  return dtype == DType::bf16 ? "bfloat16" : "float32";
}

}  // namespace

void save_into(const Trainable& trainable, const fs::path& folder, const SaveOptions& options,
               const json& more) {
  require(
      options.dtype == DType::f32 || options.dtype == DType::f16 || options.dtype == DType::bf16,
      "save: a folder holds f32, f16 and bf16, not {}", info(options.dtype).name);
  const std::string name = folder.string();
  json config = families::write_config(trainable.settings, *trainable.family, name);
  if (!more.is_null()) config.update(more);
  config["dtype"] = torch_name(options.dtype);

  const Leaves leaves(trainable.parameters, name);
  const std::vector<StoredTensor> stored =
      stored_tensors(leaves, *trainable.family, trainable.settings);
  std::vector<TensorToWrite> tensors;
  for (const StoredTensor& tensor : stored) {
    const DType dtype = target_dtype(*tensor.parts.front(), options.dtype);
    tensors.push_back({.name = tensor.name,
                       .dtype = dtype,
                       .rank = tensor.rank,
                       .shape = tensor.shape,
                       .produce = [&, one = &tensor, dtype](const auto& take) {
                         give(leaves, trainable.settings, *one, dtype, take);
                       }});
  }
  write_safetensors(folder / "model.safetensors", tensors, {{"format", "pt"}});
  write_atomically(folder / "config.json", config.dump(2) + "\n");
  for (const auto& [file, text] : options.files) write_atomically(folder / file, text);
}

void save(const Trainable& trainable, const fs::path& folder, const SaveOptions& options,
          const json& config) {
  AtomicFolder whole(folder);
  whole.fill([&](const fs::path& made) { save_into(trainable, made, options, config); });
  whole.commit();
}

void save(const Trainable& trainable, const fs::path& folder, const SaveOptions& options) {
  save(trainable, folder, options, json());
}

}  // namespace regard::models
