// Ends: what is added around a text, and what is taken from the ranges of tokens, when all else is
// done (the post-processors of tokenizer.json).
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "subwords/model.h"
#include "subwords/vocabulary.h"

namespace regard::parts {

struct Ends {
  std::vector<int32_t> before, behind;
  // Ranges lose the spaces at their ends that their token has. That of the first token keeps one:
  // it may be the one that was put in front of the text.
  bool trims = false;
  bool keeps_first_space = false;
};

// Trims ranges [tokens] of a text.
void trim_ranges(const Ends& ends, const subwords::Vocabulary& vocabulary, std::string_view text,
                 const std::vector<int32_t>& ids, std::vector<ByteRange>& ranges);

}  // namespace regard::parts
