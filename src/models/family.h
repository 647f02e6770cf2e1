// Family: all that tells one kind of model from another: how its tensors are called in safetensors
// and in GGUF, what lies between the two, and how its config.json is read
// and written. A family is one file of
// src/families; the layers are the same for all.
//
// Inside the program tensors have GGUF's names and GGUF's form. From safetensors they come through
// FamilyTensors, which renames and transforms; `regard convert` writes what that gives.
#pragma once

#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "formats/hf_config.h"
#include "models/settings.h"

namespace regard::models {

enum class Transform {
  as_is,
  plus_one,     // Gemma stores gain - 1
  transposed,   // GPT-2's Conv1D is [inputs, outputs]
  query_pairs,  // rows of heads from halves to the order of adjacent pairs
  key_pairs,
  heads_apart,   // BLOOM: of each head q, k, v; becomes all q, all k, all v
  past_padding,  // RoBERTa: positions begin behind the padding token's row
  stacked,       // matrices of experts become one array; the second {} counts them
};

// stored: the name in safetensors, name: that in GGUF, both without .weight and .bias. {} is a
// number: the layer, which both have.
struct TensorRule {
  std::string_view stored;
  std::string_view name;
  Transform transform = Transform::as_is;
};

struct Family {
  std::string_view architecture;              // GGUF's general.architecture
  std::vector<std::string_view> model_types;  // config.json's model_type
  std::vector<std::string_view> prefixes;     // that names may have in front of what rules say
  std::vector<TensorRule> tensors;
  // Tensors that texts do not need: as rules, with their ends; "vision." is all that begins so.
  std::vector<std::string_view> ignored;

  // What the architecture's name says by itself; the files' own settings come on top. Sizes are
  // known already where keys are read, and still 0 where config.json is.
  void (*defaults)(Settings& settings) = nullptr;
  // Throws Error(unreadable) for a setting that would change the numbers and is not supported.
  void (*read_config)(const HfConfig& config, Settings& settings) = nullptr;
  // What read_config would make these settings of; families::write_config() holds it to that.
  void (*write_config)(const Settings& settings, nlohmann::json& config) = nullptr;
};

}  // namespace regard::models
