// Vocabulary: the tokens as the file writes them, their types, and the way back from text to id.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "regard/tokenizer.h"
#include "subwords/string_table.h"

namespace regard::subwords {

class Vocabulary {
 public:
  // No types: all are normal. Throws Error(unreadable) unless there are tokens, a known type for
  // each, and no two alike (empty ones aside: they fill holes and are never found).
  Vocabulary(const std::vector<std::string>& tokens, std::vector<TokenType> types);

  int32_t size() const noexcept { return texts_.size(); }
  std::string_view text(int32_t id) const noexcept { return texts_[id]; }
  TokenType type(int32_t id) const noexcept { return types_[id]; }
  std::optional<int32_t> find(std::string_view text) const noexcept { return texts_.find(text); }

  // Control and unknown tokens: only special parsing may make them, never the text by itself.
  bool is_reserved(int32_t id) const noexcept {
    return type(id) == TokenType::control || type(id) == TokenType::unknown;
  }

 private:
  StringTable texts_;
  std::vector<TokenType> types_;
};

// For messages: in quotes, on one line, at most 40 characters.
std::string quoted(std::string_view text);

}  // namespace regard::subwords
