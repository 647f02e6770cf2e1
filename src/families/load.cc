#include "families/load.h"

#include "families/families.h"
#include "models/build.h"
#include "models/family_tensors.h"
#include "models/gguf_keys.h"

namespace regard::families {

models::Decoder load(const GgufTensors& file, ThreadPool& pool) {
  const Family& family = family_of(file.keys());
  const Settings settings = models::read_keys(file.keys(), file, family);
  return models::build_decoder(settings, models::Weights(file, pool));
}

models::Decoder load(const HfConfig& config, const TensorSource& stored, ThreadPool& pool) {
  const Family& family = family_of(config);
  const Settings settings = read_config(config, family);
  const models::FamilyTensors tensors(stored, family, settings);
  return models::build_decoder(settings, models::Weights(tensors, pool));
}

}  // namespace regard::families
