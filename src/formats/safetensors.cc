#include "formats/safetensors.h"

#include <set>
#include <utility>

#include <nlohmann/json.hpp>

#include "base/check.h"
#include "base/printable.h"
#include "formats/safetensors_parse.h"
#include "json/json.h"

namespace regard {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kFile = "model.safetensors";
constexpr std::string_view kIndex = "model.safetensors.index.json";
constexpr std::size_t kMostFiles = 4096;  // a limit on the files that an index may make us open

// A name of the index could be a path to anywhere; a shard is a file of the same folder.
bool is_plain_name(std::string_view name) {
  return name.ends_with(".safetensors") && !name.starts_with('.') && name.size() <= 255 &&
         name.find_first_of(std::string_view("/\\:\0", 4)) == std::string_view::npos;
}

// The weights that a folder without safetensors may have, and why they are not read.
[[noreturn]] void refuse_folder(const fs::path& folder) {
  const std::string shown = printable(folder.native(), 1024);
  std::error_code error;
  std::string_view other = "name another folder, or the model file itself";
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    const std::string name = at->path().filename().string();
    if (name.ends_with(".bin") || name.ends_with(".pt") || name.ends_with(".pth")) {
      other =
          "its weights are a Python pickle, which can run code and is never read; convert them "
          "to safetensors";
    } else if (name.ends_with(".gguf")) {
      other = "it has a .gguf file; name that";
      break;
    }
  }
  fail(ErrorKind::unreadable, "{}: the folder has neither {} nor {}; {}", shown, kFile, kIndex,
       other);
}

}  // namespace

std::map<std::string, std::string> parse_safetensors_index(std::string_view text,
                                                           std::string_view name) {
  const nlohmann::json index = parse_json(text, name, {.bytes = std::size_t{1} << 26, .depth = 8});
  const std::string file = printable(name, 1024);
  const auto map = index.is_object() ? index.find("weight_map") : index.end();
  if (map == index.end() || !map->is_object()) {
    fail(ErrorKind::unreadable, "{}: has no object \"weight_map\", which names each tensor's file",
         file);
  }
  std::map<std::string, std::string> shards;
  for (const auto& [tensor, shard] : map->items()) {
    if (!shard.is_string()) {
      fail(ErrorKind::unreadable, "{}: weight_map: the file of tensor \"{}\" is not a text", file,
           printable(tensor));
    }
    const auto& shard_name = shard.get_ref<const std::string&>();
    if (!is_plain_name(shard_name)) {
      fail(ErrorKind::unreadable,
           "{}: weight_map: tensor \"{}\" is said to lie in \"{}\"; a file is named without a "
           "folder, and its name ends in .safetensors",
           file, printable(tensor), printable(shard_name));
    }
    shards.emplace(tensor, shard_name);
  }
  if (shards.empty()) fail(ErrorKind::unreadable, "{}: weight_map names no tensor", file);
  return shards;
}

void Safetensors::add(std::span<const std::byte> bytes, const std::string& file) {
  SafetensorsHeader header = parse_safetensors(bytes, file);
  if (files_ == 0) metadata_ = std::move(header.metadata);
  for (TensorInfo& tensor : header.tensors) tensors_.push_back(std::move(tensor));
  ++files_;
  file_bytes_ += static_cast<int64_t>(bytes.size());
}

void Safetensors::add(const fs::path& path) {
  mappings_.emplace_back(path);
  add(mappings_.back().bytes(), printable(path.native(), 1024));
}

void Safetensors::finish() {
  index_ = TensorIndex(tensors_);
  if (const TensorInfo* twice = index_.duplicate(tensors_)) {
    fail(ErrorKind::unreadable, "{}: tensor \"{}\" is in two files of the model", name_,
         printable(twice->name));
  }
}

Safetensors Safetensors::parse(std::span<const std::byte> bytes, std::string_view name) {
  Safetensors model;
  model.name_ = printable(name, 1024);
  model.add(bytes, model.name_);
  model.finish();
  return model;
}

Safetensors Safetensors::open(const fs::path& path) {
  Safetensors model;
  model.name_ = printable(path.native(), 1024);
  std::error_code error;
  if (!fs::is_directory(path, error)) {
    model.add(path);
    model.finish();
    return model;
  }
  if (fs::exists(path / kFile, error)) {
    model.add(path / kFile);
    model.finish();
    return model;
  }
  const fs::path index_path = path / kIndex;
  if (!fs::exists(index_path, error)) refuse_folder(path);
  const MappedFile index(index_path);
  const std::map<std::string, std::string> shards = parse_safetensors_index(
      {reinterpret_cast<const char*>(index.bytes().data()), index.bytes().size()},
      index_path.native());
  const std::string index_name = printable(index_path.native(), 1024);
  std::map<std::string, std::string> tensor_of;  // the first tensor of each file
  for (const auto& [tensor, shard] : shards) tensor_of.emplace(shard, tensor);
  if (tensor_of.size() > kMostFiles) {
    fail(ErrorKind::unreadable, "{}: names {} files; at most {} are opened", index_name,
         tensor_of.size(), kMostFiles);
  }
  for (const auto& [shard, tensor] : tensor_of) {
    if (!fs::exists(path / shard, error)) {
      fail(ErrorKind::unreadable, "{}: tensor \"{}\" lies in {}, and there is no such file",
           index_name, printable(tensor), printable(shard));
    }
  }
  // Each file's tensors against the index, while they are known to be that file's.
  for (const auto& [shard, first_tensor] : tensor_of) {
    const std::size_t before = model.tensors_.size();
    model.add(path / shard);
    for (const TensorInfo& tensor : std::span(model.tensors_).subspan(before)) {
      const auto at = shards.find(tensor.name);
      if (at == shards.end() || at->second == shard) continue;
      fail(ErrorKind::unreadable, "{}: tensor \"{}\" is said to lie in {}, and {} holds one, too",
           index_name, printable(tensor.name), printable(at->second), printable(shard));
    }
  }
  model.finish();
  for (const auto& [tensor, shard] : shards) {
    if (model.has(tensor)) continue;
    fail(ErrorKind::unreadable, "{}: tensor \"{}\" is said to lie in {}, which does not hold it",
         index_name, printable(tensor), printable(shard));
  }
  return model;
}

void Safetensors::release(std::span<const std::byte> part) const noexcept {
  for (const MappedFile& mapping : mappings_) {
    const std::span<const std::byte> bytes = mapping.bytes();
    if (part.data() >= bytes.data() && part.data() < bytes.data() + bytes.size()) {
      mapping.release(part);
    }
  }
}

}  // namespace regard
