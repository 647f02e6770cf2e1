#include "text_files/tokenizers.h"

#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "base/check.h"
#include "formats/mapped_file.h"

namespace regard {
namespace {

// Of ggml's token types; an unknown number is refused by the tokenizer.
std::vector<TokenType> token_types(const GgufFile& file) {
  std::vector<TokenType> types;
  for (const int32_t number :
       file.find_i32s("tokenizer.ggml.token_type").value_or(std::vector<int32_t>{})) {
    if (number < 0 || number > UINT8_MAX) {
      fail(ErrorKind::unreadable, "{}: tokenizer.ggml.token_type holds {}, which is no type",
           file.name(), number);
    }
    types.push_back(static_cast<TokenType>(number));
  }
  return types;
}

std::vector<std::string> strings(const GgufStrings& views) {
  std::vector<std::string> copies;
  copies.reserve(views.size());
  for (const std::string_view view : views) copies.emplace_back(view);
  return copies;
}

std::optional<int32_t> find_id(const GgufFile& file, std::string_view key) {
  // -1 and its unsigned forms mean that the model has no such token.
  const auto id = file.find_int(key, INT64_MIN, INT64_MAX);
  if (!id || *id < 0 || *id == UINT32_MAX) return std::nullopt;
  return static_cast<int32_t>(*file.find_int(key, 0, INT32_MAX));
}

// An array of single bytes.
std::string find_bytes(const GgufFile& file, std::string_view key) {
  const GgufValue* value = file.find_key(key);
  if (value == nullptr) return {};
  if (value->type != GgufType::array ||
      (value->element != GgufType::u8 && value->element != GgufType::i8)) {
    fail(ErrorKind::unreadable, "{}: {} is no array of bytes", file.name(), key);
  }
  return {reinterpret_cast<const char*>(value->bytes.data()), value->bytes.size()};
}

TokenizerSpec tokenizer_spec(const GgufFile& file) {
  TokenizerSpec spec;
  spec.model = file.get_string("tokenizer.ggml.model");
  spec.pre = file.find_string("tokenizer.ggml.pre").value_or("");
  spec.tokens = strings(file.get_strings("tokenizer.ggml.tokens"));
  spec.types = token_types(file);
  if (const auto merges = file.find_strings("tokenizer.ggml.merges"))
    spec.merges = strings(*merges);
  spec.bos = find_id(file, "tokenizer.ggml.bos_token_id");
  spec.eos = find_id(file, "tokenizer.ggml.eos_token_id");
  spec.eot = find_id(file, "tokenizer.ggml.eot_token_id");
  spec.eom = find_id(file, "tokenizer.ggml.eom_token_id");
  spec.unknown = find_id(file, "tokenizer.ggml.unknown_token_id");
  spec.separator = find_id(file, "tokenizer.ggml.seperator_token_id");  // spelt so in the files
  spec.padding = find_id(file, "tokenizer.ggml.padding_token_id");
  spec.cls = find_id(file, "tokenizer.ggml.cls_token_id");
  spec.mask = find_id(file, "tokenizer.ggml.mask_token_id");
  spec.scores = file.find_f32s("tokenizer.ggml.scores").value_or(std::vector<float>{});
  spec.add_space_prefix = file.find_bool("tokenizer.ggml.add_space_prefix");
  spec.remove_extra_whitespaces = file.find_bool("tokenizer.ggml.remove_extra_whitespaces");
  spec.add_bos = file.find_bool("tokenizer.ggml.add_bos_token");
  spec.add_eos = file.find_bool("tokenizer.ggml.add_eos_token");
  spec.precompiled_charsmap = find_bytes(file, "tokenizer.ggml.precompiled_charsmap");
  return spec;
}

// The tokenizer does not know the name of what it is read from.
template <class Make>
Tokenizer named(const std::string& name, const Make& make) {
  try {
    return make();
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::unreadable || std::string_view(error.what()).starts_with(name)) {
      throw;
    }
    // Nor does it say twice which file it is.
    std::string_view what = error.what();
    const std::string_view file = std::string_view(name).substr(name.rfind('/') + 1);
    if (what.starts_with(file) && what.substr(file.size()).starts_with(": ")) {
      what.remove_prefix(file.size() + 2);
    }
    fail(ErrorKind::unreadable, "{}: {}", name, what);
  }
}

Tokenizer read_json(const std::filesystem::path& json, const std::filesystem::path& config) {
  const MappedFile tokenizer(json);
  std::error_code ignored;
  MappedFile settings;
  if (std::filesystem::exists(config, ignored)) settings = MappedFile(config);
  return named(json.string(),
               [&] { return Tokenizer::from_json(tokenizer.text(), settings.text()); });
}

}  // namespace

Tokenizer read_tokenizer(const GgufFile& file) {
  return named(file.name(), [&] {
    if (const auto json = file.find_string("tokenizer.huggingface.json")) {
      return Tokenizer::from_json(
          *json, file.find_string("tokenizer.huggingface.config.json").value_or(""));
    }
    return Tokenizer(tokenizer_spec(file));
  });
}

Tokenizer read_tokenizer(const std::filesystem::path& folder) {
  std::error_code ignored;
  if (!std::filesystem::exists(folder / "tokenizer.json", ignored)) {
    fail(ErrorKind::unreadable, "{}: the folder has no tokenizer.json; token ids still work",
         folder.string());
  }
  return read_json(folder / "tokenizer.json", folder / "tokenizer_config.json");
}

Tokenizer open_tokenizer(const std::string& path) {
  const std::filesystem::path given(path);
  if (std::filesystem::is_directory(given)) return read_tokenizer(given);
  if (path.ends_with(".json"))
    return read_json(given, given.parent_path() / "tokenizer_config.json");
  return read_tokenizer(GgufFile::open(path));
}

}  // namespace regard
