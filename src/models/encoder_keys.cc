#include "models/encoder_keys.h"

#include <array>
#include <cmath>
#include <string>

#include "base/check.h"
#include "base/printable.h"

namespace regard::models {
namespace {

// Keys that only regard writes and reads, for what llama.cpp takes as given: hidden_act,
// pooling_normalise, pooling_most_tokens, attention.relative_max_distance, logit_scale.
struct ActivationName {
  Activation activation;
  const char* name;
};
constexpr std::array kActivations{
    ActivationName{Activation::silu, "silu"}, ActivationName{Activation::gelu_tanh, "gelu_new"},
    ActivationName{Activation::gelu_erf, "gelu"}, ActivationName{Activation::relu, "relu"}};

Activation usual_activation(const Settings& settings) {
  if (settings.form == Form::encoder) return Activation::gelu_erf;
  return settings.gated ? Activation::gelu_tanh : Activation::relu;
}

float usual_logit_scale(const Settings& settings) {
  return settings.tied ? 1 / std::sqrt(static_cast<float>(settings.width)) : 1.0f;
}

void read_activation(const GgufFile& file, const std::string& key, Settings& settings) {
  settings.activation = usual_activation(settings);
  const auto name = file.find_string(key);
  if (!name) return;
  for (const ActivationName& known : kActivations) {
    if (*name == known.name) {
      settings.activation = known.activation;
      return;
    }
  }
  fail(ErrorKind::unreadable, "{}: {} is \"{}\"; silu, gelu, gelu_new and relu are known",
       file.name(), key, printable(*name));
}

void read_bert(const GgufFile& file, const TensorSource& tensors, Settings& s) {
  if (file.find_bool("bert.attention.causal").value_or(false)) {
    fail(ErrorKind::unreadable, "{}: bert.attention.causal is true, which is not supported",
         file.name());
  }
  const TensorInfo* types = tensors.find("token_types.weight");
  s.encoder.token_types = types != nullptr ? types->shape[0] : 0;
  constexpr std::array kPoolings{Pooling::mean, Pooling::mean, Pooling::cls, Pooling::last};
  const int64_t pooling = file.find_int("bert.pooling_type", 0, 4).value_or(1);
  if (pooling == 4) {
    fail(ErrorKind::unreadable,
         "{}: bert.pooling_type is 4, a ranking head, which is not supported", file.name());
  }
  s.encoder.pooling = kPoolings[static_cast<std::size_t>(pooling)];
  if (file.find_bool("bert.pooling_max").value_or(false)) s.encoder.pooling = Pooling::max;
  s.encoder.normalise = file.find_bool("bert.pooling_normalise").value_or(true);
  s.encoder.most_tokens = file.find_int("bert.pooling_most_tokens", 1, kMostContext).value_or(0);
}

void read_t5(const GgufFile& file, Settings& s) {
  s.encoder.decoder_layers =
      file.find_int("t5.decoder_block_count", 1, kMostLayers).value_or(s.layers);
  s.encoder.buckets = file.get_int("t5.attention.relative_buckets_count", 4, 65536);
  s.encoder.farthest = file.find_int("t5.attention.relative_max_distance", 2, 65536).value_or(128);
  s.encoder.decoder_start = file.find_int("t5.decoder_start_token_id", 0, INT32_MAX).value_or(0);
  const auto scale = file.find_f64("t5.logit_scale");
  s.logit_scale = scale ? static_cast<float>(*scale) : usual_logit_scale(s);
}

}  // namespace

void read_encoder_keys(const GgufFile& file, const TensorSource& tensors, Settings& settings) {
  if (settings.form == Form::decoder) return;
  if (settings.form == Form::encoder) {
    read_bert(file, tensors, settings);
  } else {
    settings.gated = tensors.has("enc.blk.0.ffn_gate.weight");
    read_t5(file, settings);
  }
  read_activation(file, settings.architecture + ".hidden_act", settings);
}

void write_encoder_keys(const Settings& s, std::vector<GgufKey>& keys) {
  if (s.form == Form::decoder) return;
  const auto put = [&](const char* rest, auto value) {
    keys.push_back({s.architecture + "." + rest, std::move(value)});
  };
  const auto count = [&](const char* rest, int64_t value) {
    put(rest, static_cast<uint32_t>(value));
  };
  if (s.form == Form::encoder) {
    put("attention.causal", false);
    const Pooling pooling = s.encoder.pooling;
    count("pooling_type", pooling == Pooling::mean   ? 1
                          : pooling == Pooling::cls  ? 2
                          : pooling == Pooling::last ? 3
                                                     : 0);
    if (pooling == Pooling::max) put("pooling_max", true);
    put("pooling_normalise", s.encoder.normalise);
    if (s.encoder.most_tokens > 0) count("pooling_most_tokens", s.encoder.most_tokens);
  } else {
    count("decoder_block_count", s.encoder.decoder_layers);
    count("attention.relative_buckets_count", s.encoder.buckets);
    count("attention.relative_max_distance", s.encoder.farthest);
    count("decoder_start_token_id", s.encoder.decoder_start);
    if (s.logit_scale != usual_logit_scale(s)) put("logit_scale", s.logit_scale);
  }
  if (s.activation != usual_activation(s)) {
    for (const ActivationName& known : kActivations) {
      if (known.activation == s.activation) put("hidden_act", std::string(known.name));
    }
  }
}

}  // namespace regard::models
