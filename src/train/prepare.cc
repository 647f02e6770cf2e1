#include "train/prepare.h"

#include <filesystem>
#include <utility>

#include <nlohmann/json.hpp>

#include "base/check.h"
#include "base/printable.h"
#include "convert/tokenizer_json.h"
#include "data/task_source.h"
#include "data/text_source.h"
#include "formats/gguf_tensors.h"
#include "formats/mapped_file.h"
#include "ops/ops.h"
#include "trainable/save.h"

namespace regard::train {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// config.json of a new model, as transformers writes it.
json config_json(const ModelConfig& m, const DataConfig& d, int64_t vocabulary) {
  const int64_t context = m.context > 0 ? m.context : d.length;
  const bool gated = m.family != "gpt2" && m.family != "bloom";
  const int64_t inner = m.inner > 0 ? m.inner
                        : gated     ? (8 * m.width / 3 + 31) / 32 * 32
                                    : 4 * m.width;
  json made = {
      {"model_type", m.family}, {"vocab_size", vocabulary}, {"tie_word_embeddings", m.tied}};
  if (m.family == "gpt2") {
    made.update({{"n_layer", m.layers},
                 {"n_embd", m.width},
                 {"n_head", m.heads},
                 {"n_inner", inner},
                 {"n_positions", context}});
  } else if (m.family == "bloom") {
    made.update({{"n_layer", m.layers},
                 {"hidden_size", m.width},
                 {"n_head", m.heads},
                 {"seq_length", context}});
  } else {
    made.update({{"num_hidden_layers", m.layers},
                 {"hidden_size", m.width},
                 {"num_attention_heads", m.heads},
                 {"num_key_value_heads", m.kv_heads > 0 ? m.kv_heads : m.heads},
                 {"head_dim", m.width / m.heads},
                 {"intermediate_size", inner},
                 {"max_position_embeddings", context}});
  }
  return made;
}

std::string files_hash(const std::vector<std::string>& files) {
  std::string all;
  for (const std::string& file : files) all += hash_of(MappedFile(fs::path(file)).text());
  return hash_of(all);
}

std::string tokens_hash(const data::Tokens& tokens) {
  if (!tokens.tokenizer) return "bytes";
  std::string all;
  for (int32_t id = 0; id < tokens.tokenizer->size(); ++id) {
    const std::string_view bytes = tokens.tokenizer->bytes(id);
    all += fmt::format("{} ", bytes.size());
    all += bytes;
  }
  return hash_of(all);
}

data::Tokens tokens_of(const TrainConfig& config) {
  const std::string& named =
      config.data.tokenizer.empty() ? config.model.start : config.data.tokenizer;
  if (named.empty() || named == "bytes") return data::byte_tokens();
  data::Tokens made = data::read_tokens(named);
  if (made.json.empty() && fs::path(named).extension() == ".gguf") {
    const GgufTensors file = GgufTensors::open(named);
    if (const auto written = tokenizer_json(file.keys())) {
      made.json = written->tokenizer.dump(1) + "\n";
      made.config = written->config.dump(1) + "\n";
    }
  }
  return made;
}

std::vector<data::Id> ignored(const DataConfig& d, const data::Tokens& tokens) {
  std::vector<data::Id> made;
  for (const std::string& text : d.ignored) {
    std::optional<data::Id> id;
    if (tokens.tokenizer) {
      id = tokens.tokenizer->find(text);
    } else if (text.size() == 1) {
      id = static_cast<uint8_t>(text[0]);
    }
    require(id.has_value(), "data.ignored: \"{}\" is no token of the tokenizer", printable(text));
    made.push_back(id.value_or(0));
  }
  return made;
}

data::Filling filling_of(const TrainConfig& config) {
  return {.rows = config.run.rows, .length = config.data.length, .packed = config.data.packed};
}

std::unique_ptr<data::TextSource> text_source(const TrainConfig& config,
                                              const data::Tokens& tokens) {
  const DataConfig& d = config.data;
  const data::ReadOptions reading{.separator = d.separator,
                                  .loss = d.loss == "answer" ? data::Loss::answer : data::Loss::all,
                                  .boundary = d.boundary};
  auto own = data::read_documents(d.validation_text, tokens, reading);
  const std::string name = d.text.size() == 1 ? printable(d.text[0], 1024)
                                              : fmt::format("data.text ({} files)", d.text.size());
  return std::make_unique<data::TextSource>(
      data::read_documents(d.text, tokens, reading), std::move(own), tokens.vocabulary,
      data::TextOptions{.filling = filling_of(config),
                        .seed = static_cast<uint64_t>(config.run.seed),
                        .held_out = d.validation,
                        .ignored = ignored(d, tokens),
                        .name = name});
}

}  // namespace

models::Trainable new_model(const TrainConfig& config, int64_t vocabulary, DType dtype) {
  const json sizes = config_json(config.model, config.data, vocabulary);
  return models::make_trainable(HfConfig::parse(sizes.dump(), "[model]"),
                                {.seed = static_cast<uint64_t>(config.run.seed),
                                 .deviation = config.model.deviation,
                                 .dtype = dtype});
}

FamilyLearner::FamilyLearner(models::Trainable model, const TrainConfig& config,
                             data::Tokens tokens)
    : model_(std::move(model)),
      tokens_(std::move(tokens)),
      start_(config.model.start),
      dtype_(config.run.precision == "bf16" ? DType::bf16 : DType::f32) {
  model_.set_dropout(static_cast<float>(config.model.dropout),
                     static_cast<float>(config.model.attention_dropout));
  model_.set_checkpoint(config.run.recompute);
  if (config.optimiser.decay_embeddings) return;
  for (nn::Parameter& one : model_.parameters) {
    if (one.name == "token_embd.weight" || one.name == "position_embd.weight") one.decay = false;
  }
}

Tensor FamilyLearner::logits(const data::Batch& batch, std::span<const int64_t> rows,
                             const nn::PassOptions& options) const {
  Tensor hidden = model_.hidden(batch.ids, texts_of(batch), options);
  if (std::ssize(rows) < batch.tokens()) hidden = gather(hidden, rows);
  return model_.model.logits(hidden);
}

void FamilyLearner::save(const fs::path& folder) const {
  models::SaveOptions options{.dtype = dtype_};
  if (!tokens_.json.empty()) options.files.emplace_back("tokenizer.json", tokens_.json);
  if (!tokens_.config.empty()) options.files.emplace_back("tokenizer_config.json", tokens_.config);
  const fs::path chat = fs::path(start_) / "chat_template.jinja";
  if (!start_.empty() && fs::exists(chat)) {
    options.files.emplace_back("chat_template.jinja", MappedFile(chat).text());
  }
  json more;
  if (tokens_.boundary) more["eos_token_id"] = *tokens_.boundary;
  models::save_into(model_, folder, options, more);
}

Prepared prepare(const TrainConfig& config, ThreadPool& pool) {
  const DataConfig& d = config.data;
  Prepared made;
  data::Tokens tokens;
  if (!d.task.empty()) {
    tasks::Task task(d.task, {.shortest = d.shortest,
                              .longest = d.longest,
                              .symbols = d.symbols,
                              .max_depth = d.max_depth});
    tokens = data::task_tokens(task);
    made.source = std::make_unique<data::TaskSource>(
        std::move(task), filling_of(config), static_cast<uint64_t>(config.run.seed),
        d.loss == "answer" ? data::Loss::answer : data::Loss::all);
  } else {
    tokens = tokens_of(config);
    auto source = text_source(config, tokens);
    made.tokens = source->tokens();
    made.source = std::move(source);
    made.inputs["text"] = files_hash(d.text);
  }
  made.inputs["tokenizer"] = tokens_hash(tokens);
  const std::string& start = config.model.start;
  models::Trainable model =
      start.empty() ? new_model(config, tokens.vocabulary) : models::load_trainable(start, pool);
  require(!model.model.encoder,
          "train: a model of architecture {} has an encoder, and this trains decoders",
          model.settings.architecture);
  require(model.settings.vocabulary >= tokens.vocabulary,
          "model.start: {} has {} tokens, the tokenizer {}", printable(start, 1024),
          model.settings.vocabulary, tokens.vocabulary);
  require(model.settings.context >= d.length,
          "data.length ({}) is more than the model's context ({})", d.length,
          model.settings.context);
  made.learner = std::make_unique<FamilyLearner>(std::move(model), config, std::move(tokens));
  return made;
}

}  // namespace regard::train
