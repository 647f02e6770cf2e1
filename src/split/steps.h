// The pre-tokenizers of tokenizer.json, by the names they have there.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "split/pre_tokenizer.h"
#include "split/scanners.h"

namespace regard::split {

// What becomes of the matches, "-" in "the-final--countdown":
//   removed               the final countdown
//   isolated              the - final - - countdown
//   merged_with_previous  the- final- - countdown
//   merged_with_next      the -final - -countdown
//   contiguous            the - final -- countdown
enum class Behaviour { removed, isolated, merged_with_previous, merged_with_next, contiguous };

// A part of a text that matches, or that lies between two that do. In order, nothing left out.
struct Match {
  Span span;
  bool is_match;
};
// Appends the words that they make. invert: what lies between is the delimiter.
void cut(std::vector<Match>& matches, Behaviour behaviour, bool invert, std::vector<Span>& words);

Step scan(SplitRule rule);
Step pre_tokenizer(const NamedRule& rule);  // of GGUF
Step digits(bool individual);               // Digits
Step punctuation(Behaviour behaviour);      // Punctuation
Step whitespace();                          // Whitespace: runs of \w, runs of what else is no space
Step bert();                                // BertPreTokenizer: WhitespaceSplit, then Punctuation
Step whitespace_split();                    // WhitespaceSplit
Step fixed_length(int64_t characters);      // FixedLength
// Split with a string, CharDelimiterSplit. Requires: not empty.
Step literal(std::string pattern, Behaviour behaviour, bool invert);
// Split with a regular expression. Those of the families that people have are known and linear;
// others run in PCRE2 within limits. Throws Error(unreadable) for one that does not compile or that
// means another thing in Oniguruma, which the reference uses.
Step regex(std::string_view pattern, Behaviour behaviour, bool invert);

enum class Prepend { always, first, never };
// Metaspace: spaces become `replacement`, words get one in front; split: a word begins at each.
Step metaspace(std::string replacement, Prepend prepend, bool split);
Step space_in_front();  // ByteLevel's add_prefix_space: of each word that has none

Step sequence(std::vector<Step> steps);

}  // namespace regard::split
