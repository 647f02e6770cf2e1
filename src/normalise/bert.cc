// BertNormalizer: cleaned text, ideographs set apart, accents stripped, lower case.
//
// By definition these are steps, each over the whole text. Their outcome for a character depends on
// its neighbours only if one of its parts is a mark that is kept but has a combining class (some
// thirty musical signs, tone marks and the like): sorting may then move it. All other texts are
// done in one pass, in which what becomes of a character is looked up.
#include <utility>

#include "normalise/lower.h"
#include "normalise/normaliser.h"
#include "unicode/properties.h"

namespace regard::normalise {
namespace {

using unicode::properties;

// What becomes of a character. Most become one: itself, its lower case, a space.
struct Outcome {
  enum Kind : uint8_t { one, none, several, moves } kind = none;
  char32_t character = 0;  // if one
};

bool goes(char32_t c) {
  if (c == '\t' || c == '\n' || c == '\r') return false;
  return c == 0 || c == 0xFFFD || properties(c) & unicode::kControl;
}

class Bert final : public Normaliser {
 public:
  explicit Bert(const BertOptions& options) : options_(options) {
    if (options_.strip_accents) decompose_ = form(unicode::NormalForm::nfd);
    if (options_.lowercase) lowercase_ = regard::normalise::lowercase();
    table_.resize(0x10000);
    Scratch scratch;
    for (char32_t c = 0; c < 0x10000; ++c)
      if (c < 0xD800 || c >= 0xE000) table_[c] = work_out(c, scratch);
    for (char32_t c = 0; c < 0x80; ++c)
      ascii_[c] =
          table_[c].kind == Outcome::one ? static_cast<uint8_t>(table_[c].character) : kGoes;
  }

  void apply(Aligned& text) const override {
    if (!in_one_pass(text)) in_steps(text);
  }

 private:
  struct Scratch {
    std::string character;
    std::vector<unicode::Edit> edits;
    std::u32string parts;
  };

  // The characters that c becomes, all from where c comes from; false if its marks may move.
  bool parts_of(char32_t c, Scratch& scratch) const {
    std::u32string& parts = scratch.parts;
    parts.clear();
    if (options_.clean_text) {
      if (goes(c)) return true;
      if (properties(c) & unicode::kWhiteSpace) c = U' ';
    }
    const bool apart = options_.handle_chinese_chars && properties(c) & unicode::kIdeograph;
    if (apart) parts += U' ';
    if (options_.strip_accents) {
      scratch.character.clear();
      scratch.edits.clear();
      unicode::append_character(c, scratch.character);
      unicode::append_normal_form(scratch.character, unicode::NormalForm::nfd, scratch.edits);
      for (const unicode::Edit& edit : scratch.edits) {
        if (properties(edit.character) & unicode::kNonspacing) continue;
        if (unicode::combining_class(edit.character) != 0) return false;
        parts += edit.character;
      }
    } else {
      parts += c;
    }
    if (apart) parts += U' ';
    if (!options_.lowercase) return true;
    for (size_t i = 0; i < parts.size(); ++i) {
      const bool dotted = parts[i] == kDottedI;
      parts[i] = lower(parts[i]);
      if (dotted) parts.insert(++i, 1, kDotAbove);
    }
    return true;
  }

  Outcome work_out(char32_t c, Scratch& scratch) const {
    const std::u32string& parts = scratch.parts;
    if (!parts_of(c, scratch)) return {Outcome::moves, 0};
    if (parts.empty()) return {Outcome::none, 0};
    if (parts.size() == 1) return {Outcome::one, parts[0]};
    return {Outcome::several, 0};
  }

  bool in_one_pass(Aligned& text) const {
    Rewriter rewriter(text);
    Scratch scratch;
    const std::u32string& parts = scratch.parts;
    while (!rewriter.done()) {
      rewriter.map_ascii(ascii_);
      if (rewriter.done()) break;
      const char32_t c = rewriter.peek();
      const Outcome outcome = c < 0x10000 ? table_[c] : work_out(c, scratch);
      switch (outcome.kind) {
        case Outcome::one:
          rewriter.replace(outcome.character);
          break;
        case Outcome::none:
          rewriter.skip(unicode::utf8_length(c));
          break;
        case Outcome::several:
          parts_of(c, scratch);
          rewriter.replace(parts[0]);
          for (size_t i = 1; i < parts.size(); ++i) rewriter.insert(parts[i]);
          break;
        case Outcome::moves:
          return false;  // what was written is forgotten
      }
    }
    rewriter.finish();
    return true;
  }

  void in_steps(Aligned& text) const {
    if (options_.clean_text || options_.handle_chinese_chars) clean(text);
    if (options_.strip_accents) {
      decompose_->apply(text);
      Rewriter rewriter(text);
      while (!rewriter.done()) {
        const char32_t c = rewriter.peek();
        if (properties(c) & unicode::kNonspacing)
          rewriter.skip(unicode::utf8_length(c));
        else
          rewriter.replace(c);
      }
      rewriter.finish();
    }
    if (options_.lowercase) lowercase_->apply(text);
  }

  void clean(Aligned& text) const {
    Rewriter rewriter(text);
    while (!rewriter.done()) {
      const char32_t c = rewriter.peek();
      if (options_.clean_text && goes(c)) {
        rewriter.skip(unicode::utf8_length(c));
      } else if (options_.clean_text && properties(c) & unicode::kWhiteSpace) {
        rewriter.replace(U' ');
      } else if (options_.handle_chinese_chars && properties(c) & unicode::kIdeograph) {
        rewriter.replace(U' ');
        rewriter.insert(c);
        rewriter.insert(U' ');
      } else {
        rewriter.replace(c);
      }
    }
    rewriter.finish();
  }

  BertOptions options_;
  Step decompose_, lowercase_;
  std::vector<Outcome> table_;  // of the first 65,536 code points
  AsciiMap ascii_{};
};

}  // namespace

Step bert(const BertOptions& options) { return std::make_unique<Bert>(options); }

}  // namespace regard::normalise
