#include "convert/convert.h"

#include <string_view>
#include <utility>
#include <variant>

#include "base/check.h"
#include "base/printable.h"
#include "convert/rows.h"
#include "convert/to_folder.h"
#include "families/families.h"
#include "formats/mapped_file.h"
#include "formats/safetensors.h"
#include "models/family_tensors.h"
#include "models/gguf_keys.h"
#include "writers/encode.h"
#include "writers/gguf_writer.h"

namespace regard {
namespace {

namespace fs = std::filesystem;

DType target(const TensorInfo& tensor, std::optional<DType> wanted, Converted& done) {
  const DType dtype = target_dtype(tensor, wanted);
  if (tensor.rank < 2) return dtype;
  const int64_t row = tensor.shape[static_cast<std::size_t>(tensor.rank - 1)];
  if (row % info(dtype).block_elements == 0) return dtype;
  done.kept_f16.push_back(tensor.name);
  return DType::f16;
}

uint32_t file_type(DType dtype) {
  switch (dtype) {
    case DType::f16:
      return 1;
    case DType::q4_0:
      return 2;
    case DType::q4_1:
      return 3;
    case DType::q8_0:
      return 7;
    case DType::bf16:
      return 32;
    default:
      return 0;
  }
}

// A file beside the weights as one text key; nothing where there is none.
void put_file(GgufWriter& writer, std::string_view key, const fs::path& path) {
  std::error_code error;
  if (!fs::exists(path, error)) return;
  const MappedFile file(path);
  writer.key(key, std::string_view(reinterpret_cast<const char*>(file.bytes().data()),
                                   file.bytes().size()));
}

// The tokenizer goes along as the file that it is, which says all that it does.
void put_tokenizer(GgufWriter& writer, const fs::path& folder, const HfConfig& config,
                   int64_t vocabulary) {
  put_file(writer, "tokenizer.huggingface.json", folder / "tokenizer.json");
  put_file(writer, "tokenizer.huggingface.config.json", folder / "tokenizer_config.json");
  put_file(writer, "tokenizer.chat_template", folder / "chat_template.jinja");
  const std::vector<int64_t> ends = config.eos_ids(vocabulary);
  if (!ends.empty()) {
    writer.key("tokenizer.ggml.eos_token_id", static_cast<uint32_t>(ends.front()));
    writer.key("tokenizer.ggml.eos_token_ids", std::vector<uint32_t>(ends.begin(), ends.end()));
  }
}

}  // namespace

Converted convert(const fs::path& in, const fs::path& out, const ConvertOptions& options) {
  if (options.dtype) {
    require(can_encode(*options.dtype),
            "convert: {} cannot be written; f32, f16, bf16, q8_0, q4_0 and q4_1 can",
            info(*options.dtype).name);
  }
  std::error_code error;
  if (!fs::exists(in, error)) {
    fail(ErrorKind::unreadable, "{}: there is no such file or folder; check the path",
         printable(in.native(), 1024));
  }
  const bool is_folder = fs::is_directory(in, error);
  if (!is_folder && in.extension() == ".gguf") return convert_to_folder(in, out, options);
  const fs::path folder = is_folder ? in : in.has_parent_path() ? in.parent_path() : fs::path(".");
  const HfConfig config = HfConfig::open(folder);
  const Safetensors stored = Safetensors::open(in);
  const models::Family& family = families::family_of(config);
  const models::Settings settings = families::read_config(config, family);
  const models::FamilyTensors tensors(stored, family, settings);

  Converted done;
  done.architecture = settings.architecture;
  GgufWriter writer;
  writer.key("general.architecture", settings.architecture);
  const fs::path name = fs::absolute(folder, error).lexically_normal();
  writer.key("general.name",
             (name.has_filename() ? name.filename() : name.parent_path().filename()).string());
  for (const models::GgufKey& key : models::write_keys(settings, family)) {
    std::visit([&](const auto& value) { writer.key(key.key, value); }, key.value);
  }
  put_tokenizer(writer, folder, config, settings.vocabulary);
  DType most = DType::f32;  // of the matrices
  for (const TensorInfo& tensor : tensors.tensors()) {
    if (!tensor.dtype || tensor.rank > 4) {
      fail(ErrorKind::unreadable, "{}: tensor {} is {} {}, which cannot be converted",
           stored.name(), printable(tensor.name), tensor.type_name, shape_text(tensor));
    }
    const DType dtype = target(tensor, options.dtype, done);
    if (tensor.rank >= 2 && dtype != DType::f32) most = dtype;
    writer.tensor({.name = tensor.name,
                   .dtype = dtype,
                   .rank = tensor.rank,
                   .shape = tensor.shape,
                   .produce = [&tensors, &options, wanted = tensor.name, dtype](const auto& take) {
                     const TensorInfo& made = tensors.get(wanted);
                     give_rows(tensors, made, 0, rows_of(made), dtype, options.interrupt, take);
                   }});
    ++done.tensors;
  }
  writer.key("general.file_type", file_type(options.dtype.value_or(most)));
  if (options.dtype && is_quantised(*options.dtype)) {
    writer.key("general.quantization_version", uint32_t{2});
  }
  writer.write(out, options.progress);
  done.bytes = fs::file_size(out, error);
  return done;
}

}  // namespace regard
