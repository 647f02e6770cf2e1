// The public Model: one Checkpoint, and whose turn it is to use it.
#include "regard/model.h"

#include <cstdlib>
#include <filesystem>
#include <utility>

#include "base/check.h"
#include "runtime/checkpoint.h"
#include "runtime/embed.h"
#include "runtime/forward.h"
#include "runtime/generate.h"
#include "runtime/score.h"

namespace regard {

std::string_view name(FinishReason reason) noexcept {
  switch (reason) {
    case FinishReason::stop:
      return "stop";
    case FinishReason::length:
      return "length";
    case FinishReason::interrupted:
      return "interrupted";
  }
  return "";
}

std::string_view name(Pooling pooling) noexcept {
  switch (pooling) {
    case Pooling::mean:
      return "mean";
    case Pooling::cls:
      return "cls";
    case Pooling::last:
      return "last";
    case Pooling::max:
      return "max";
  }
  return "";
}

std::string cache_folder() {
  const auto variable = [](const char* key) {
    const char* value = std::getenv(key);
    return std::string(value != nullptr ? value : "");
  };
  if (const std::string own = variable("REGARD_CACHE"); !own.empty()) return own;
  if (const std::string base = variable("XDG_CACHE_HOME"); !base.empty()) return base + "/regard";
  return variable("HOME") + "/.cache/regard";
}

std::string find_model(const std::string& name_or_path) {
  require(!name_or_path.empty(), "model: the name is empty");
  const bool is_path = name_or_path.find('/') != std::string::npos || name_or_path == "." ||
                       name_or_path == ".." || name_or_path.ends_with(".gguf") ||
                       name_or_path.ends_with(".safetensors") || name_or_path.ends_with(".json");
  if (is_path) return name_or_path;
  const std::string folder = cache_folder() + "/" + name_or_path;
  const std::string path = folder + ".gguf";
  std::error_code ignored;
  if (std::filesystem::exists(path, ignored)) return path;
  if (std::filesystem::exists(folder + "/config.json", ignored)) return folder;
  fail(ErrorKind::unreadable, "model {}: {} is not there; `regard pull {}` fetches it",
       name_or_path, path, name_or_path);
}

Model::Model(std::unique_ptr<Checkpoint> checkpoint) noexcept
    : checkpoint_(std::move(checkpoint)) {}
Model::Model(Model&&) noexcept = default;
Model& Model::operator=(Model&&) noexcept = default;
Model::~Model() = default;

Model Model::load(const std::string& name_or_path, const LoadOptions& options) {
  return Model(std::make_unique<Checkpoint>(find_model(name_or_path), options));
}

const ModelFacts& Model::facts() const noexcept { return checkpoint_->facts; }

std::vector<TokenId> Model::encode(std::string_view text) const {
  return checkpoint_->text().encode(text);
}
std::vector<TokenId> Model::encode(const RenderedChat& chat) const {
  return checkpoint_->text().encode(chat.text, {.plain = chat.user, .add_ends = false});
}
std::string Model::decode(std::span<const TokenId> ids) const {
  return checkpoint_->text().decode(ids);
}
const Tokenizer& Model::tokenizer() const { return checkpoint_->text(); }
std::string Model::token_text(TokenId id) const {
  const Checkpoint& checkpoint = *checkpoint_;
  require(id >= 0 && id < checkpoint.facts.vocabulary, "token_text: id {} is not in 0 .. {}", id,
          checkpoint.facts.vocabulary - 1);
  const bool known = checkpoint.tokenizer && id < checkpoint.tokenizer->size();
  return known ? checkpoint.tokenizer->display(id) : fmt::format("#{}", id);
}

const ChatTemplate* Model::chat_template(std::string_view name) const noexcept {
  return checkpoint_->chat.find(name);
}

Generation Model::generate(std::string_view prompt, const GenerateOptions& options,
                           const TextSink& on_text) const {
  return generate(std::span<const TokenId>(encode(prompt)), options, on_text);
}

Generation Model::generate(std::span<const TokenId> prompt, const GenerateOptions& options,
                           const TextSink& on_text) const {
  const std::vector<TokenId> ids(prompt.begin(), prompt.end());
  BatchTextSink sink;
  if (on_text) sink = [&](int64_t, std::string_view piece) { on_text(piece); };
  return std::move(generate({&ids, 1}, options, sink).front());
}

std::vector<Generation> Model::generate(std::span<const std::vector<TokenId>> prompts,
                                        const GenerateOptions& options,
                                        const BatchTextSink& on_text) const {
  const std::lock_guard lock(checkpoint_->turn);
  return regard::generate(*checkpoint_, prompts, options, on_text);
}

Score Model::score(std::span<const TokenId> ids, const ScoreOptions& options) const {
  const std::vector<TokenId> one(ids.begin(), ids.end());
  return std::move(score(std::span(&one, 1), options).front());
}

std::vector<Score> Model::score(std::span<const std::vector<TokenId>> batch,
                                const ScoreOptions& options) const {
  const std::lock_guard lock(checkpoint_->turn);
  return regard::score(*checkpoint_, batch, options);
}

Forward Model::forward(std::span<const TokenId> ids, const ForwardOptions& options) const {
  const std::vector<TokenId> one(ids.begin(), ids.end());
  return std::move(forward(std::span(&one, 1), options).front());
}

std::vector<Forward> Model::forward(std::span<const std::vector<TokenId>> batch,
                                    const ForwardOptions& options) const {
  const std::lock_guard lock(checkpoint_->turn);
  return regard::forward(*checkpoint_, batch, options);
}

Embeddings Model::embed(std::span<const std::string> texts, const EmbedOptions& options) const {
  std::vector<std::vector<TokenId>> ids;
  ids.reserve(texts.size());
  for (const std::string& text : texts) ids.push_back(encode(text));
  return embed(ids, options);
}

Embeddings Model::embed(std::span<const std::vector<TokenId>> texts,
                        const EmbedOptions& options) const {
  const std::lock_guard lock(checkpoint_->turn);
  return regard::embed(*checkpoint_, texts, options);
}

}  // namespace regard
