#include "writers/safetensors_writer.h"

#include <algorithm>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "base/check.h"
#include "base/printable.h"
#include "writers/atomic_file.h"

namespace regard {
namespace {

std::string_view written(DType dtype) {
  switch (dtype) {
    case DType::f64:
      return "F64";
    case DType::f32:
      return "F32";
    case DType::f16:
      return "F16";
    case DType::bf16:
      return "BF16";
    default:
      fail(ErrorKind::invalid_argument,
           "writing safetensors: type {} cannot be written; f64, f32, f16 and bf16 can",
           info(dtype).name);
  }
}

}  // namespace

void write_safetensors(const std::filesystem::path& path, std::span<const TensorToWrite> tensors,
                       const std::map<std::string, std::string>& metadata,
                       const std::function<void(uint64_t done, uint64_t all)>& progress) {
  std::vector<const TensorToWrite*> order;
  for (const TensorToWrite& tensor : tensors) order.push_back(&tensor);
  std::stable_sort(order.begin(), order.end(), [](const TensorToWrite* a, const TensorToWrite* b) {
    return info(a->dtype).block_bytes > info(b->dtype).block_bytes;
  });
  nlohmann::json header = nlohmann::json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  uint64_t all = 0;
  for (const TensorToWrite* tensor : order) {
    require(!header.contains(tensor->name) && tensor->name != "__metadata__",
            "writing safetensors: tensor \"{}\" is given twice", printable(tensor->name));
    const std::vector<int64_t> shape(tensor->shape.begin(), tensor->shape.begin() + tensor->rank);
    header[tensor->name] = {{"dtype", written(tensor->dtype)},
                            {"shape", shape},
                            {"data_offsets", {all, all + tensor->bytes()}}};
    all += tensor->bytes();
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  const uint64_t length = text.size();

  AtomicFile file(path);
  file.write(std::as_bytes(std::span(&length, 1)));
  file.write(text);
  const uint64_t start = file.written();
  for (const TensorToWrite* tensor : order) {
    const uint64_t before = file.written();
    tensor->produce([&](Bytes bytes) {
      file.write(bytes);
      if (progress) progress(file.written() - start, all);
    });
    require(file.written() - before == tensor->bytes(),
            "writing safetensors: tensor \"{}\" gave {} bytes of {}", printable(tensor->name),
            file.written() - before, tensor->bytes());
  }
  file.commit();
}

}  // namespace regard
