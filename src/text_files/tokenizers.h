// Where a model's files keep its tokenizer: GGUF's keys, or the tokenizer.json of a folder.
#pragma once

#include <filesystem>
#include <string>

#include "formats/gguf.h"
#include "regard/tokenizer.h"

namespace regard {

// All throw Error(unreadable) that names file, key and rule.

// The whole tokenizer.json that some files carry (tokenizer.huggingface.json) says more than
// GGUF's own keys (tokenizer.ggml.*), so it is read where it is there.
Tokenizer read_tokenizer(const GgufFile& file);
// tokenizer.json, with what tokenizer_config.json beside it says about BOS and EOS.
Tokenizer read_tokenizer(const std::filesystem::path& folder);

// Without the model: path is a GGUF file, a folder, or a tokenizer.json.
Tokenizer open_tokenizer(const std::string& path);

}  // namespace regard
