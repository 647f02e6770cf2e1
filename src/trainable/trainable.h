// Trainable: a decoder or an encoder-decoder of any family whose weights are leaves, random to
// begin with or a checkpoint's. Its blocks are those that generate, score and inspect run, and
// save() writes what they load.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>

#include "base/threads.h"
#include "formats/hf_config.h"
#include "models/decoder.h"
#include "models/family.h"
#include "models/settings.h"
#include "nn/parameters.h"
#include "nn/pass.h"

namespace regard::models {

struct Trainable {
  Settings settings;               // what was made of them: biases are those that there are
  const Family* family = nullptr;  // whose config.json says these settings
  Decoder model;
  nn::Parameters parameters;  // by GGUF's names; rows of Q and K in the order of `halves`

  // Rates of all layers: of embeddings and of what each part adds; of attention's weights.
  void set_dropout(float rate, float of_weights);
  // Whether blocks keep their inputs only and are computed again when gradients are.
  void set_checkpoint(bool on);

  // ids [tokens of the texts] -> [tokens, vocabulary], on the tape where that records.
  // Throws Error for a text that is longer than the context.
  Tensor logits(std::span<const int32_t> ids, const nn::Texts& texts,
                const nn::PassOptions& options = {}) const;
  // What the head is given: [tokens, width].
  Tensor hidden(std::span<const int32_t> ids, const nn::Texts& texts,
                const nn::PassOptions& options = {}) const;
  // Of an encoder-decoder, whose text i looks at text i of the sources.
  Tensor logits(std::span<const int32_t> source_ids, const nn::Texts& sources,
                std::span<const int32_t> ids, const nn::Texts& texts,
                const nn::PassOptions& options = {}) const;

 private:
  Tensor through(std::span<const int32_t> ids, const nn::Texts& texts,
                 const nn::PassOptions& options, std::optional<nn::Source> source) const;
};

// Numbers to begin with: normal, matrices that give to the sum over layers 1/√(2 layers) as wide.
struct FirstNumbers {
  uint64_t seed = 0;
  double deviation = 0.02;
  DType dtype = DType::f32;  // f64: for checks of gradients
};

// The family and sizes that a config.json of transformers asks for.
// Throws Error(unreadable) that names file, key and rule.
Trainable make_trainable(const HfConfig& config, const FirstNumbers& numbers = {});
Trainable make_trainable(const Settings& settings, const Family& family,
                         const FirstNumbers& numbers = {});

// The same with the numbers of a checkpoint, quantised ones dequantised: a folder of transformers,
// the .safetensors file in it, or a .gguf.
Trainable load_trainable(const std::filesystem::path& path, ThreadPool& pool);

}  // namespace regard::models
