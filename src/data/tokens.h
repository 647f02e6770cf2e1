// Tokens: how texts become ids in training, and the tokenizer files that a trained model gets.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/batch.h"
#include "regard/tokenizer.h"
#include "tasks/tasks.h"

namespace regard::data {

struct Tokens {
  // Nothing: a byte is an id.
  std::optional<Tokenizer> tokenizer = {};
  int64_t vocabulary = 0;
  std::optional<Id> boundary = {};  // stands behind a document
  // tokenizer.json and tokenizer_config.json; empty where a GGUF holds a tokenizer.
  std::string json = {}, config = {};

  // Without the tokens around a text. Throws Error naming `name` for a text that is not UTF-8.
  std::vector<Id> encode(std::string_view text, std::string_view name) const;
};

// Every byte an id, and 256 the boundary: <|endoftext|>. Any file is such a text.
Tokens byte_tokens();

// The tokenizer of a folder, a tokenizer.json or a GGUF; its EOS is the boundary.
Tokens read_tokens(const std::string& path);

// The words of a task by their ids; <stop> ends a text.
Tokens task_tokens(const tasks::Task& task);

}  // namespace regard::data
