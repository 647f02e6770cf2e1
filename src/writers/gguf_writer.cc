#include "writers/gguf_writer.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/printable.h"
#include "formats/ggml_types.h"
#include "writers/atomic_file.h"

namespace regard {
namespace {

constexpr uint64_t kAlignment = 32;
constexpr std::size_t kMostNameBytes = 63;
constexpr std::size_t kMostKeyBytes = 65535;

uint64_t aligned(uint64_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

uint32_t type_number(DType dtype) {
  for (uint32_t id = 0; id < 64; ++id) {
    const GgmlType* type = find_ggml_type(id);
    if (type != nullptr && type->dtype == dtype) return id;
  }
  fail(ErrorKind::invalid_argument, "GGUF has no type {}", info(dtype).name);
}

template <class T>
void put(std::string& to, T value) {
  to.append(reinterpret_cast<const char*>(&value), sizeof value);
}

void put_text(std::string& to, std::string_view text) {
  put<uint64_t>(to, text.size());
  to += text;
}

void refuse_repeated(std::vector<std::string> names, std::string_view what) {
  std::sort(names.begin(), names.end());
  const auto twice = std::adjacent_find(names.begin(), names.end());
  require(twice == names.end(), "writing GGUF: {} \"{}\" is given twice", what,
          twice == names.end() ? "" : printable(*twice));
}

}  // namespace

void GgufWriter::append_text(std::string_view text) { put_text(keys_, text); }

void GgufWriter::begin(std::string_view name, GgufType type) {
  require(!name.empty() && name.size() <= kMostKeyBytes,
          "writing GGUF: a key has {} bytes; it must have 1 to {}", name.size(), kMostKeyBytes);
  key_names_.emplace_back(name);
  append_text(name);
  append(static_cast<uint32_t>(type));
}

void GgufWriter::begin_array(std::string_view name, GgufType element, std::size_t count) {
  begin(name, GgufType::array);
  append(static_cast<uint32_t>(element));
  append(static_cast<uint64_t>(count));
}

void GgufWriter::key(std::string_view name, std::string_view text) {
  begin(name, GgufType::string);
  append_text(text);
}

void GgufWriter::key(std::string_view name, const std::vector<std::string>& texts) {
  begin_array(name, GgufType::string, texts.size());
  for (const std::string& text : texts) append_text(text);
}

void GgufWriter::copy(const GgufValue& value) {
  const std::string_view bytes(reinterpret_cast<const char*>(value.bytes.data()),
                               value.bytes.size());
  if (value.type == GgufType::string) return key(value.key, bytes);
  if (value.type == GgufType::array) {
    begin_array(value.key, value.element, value.count);
  } else {
    begin(value.key, value.type);
  }
  keys_ += bytes;
}

void GgufWriter::tensor(TensorToWrite tensor) {
  const std::string shown = printable(tensor.name);
  require(!tensor.name.empty() && tensor.name.size() <= kMostNameBytes,
          "writing GGUF: the name of tensor \"{}\" has {} bytes; it must have 1 to {}", shown,
          tensor.name.size(), kMostNameBytes);
  for (const int64_t extent : tensor.shape) {
    require(extent > 0, "writing GGUF: tensor \"{}\" has no numbers, which GGUF cannot hold",
            shown);
  }
  require(tensor.row() % info(tensor.dtype).block_elements == 0,
          "writing GGUF: rows of tensor \"{}\" have {} numbers, which are no whole blocks of {}",
          shown, tensor.row(), info(tensor.dtype).block_elements);
  tensors_.push_back(std::move(tensor));
}

void GgufWriter::write(const std::filesystem::path& path, const Progress& progress) const {
  refuse_repeated(key_names_, "key");
  std::vector<std::string> names;
  for (const TensorToWrite& tensor : tensors_) names.push_back(tensor.name);
  refuse_repeated(std::move(names), "tensor");

  std::string header = "GGUF";
  put<uint32_t>(header, 3);
  put<uint64_t>(header, tensors_.size());
  put<uint64_t>(header, key_names_.size());
  header += keys_;
  uint64_t offset = 0;
  for (const TensorToWrite& tensor : tensors_) {
    put_text(header, tensor.name);
    put<uint32_t>(header, static_cast<uint32_t>(tensor.rank));
    for (int axis = tensor.rank - 1; axis >= 0; --axis) {  // innermost first
      put<uint64_t>(header, static_cast<uint64_t>(tensor.shape[static_cast<std::size_t>(axis)]));
    }
    put(header, type_number(tensor.dtype));
    put(header, offset);
    offset += aligned(tensor.bytes());
  }

  AtomicFile file(path);
  file.write(header);
  file.write_zeros(aligned(header.size()) - header.size());
  const uint64_t start = file.written();
  for (const TensorToWrite& tensor : tensors_) {
    const uint64_t before = file.written();
    tensor.produce([&](Bytes bytes) {
      file.write(bytes);
      if (progress) progress(file.written() - start, offset);
    });
    const uint64_t bytes = file.written() - before;
    require(bytes == tensor.bytes(), "writing GGUF: tensor \"{}\" gave {} bytes of {}",
            printable(tensor.name), bytes, tensor.bytes());
    file.write_zeros(aligned(bytes) - bytes);  // behind the last one, too: ggml counts on it
  }
  file.commit();
}

}  // namespace regard
