#include "trainable/trainable.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/printable.h"
#include "families/families.h"
#include "formats/gguf_tensors.h"
#include "formats/safetensors.h"
#include "models/build.h"
#include "models/build_encoder.h"
#include "models/family_tensors.h"
#include "models/gguf_keys.h"

namespace regard::models {
namespace {

namespace fs = std::filesystem;

// The settings as config.json must say them of what was made.
void settle(Trainable& made, const Family& family) {
  Settings& s = made.settings;
  const auto has = [&](const char* name) { return made.parameters.find(name) != nullptr; };
  s.attention_bias = has("blk.0.attn_q.bias");
  s.output_bias = has("blk.0.attn_output.bias");
  s.mlp_bias = has("blk.0.ffn_up.bias");
  made.family = &families::stored_family(s, family);
}

Decoder build(const Settings& settings, const Weights& weights) {
  require(settings.form != Form::encoder,
          "trainable: a model of architecture {} is an encoder alone; decoders and "
          "encoder-decoders are trained",
          settings.architecture);
  return settings.form == Form::decoder ? build_decoder(settings, weights)
                                        : build_encoder_decoder(settings, weights);
}

Trainable build(const Settings& settings, const Family& family, const TensorSource& source,
                ThreadPool& pool) {
  Trainable made;
  made.settings = settings;
  made.model = build(settings, Weights(source, pool, made.parameters));
  settle(made, family);
  return made;
}

}  // namespace

Trainable make_trainable(const Settings& settings, const Family& family,
                         const FirstNumbers& numbers) {
  require(numbers.deviation > 0, "trainable: the deviation ({}) must be positive",
          numbers.deviation);
  Trainable made;
  made.settings = settings;
  const nn::Maker make{&made.parameters, {numbers.seed}, numbers.deviation, numbers.dtype};
  made.model = build(settings, Weights(make));
  settle(made, family);
  return made;
}

Trainable make_trainable(const HfConfig& config, const FirstNumbers& numbers) {
  const Family& family = families::family_of(config);
  return make_trainable(families::read_config(config, family), family, numbers);
}

Trainable load_trainable(const fs::path& path, ThreadPool& pool) {
  std::error_code error;
  const bool is_folder = fs::is_directory(path, error);
  if (!is_folder && path.extension() == ".gguf") {
    const GgufTensors file = GgufTensors::open(path);
    const Family& family = families::family_of(file.keys());
    return build(read_keys(file.keys(), file, family), family, file, pool);
  }
  const fs::path folder = is_folder ? path : path.has_parent_path() ? path.parent_path() : ".";
  const HfConfig config = HfConfig::open(folder);
  const Safetensors stored = Safetensors::open(path);
  const Family& family = families::family_of(config);
  const Settings settings = families::read_config(config, family);
  const FamilyTensors tensors(stored, family, settings);
  return build(settings, family, tensors, pool);
}

void Trainable::set_dropout(float rate, float of_weights) {
  for (const float one : {rate, of_weights}) {
    require(one >= 0 && one < 1, "trainable: dropout ({}) is not in 0 .. 1", one);
  }
  const auto set = [&](nn::InputEmbedding& embedding, std::vector<nn::Block>& blocks) {
    embedding.dropout = rate;
    for (nn::Block& block : blocks) {
      block.dropout = rate;
      block.attention.dropout = of_weights;
      if (block.cross) block.cross->dropout = of_weights;
    }
  };
  set(model.embedding, model.blocks);
  if (!model.encoder) return;
  const auto encoder = std::make_shared<Encoder>(*model.encoder);  // shares its leaves
  set(encoder->embedding, encoder->blocks);
  model.encoder = encoder;
}

void Trainable::set_checkpoint(bool on) {
  for (nn::Block& block : model.blocks) block.checkpoint = on;
  if (!model.encoder) return;
  const auto encoder = std::make_shared<Encoder>(*model.encoder);
  for (nn::Block& block : encoder->blocks) block.checkpoint = on;
  model.encoder = encoder;
}

namespace {

void check_texts(std::span<const int32_t> ids, const nn::Texts& texts, int64_t most) {
  require(std::ssize(ids) == texts.tokens(), "trainable: {} ids for {} tokens of texts", ids.size(),
          texts.tokens());
  for (const Segment& text : texts.segments) {
    require(text.rows <= most, "trainable: a text has {} tokens, the model takes {}", text.rows,
            most);
  }
}

}  // namespace

Tensor Trainable::through(std::span<const int32_t> ids, const nn::Texts& texts,
                          const nn::PassOptions& options, std::optional<nn::Source> source) const {
  const int64_t near = model.near();
  check_texts(ids, texts, near > 0 ? std::min(near, settings.context) : settings.context);
  int64_t longest = 1;
  for (const Segment& text : texts.segments) longest = std::max(longest, text.rows);
  model.reserve(longest);
  const AttentionShape shape = model.config.attention_shape();
  std::vector<nn::Kind> kinds;
  for (const AttentionOptions& one : model.config.kinds) {
    kinds.push_back({one, model.config.learned, shape});
  }
  return model.hidden(ids,
                      nn::Pass::make(texts, std::move(kinds), options, std::move(source))->step());
}

Tensor Trainable::hidden(std::span<const int32_t> ids, const nn::Texts& texts,
                         const nn::PassOptions& options) const {
  require(!model.encoder, "trainable: an encoder-decoder's texts need sources");
  return through(ids, texts, options, {});
}

Tensor Trainable::logits(std::span<const int32_t> ids, const nn::Texts& texts,
                         const nn::PassOptions& options) const {
  return model.logits(hidden(ids, texts, options));
}

Tensor Trainable::logits(std::span<const int32_t> source_ids, const nn::Texts& sources,
                         std::span<const int32_t> ids, const nn::Texts& texts,
                         const nn::PassOptions& options) const {
  require(model.encoder != nullptr, "trainable: a decoder has no sources to look at");
  const Encoder& encoder = *model.encoder;
  check_texts(source_ids, sources, encoder.config.context);
  nn::PassOptions of_encoder = options;  // the two halves draw other random numbers
  if (options.random) of_encoder.random = nn::derived_seed(*options.random, "encoder");
  const nn::Kind kind{encoder.config.options, encoder.config.learned,
                      encoder.config.attention_shape()};
  nn::Source source{encoder.hidden(source_ids, nn::Pass::make(sources, {kind}, of_encoder)->step()),
                    sources,
                    {*model.config.cross, {}, model.config.attention_shape()}};
  return model.logits(through(ids, texts, options, std::move(source)));
}

}  // namespace regard::models
