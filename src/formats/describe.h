// summarise(): what a model file says about itself, for people. No weights are read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "formats/gguf_tensors.h"
#include "formats/hf_config.h"
#include "formats/safetensors.h"

namespace regard {

struct TypeCount {
  std::string type;         // "q4_1"
  bool computable = false;  // does regard compute with this type?
  int64_t tensors = 0;
  int64_t parameters = 0;
  int64_t bytes = 0;
};

// Texts are made printable. What the file does not say is empty or nothing.
struct FileSummary {
  std::string format;        // "GGUF version 3", "safetensors"
  std::string architecture;  // "llama"
  std::string name;
  std::string size_label;  // "135M"
  std::string license;
  std::string tokenizer;  // the kind, "gpt2", and if given its splitting rule, "gpt2 (smollm)"
  int64_t file_bytes = 0;
  int64_t tensor_bytes = 0;
  int64_t tensors = 0;
  int64_t parameters = 0;        // numbers in all tensors
  int64_t keys = 0;              // of the metadata
  std::vector<TypeCount> types;  // most bytes first
  std::optional<int64_t> layers;
  std::optional<int64_t> width;
  std::optional<int64_t> context_length;
  std::optional<int64_t> tokens;      // in the vocabulary
  std::vector<int64_t> heads;         // one a layer
  std::vector<int64_t> kv_heads;      // one a layer
  std::vector<int64_t> feed_forward;  // one a layer
  int64_t files = 1;                  // that the model is spread over
};

// Throws Error(unreadable) if one of the keys it reads has a wrong type or an impossible value.
FileSummary summarise(const GgufFile& file);
// Of all files of the model.
FileSummary summarise(const GgufTensors& model);
// config: the settings beside the weights, nullptr where there are none.
FileSummary summarise(const Safetensors& model, const HfConfig* config);

}  // namespace regard
