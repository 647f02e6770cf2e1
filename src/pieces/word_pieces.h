// WordPieces: from the left, the longest token that the rest of the word begins with; inside a word
// only tokens with a prefix ("##ing"). A word that cannot be covered is one unknown token.
// Schuster and Nakajima 2012; Devlin et al. 2018.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "pieces/piece.h"
#include "pieces/trie.h"

namespace regard::pieces {

class WordPieces {
 public:
  struct Options {
    std::string prefix = "##";  // of the tokens that continue a word
    int32_t unknown = 0;
    int64_t longest_word = 100;  // in characters; a longer word is unknown
  };
  // The keys are the tokens that a text may spell, in UTF-8.
  WordPieces(std::vector<Trie::Key> keys, const Options& options);

  // Appends the pieces of a word. Looks at each byte as often as the longest token has bytes.
  void encode(std::string_view word, std::vector<Piece>& out) const;

 private:
  bool has_too_many_characters(std::string_view word) const noexcept;

  Trie trie_;
  Trie::Node inside_ = Trie::kRoot;  // where tokens that continue a word begin
  bool continues_;                   // are there any?
  int32_t unknown_;
  int64_t longest_word_;
};

}  // namespace regard::pieces
