// GGUF's own tokenizer keys as tokenizer.json, where it can say the same: byte-level BPE that
// splits as GPT-2's or SmolLM's does and puts no token around a text.
#pragma once

#include <optional>

#include <nlohmann/json.hpp>

#include "formats/gguf.h"

namespace regard {

struct TokenizerJson {
  nlohmann::json tokenizer, config;  // tokenizer.json, tokenizer_config.json
};

// Nothing for every other kind. Throws Error(unreadable) for keys of wrong types.
std::optional<TokenizerJson> tokenizer_json(const GgufFile& file);

}  // namespace regard
