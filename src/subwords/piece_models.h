// The models of words that are cut into pieces: WordPiece and Unigram, over a vocabulary.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "subwords/model.h"
#include "subwords/vocabulary.h"

namespace regard::subwords {

struct WordPieceOptions {
  std::string prefix = "##";   // of the tokens that continue a word
  int32_t unknown = 0;         // an id of the vocabulary
  int64_t longest_word = 100;  // in characters
};

// `ids`: the tokens of the vocabulary that are pieces. Control and unknown tokens among them, and
// those that are not UTF-8, are none all the same: no text may spell its way to one.
std::unique_ptr<const Model> word_piece_model(const Vocabulary& vocabulary,
                                              std::span<const int32_t> ids,
                                              const WordPieceOptions& options);

// scores: of the vocabulary's first tokens, which are the pieces; the others are none.
// byte_fallback: characters that no token covers become the tokens "<0xE2>" of their bytes, if they
// are all there. Throws Error(unreadable) for a score that is not a number.
std::unique_ptr<const Model> unigram_model(const Vocabulary& vocabulary, std::vector<double> scores,
                                           int32_t unknown, bool byte_fallback);

}  // namespace regard::subwords
