// WordPiece and Unigram from the keys of a GGUF file.
#pragma once

#include "regard/tokenizer.h"
#include "text/tables.h"

namespace regard::text {

// Is BOS, is EOS put around a text when the file does not say?
struct UsualEnds {
  bool bos, eos;
};

// prepare: what a file leaves out, and tokens as a tokenizer.json has them; before the vocabulary
// is made. build: all parts but the special tokens and the ends.
void prepare_bert(TokenizerSpec& spec);
UsualEnds build_bert(const TokenizerSpec& spec, Tokenizer::Tables& tables);
void prepare_t5(TokenizerSpec& spec);
UsualEnds build_t5(const TokenizerSpec& spec, Tokenizer::Tables& tables);

}  // namespace regard::text
