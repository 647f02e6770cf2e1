// save(): a model that was trained, as a folder of transformers: config.json and model.safetensors.
// The families' tables are read the other way, so that what loads is the same model, to the bit
// in f32.
#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "regard/dtype.h"
#include "trainable/trainable.h"

namespace regard::models {

struct SaveOptions {
  DType dtype = DType::f32;  // of matrices: f32, f16 or bf16
  // Written beside the weights: names and contents, such as a tokenizer.json.
  std::vector<std::pair<std::string, std::string>> files = {};
};

// The folder appears whole or not at all, and is never written over. config: keys that config.json
// has besides those of the settings ("eos_token_id"), null for none.
// Throws Error: unreadable for numbers that are not finite and for settings that no config.json
// says, failed for what cannot be written.
void save(const Trainable& trainable, const std::filesystem::path& folder,
          const SaveOptions& options, const nlohmann::json& config);
void save(const Trainable& trainable, const std::filesystem::path& folder,
          const SaveOptions& options = {});

// The same into a folder that is there, for those who make it appear whole themselves.
void save_into(const Trainable& trainable, const std::filesystem::path& folder,
               const SaveOptions& options, const nlohmann::json& config);

}  // namespace regard::models
