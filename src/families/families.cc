#include "families/families.h"

#include <algorithm>
#include <array>
#include <utility>

#include <nlohmann/json.hpp>

#include "base/check.h"
#include "base/printable.h"
#include "models/gguf_keys.h"

namespace regard::families {
namespace {

template <class NamesOf>
[[noreturn]] void refuse(const std::string& file, const char* what, std::string_view got,
                         const NamesOf& names_of) {
  std::vector<std::string_view> names;
  for (const Family* family : all()) {
    for (const std::string_view name : names_of(*family)) {
      if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
    }
  }
  std::string list;
  for (const std::string_view name : names) {
    if (!list.empty()) list += name == names.back() ? " and " : ", ";
    list += name;
  }
  fail(ErrorKind::unreadable, "{}: {} \"{}\" is not supported; {} are", file, what, printable(got),
       list);
}

}  // namespace

std::span<const Family* const> all() {
  static const std::array<const Family*, 14> families{
      &bert(),    &bloom(), &gemma2(), &gemma3(), &gpt2(),  &llama(),   &mistral(),
      &mixtral(), &mpt(),   &phi3(),   &qwen2(),  &qwen3(), &roberta(), &t5()};
  return families;
}

const Family& family_of(const HfConfig& config) {
  const std::string type = config.model_type();
  for (const Family* family : all()) {
    const auto& types = family->model_types;
    if (std::find(types.begin(), types.end(), type) != types.end()) return *family;
  }
  refuse(config.name(), "model_type", type,
         [](const Family& family) { return std::span(family.model_types); });
}

const Family& family_of(const GgufFile& file) {
  const std::string_view architecture = file.get_string("general.architecture");
  if (architecture == "llama") return llama();  // Mistral's and Mixtral's, too
  for (const Family* family : all()) {
    if (family->architecture == architecture) return *family;
  }
  refuse(file.name(), "architecture", architecture,
         [](const Family& family) { return std::span(&family.architecture, 1); });
}

Settings read_config(const HfConfig& config, const Family& family) {
  Settings settings;
  settings.architecture = family.architecture;
  never(config, "quantization_config");
  family.defaults(settings);
  family.read_config(config, settings);
  check(settings, config.name());
  return settings;
}

const Family& stored_family(const Settings& settings, const Family& family) {
  if (family.architecture == "bert") return bert();
  if (family.architecture != "llama") return family;
  if (settings.experts > 0) return mixtral();
  return settings.window > 0 ? mistral() : llama();
}

namespace {

// What two settings differ in; nothing if they are the same model.
std::string difference(const Settings& a, Settings b, const Family& family) {
  models::RopeSettings& rope = b.rope;
  if (a.rope.far_factors.empty() && rope.far_factors == rope.factors && rope.near >= b.context) {
    rope.far_factors.clear();
  }
  const std::vector<models::GgufKey> keys = models::write_keys(a, family);
  const std::vector<models::GgufKey> back = models::write_keys(b, family);
  for (std::size_t i = 0; i < std::max(keys.size(), back.size()); ++i) {
    if (i >= keys.size()) return back[i].key;
    if (i >= back.size() || keys[i].key != back[i].key || keys[i].value != back[i].value) {
      return keys[i].key;
    }
  }
  if (a.rope.factors != rope.factors || a.rope.far_factors != rope.far_factors ||
      a.rope.amplitude != rope.amplitude) {
    return "rope_freqs.weight";
  }
  if (a.activation != b.activation || a.gated != b.gated) return "the activation";
  const bool head = a.form != models::Form::encoder;
  if ((head && a.tied != b.tied) || a.logit_scale != b.logit_scale) return "output.weight";
  if (a.encoder.token_types != b.encoder.token_types) return "token_types.weight";
  if (a.attention_bias != b.attention_bias ||
      a.output_bias != (b.attention_bias && b.output_bias)) {
    return "attention's biases";
  }
  if (a.mlp_bias != b.mlp_bias) return "the MLP's biases";
  return {};
}

}  // namespace

nlohmann::json write_config(const Settings& settings, const Family& family,
                            const std::string& file) {
  nlohmann::json config = {{"model_type", family.model_types.front()},
                           {"tie_word_embeddings", settings.tied}};
  family.write_config(settings, config);
  std::string differs;
  try {
    Settings back = read_config(HfConfig::parse(config.dump(), file + "/config.json"), family);
    back.encoder.pooling = settings.encoder.pooling;  // files beside config.json say it
    back.encoder.normalise = settings.encoder.normalise;
    back.encoder.most_tokens = settings.encoder.most_tokens;
    differs = difference(settings, std::move(back), family);
  } catch (const Error& error) {
    differs = error.what();
  }
  if (differs.empty()) return config;
  fail(ErrorKind::unreadable, "{}: a folder of type {} cannot say what this file does: {}", file,
       family.model_types.front(), differs);
}

}  // namespace regard::families
