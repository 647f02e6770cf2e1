// Unigram: the cover of a word by tokens whose scores have the highest sum. Kudo 2018.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "pieces/piece.h"
#include "pieces/trie.h"

namespace regard::pieces {

class Unigram {
 public:
  struct Options {
    int32_t unknown = 0;
    // [256] the tokens that stand for bytes where nothing else fits, or -1. Empty, or one that is
    // needed is not there: the unknown token stands for the whole stretch.
    std::vector<int32_t> bytes = {};
  };
  // The keys are the tokens that a text may spell, in UTF-8; scores [tokens].
  // Throws Error(unreadable) for a score that is not a number.
  Unigram(std::vector<Trie::Key> keys, std::vector<double> scores, const Options& options);

  // Appends the pieces of a word. Of two ways with the same score the one found first is taken, as
  // the `tokenizers` package does. Characters next to each other that no token covers are one piece
  // (or, with byte tokens, that many pieces for the whole stretch).
  // Looks at each byte as often as the longest token has bytes.
  void encode(std::string_view word, std::vector<Piece>& out) const;

 private:
  struct Arrival;  // the best way to a place in the word
  void search(std::string_view word, Arrival* arrivals) const;
  void add_unknown(std::string_view word, int32_t begin, int32_t end,
                   std::vector<Piece>& out) const;

  Trie trie_;
  std::vector<double> scores_;
  double unknown_score_;
  int32_t unknown_;
  std::vector<int32_t> bytes_;
};

}  // namespace regard::pieces
