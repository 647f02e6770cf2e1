// The form of a byte-level BPE's tokenizer.json, as the package tokenizers writes it: for those who
// make such files.
#pragma once

#include <cstdint>
#include <string_view>

#include <nlohmann/json.hpp>

namespace regard::byte_pair_json {

// A ByteLevel step; use_regex: words are cut as GPT-2 cuts them.
nlohmann::json byte_level(bool use_regex);

// One of `added_tokens`: found in a text as it is.
nlohmann::json added_token(int64_t id, std::string_view content, bool special);

struct Parts {
  nlohmann::json added_tokens, pre_tokenizer, decoder;
  nlohmann::json vocabulary, merges;
};
// The whole file.
nlohmann::json tokenizer(Parts parts);

}  // namespace regard::byte_pair_json
