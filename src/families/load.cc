#include "families/load.h"

#include "families/families.h"
#include "models/build.h"
#include "models/build_encoder.h"
#include "models/family_tensors.h"
#include "models/gguf_keys.h"

namespace regard::families {

namespace {

models::Decoder build(const Settings& settings, const models::Weights& weights) {
  switch (settings.form) {
    case models::Form::decoder:
      return build_decoder(settings, weights);
    case models::Form::encoder:
      return build_encoder(settings, weights);
    case models::Form::encoder_decoder:
      return build_encoder_decoder(settings, weights);
  }
  return {};
}

}  // namespace

models::Decoder load(const GgufTensors& file, ThreadPool& pool) {
  const Family& family = family_of(file.keys());
  const Settings settings = models::read_keys(file.keys(), file, family);
  return build(settings, models::Weights(file, pool));
}

models::Decoder load(const HfConfig& config, const TensorSource& stored, ThreadPool& pool) {
  const Family& family = family_of(config);
  const Settings settings = read_config(config, family);
  const models::FamilyTensors tensors(stored, family, settings);
  return build(settings, models::Weights(tensors, pool));
}

}  // namespace regard::families
