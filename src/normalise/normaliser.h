// Normaliser: one step that rewrites a text before it is cut into words. The names are those of
// tokenizer.json, where the `tokenizers` package says what each does.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "normalise/aligned.h"
#include "unicode/normal_forms.h"

namespace regard::normalise {

class Normaliser {
 public:
  virtual ~Normaliser() = default;
  // Linear in the text, but for the sorting of long runs of marks. Called by many threads at once.
  // Throws Error(unreadable) if the text becomes too long: Aligned::check_growth.
  virtual void apply(Aligned& text) const = 0;
};

using Step = std::unique_ptr<const Normaliser>;

Step form(unicode::NormalForm form);  // NFC, NFD, NFKC, NFKD
Step strip_accents();                 // StripAccents: combining marks go
Step lowercase();                     // Lowercase: each character by itself
Step strip(bool left, bool right);    // Strip: white space at the ends goes
Step nmt();                           // Nmt: controls go, separators become spaces
Step prepend(std::string prefix);     // Prepend: in front of a text that is not empty
Step sequence(std::vector<Step> steps);

// Replace with a string for a pattern: each match, from the left, becomes `content`.
// Throws Error(unreadable) for one that is empty.
Step replace_text(std::string pattern, std::string content);
// With a regular expression: a character or escaped character; of these one may be repeated (+ or
// {n,}); \A, ^ in front and \z, $ behind bind it to an end of the text; alternatives stand between
// bars. Those that files have: " {2,}", "\A +| +\z", "\A▁". Throws Error(unreadable) for others.
Step replace_regex(std::string_view pattern, std::string content);

struct BertOptions {
  bool clean_text = true;            // controls go, white space becomes spaces
  bool handle_chinese_chars = true;  // a space on both sides of each ideograph
  bool strip_accents = true;         // nonspacing marks go, those of composed characters, too
  bool lowercase = true;
};
Step bert(const BertOptions& options);  // BertNormalizer

// Precompiled: the charsmap of SentencePiece, as bytes.
// Throws Error(unreadable) unless it holds together.
Step precompiled(std::string_view charsmap);

}  // namespace regard::normalise
