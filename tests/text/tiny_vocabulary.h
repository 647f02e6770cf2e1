// A byte-level vocabulary small enough to work out by hand: ids 0 to 255 are the bytes in order,
// then come the results of the merges in order (each once), then the special tokens.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "regard/tokenizer.h"
#include "subwords/byte_alphabet.h"

namespace regard {

struct Special {
  std::string text;
  TokenType type;
};

// In the byte alphabet: "Ġa" for " a".
inline std::string in_alphabet(std::string_view bytes) {
  std::string written;
  for (const char c : bytes) written += subwords::alphabet_character(static_cast<uint8_t>(c));
  return written;
}

// Each merge is two byte strings.
inline TokenizerSpec tiny_spec(const std::vector<std::pair<std::string, std::string>>& merges = {},
                               const std::vector<Special>& specials = {},
                               std::string pre = "gpt-2") {
  TokenizerSpec spec{.model = "gpt2", .pre = std::move(pre)};
  spec.add_bos = false;
  for (int byte = 0; byte < 256; ++byte)
    spec.tokens.push_back(subwords::alphabet_character(static_cast<uint8_t>(byte)));
  for (const auto& [left, right] : merges) {
    const std::string joined = in_alphabet(left + right);
    if (std::find(spec.tokens.begin(), spec.tokens.end(), joined) == spec.tokens.end())
      spec.tokens.push_back(joined);
    spec.merges.push_back(in_alphabet(left) + " " + in_alphabet(right));
  }
  spec.types.resize(spec.tokens.size(), TokenType::normal);
  for (const Special& special : specials) {
    spec.tokens.push_back(special.text);
    spec.types.push_back(special.type);
  }
  return spec;
}

}  // namespace regard
