#include "trainable/trainable.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/printable.h"
#include "families/families.h"
#include "formats/gguf_tensors.h"
#include "formats/safetensors.h"
#include "models/build.h"
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

Trainable build(const Settings& settings, const Family& family, const TensorSource& source,
                ThreadPool& pool) {
  Trainable made;
  made.settings = settings;
  made.model = build_decoder(settings, Weights(source, pool, made.parameters));
  settle(made, family);
  return made;
}

}  // namespace

Trainable make_trainable(const Settings& settings, const Family& family,
                         const FirstNumbers& numbers) {
  require(settings.form == Form::decoder,
          "trainable: a model of architecture {} is no decoder, which is what is trained",
          settings.architecture);
  require(numbers.deviation > 0, "trainable: the deviation ({}) must be positive",
          numbers.deviation);
  Trainable made;
  made.settings = settings;
  const nn::Maker make{&made.parameters, {numbers.seed}, numbers.deviation, numbers.dtype};
  made.model = build_decoder(settings, Weights(make));
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
  model.embedding.dropout = rate;
  for (nn::Block& block : model.blocks) {
    block.dropout = rate;
    block.attention.dropout = of_weights;
  }
}

void Trainable::set_checkpoint(bool on) {
  for (nn::Block& block : model.blocks) block.checkpoint = on;
}

Tensor Trainable::hidden(std::span<const int32_t> ids, const nn::Texts& texts,
                         const nn::PassOptions& options) const {
  require(std::ssize(ids) == texts.tokens(), "trainable: {} ids for {} tokens of texts", ids.size(),
          texts.tokens());
  const int64_t near = model.near();
  const int64_t most = near > 0 ? std::min(near, settings.context) : settings.context;
  int64_t longest = 1;
  for (const Segment& text : texts.segments) longest = std::max(longest, text.rows);
  require(longest <= most, "trainable: a text has {} tokens, the model takes {}", longest, most);
  model.reserve(longest);
  std::vector<nn::Kind> kinds;
  for (const AttentionOptions& one : model.config.kinds) {
    kinds.push_back({one, {}, model.config.attention_shape()});
  }
  return model.hidden(ids, nn::Pass::make(texts, std::move(kinds), options)->step());
}

Tensor Trainable::logits(std::span<const int32_t> ids, const nn::Texts& texts,
                         const nn::PassOptions& options) const {
  return model.logits(hidden(ids, texts, options));
}

}  // namespace regard::models
