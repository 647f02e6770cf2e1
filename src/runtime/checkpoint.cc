#include "runtime/checkpoint.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <utility>

#include "base/check.h"
#include "families/load.h"
#include "formats/safetensors.h"
#include "simd/target.h"

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

}  // namespace

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
  return spec;
}

Checkpoint::Checkpoint(const std::string& path, const LoadOptions& options)
    : pool(options.threads) {
  active_target();  // an unknown REGARD_TARGET is refused before any kernel runs
  const auto start = std::chrono::steady_clock::now();
  if (std::filesystem::is_directory(path) || path.ends_with(".safetensors")) {
    load_folder(path);
  } else {
    load_gguf(path);
  }
  const models::DecoderConfig& config = model.config;
  facts = {.path = path,
           .architecture = config.architecture,
           .layers = config.layers + (model.encoder ? std::ssize(model.encoder->blocks) : 0),
           .heads = config.heads,
           .kv_heads = config.kv_heads,
           .dim = config.dim,
           .width = config.width,
           .vocabulary = config.vocabulary,
           .context = config.context,
           .weight_bytes = model.blocks.empty() ? model.encoder->bytes() : model.weight_bytes()};
  load_ms =
      std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
}

void Checkpoint::load_folder(const std::string& path) {
  const std::filesystem::path given(path);
  const std::filesystem::path folder = std::filesystem::is_directory(given) ? given
                                       : given.has_parent_path()            ? given.parent_path()
                                                                 : std::filesystem::path(".");
  const HfConfig config = HfConfig::open(folder);
  const Safetensors tensors = Safetensors::open(given);
  model = families::load(config, tensors, pool);
  for (const int64_t id : config.eos_ids(model.config.vocabulary)) {
    end_ids.push_back(static_cast<TokenId>(id));
  }
  why_no_text = path + ": the folder has no tokenizer that is known; ids still work";
  chat = read_chat_templates(folder);
}

void Checkpoint::load_gguf(const std::string& path) {
  const GgufTensors tensors = GgufTensors::open(path);
  const GgufFile& file = tensors.keys();
  model = families::load(tensors, pool);
  try {
    tokenizer.emplace(tokenizer_spec(file));
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::unreadable) throw;
    why_no_text = error.what();  // the tokenizer does not know the file's name
    if (!why_no_text.starts_with(path)) why_no_text = path + ": " + why_no_text;
  }
  chat = read_chat_templates(file);
  if (tokenizer && tokenizer->size() != model.config.vocabulary) {
    fail(ErrorKind::unreadable,
         "{}: {} tokens in tokenizer.ggml.tokens, {} rows in token_embd.weight", path,
         tokenizer->size(), model.config.vocabulary);
  }
}

bool Checkpoint::ends(TokenId id) const noexcept {
  return std::find(end_ids.begin(), end_ids.end(), id) != end_ids.end() ||
         (tokenizer && tokenizer->ends_generation(id));
}

const Tokenizer& Checkpoint::text() const {
  if (!tokenizer) fail(ErrorKind::unreadable, "{}", why_no_text);
  return *tokenizer;
}

}  // namespace regard
