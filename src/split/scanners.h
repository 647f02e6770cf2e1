// How a text is cut into words before byte pairs are merged: merges never cross a cut.
// Each rule is a regular expression in the models' files; here it is a scanner that looks at every
// character a bounded number of times, whatever the text.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace regard::split {

// gpt2    's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
// smollm  every \p{N} alone, then gpt2 on each stretch between them
// llama3  (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}
//         | ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
// qwen2   llama3 with \p{N} in place of \p{N}{1,3}
enum class SplitRule : uint8_t { gpt2, smollm, llama3, qwen2 };

// Gives the end of the word that begins at `at`. Requires: at < end, well-formed UTF-8.
using WordScanner = const char* (*)(const char* at, const char* end);
WordScanner word_scanner(SplitRule rule);

// The rule that a regular expression stands for, if it is one of those above as files write them.
std::optional<SplitRule> find_rule(std::string_view pattern);

// What the name in `tokenizer.ggml.pre` stands for.
struct NamedRule {
  SplitRule rule;
  bool ignore_merges;  // a word that is in the vocabulary is taken whole, whatever the merges say
  bool add_bos;        // when the file does not say
};

std::optional<NamedRule> find_pre_tokenizer(std::string_view name);
std::string pre_tokenizer_names();  // "gpt-2, phi-2, ..."

}  // namespace regard::split
