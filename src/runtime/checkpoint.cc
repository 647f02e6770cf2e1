#include "runtime/checkpoint.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <utility>

#include "base/check.h"
#include "families/load.h"
#include "formats/safetensors.h"
#include "simd/target.h"
#include "text_files/tokenizers.h"

namespace regard {

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
  read_text(path, [&] { return read_tokenizer(folder); });
  chat = read_chat_templates(folder);
}

void Checkpoint::load_gguf(const std::string& path) {
  const GgufTensors tensors = GgufTensors::open(path);
  const GgufFile& file = tensors.keys();
  model = families::load(tensors, pool);
  read_text(path, [&] { return read_tokenizer(file); });
  chat = read_chat_templates(file);
}

// A model without a tokenizer that is known still takes ids.
template <class Read>
void Checkpoint::read_text(const std::string& path, const Read& read) {
  try {
    tokenizer.emplace(read());
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::unreadable) throw;
    why_no_text = error.what();
  }
  // Models may have rows that no token is for, to fill a round number.
  if (tokenizer && tokenizer->size() > model.config.vocabulary) {
    fail(ErrorKind::unreadable, "{}: the tokenizer has {} tokens, the embedding {} rows", path,
         tokenizer->size(), model.config.vocabulary);
  }
}

bool Checkpoint::ends(TokenId id) const noexcept {
  return std::find(end_ids.begin(), end_ids.end(), id) != end_ids.end() ||
         (tokenizer && id < tokenizer->size() && tokenizer->ends_generation(id));
}

const Tokenizer& Checkpoint::text() const {
  if (!tokenizer) fail(ErrorKind::unreadable, "{}", why_no_text);
  return *tokenizer;
}

}  // namespace regard
