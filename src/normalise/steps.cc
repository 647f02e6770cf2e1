// The normalisers that look at one character at a time, and the normal forms.
#include <algorithm>
#include <utility>

#include "normalise/lower.h"
#include "normalise/normaliser.h"
#include "unicode/properties.h"

namespace regard::normalise {
namespace {

class Form final : public Normaliser {
 public:
  explicit Form(unicode::NormalForm form) noexcept : form_(form) {}

  void apply(Aligned& text) const override {
    Rewriter rewriter(text);
    std::vector<unicode::Edit> edits;
    while (!rewriter.done()) {
      rewriter.keep(unicode::inert_prefix(rewriter.rest()));
      const std::string_view joined =
          rewriter.rest().substr(0, unicode::joined_prefix(rewriter.rest()));
      edits.clear();
      unicode::append_normal_form(joined, form_, edits);
      rewriter.apply(edits.data(), edits.size());
    }
    rewriter.finish();
  }

 private:
  unicode::NormalForm form_;
};

// Keeps, drops or replaces each character, whatever stands beside it. `Change` is given a Rewriter
// that is not done and reads at least one character.
template <class Change>
class EachCharacter final : public Normaliser {
 public:
  explicit EachCharacter(Change change) : change_(std::move(change)) {}

  void apply(Aligned& text) const override {
    Rewriter rewriter(text);
    while (!rewriter.done()) change_(rewriter);
    rewriter.finish();
  }

 private:
  Change change_;
};

template <class Change>
Step each_character(Change change) {
  return std::make_unique<EachCharacter<Change>>(std::move(change));
}

bool is_nmt_control(char32_t c) noexcept {
  return (c >= 0x01 && c <= 0x08) || c == 0x0B || (c >= 0x0E && c <= 0x1F) || c == 0x7F ||
         c == 0x8F || c == 0x9F;
}

bool is_nmt_space(char32_t c) noexcept {
  return c == 0x09 || c == 0x0A || c == 0x0C || c == 0x0D || c == 0x1680 ||
         (c >= 0x200B && c <= 0x200F) || c == 0x2028 || c == 0x2029 || c == 0x2581 || c == 0xFEFF ||
         c == 0xFFFD;
}

bool is_white(char32_t c) { return unicode::properties(c) & unicode::kWhiteSpace; }

class Strip final : public Normaliser {
 public:
  Strip(bool left, bool right) noexcept : left_(left), right_(right) {}

  void apply(Aligned& text) const override {
    const char* const begin = text.text.data();
    const char* const end = begin + text.text.size();
    const char* first = end;   // the first character that is not white
    const char* last = begin;  // behind the last
    for (const char* at = begin; at != end;) {
      const char* const before = at;
      if (is_white(unicode::read_character(at))) continue;
      first = std::min(first, before);
      last = at;
    }
    if (!left_) first = begin;
    if (!right_) last = end;
    Rewriter rewriter(text);
    rewriter.skip(static_cast<size_t>(first - begin));
    if (first < last) rewriter.keep(static_cast<size_t>(last - first));
    rewriter.finish();
  }

 private:
  bool left_, right_;
};

class Prepend final : public Normaliser {
 public:
  explicit Prepend(std::string prefix) : prefix_(std::move(prefix)) {}

  void apply(Aligned& text) const override { put_in_front(text, prefix_); }

 private:
  std::string prefix_;
};

class Sequence final : public Normaliser {
 public:
  explicit Sequence(std::vector<Step> steps) : steps_(std::move(steps)) {}

  void apply(Aligned& text) const override {
    for (const Step& step : steps_) step->apply(text);
  }

 private:
  std::vector<Step> steps_;
};

}  // namespace

Step form(unicode::NormalForm form) { return std::make_unique<Form>(form); }

Step strip_accents() {
  return each_character([](Rewriter& rewriter) {
    const char32_t c = rewriter.peek();
    if (unicode::properties(c) & unicode::kMark)
      rewriter.skip(unicode::utf8_length(c));
    else
      rewriter.replace(c);
  });
}

Step lowercase() {
  return each_character([](Rewriter& rewriter) {
    const char32_t c = rewriter.peek();
    rewriter.replace(lower(c));
    if (c == kDottedI) rewriter.insert(kDotAbove);
  });
}

Step strip(bool left, bool right) { return std::make_unique<Strip>(left, right); }

Step nmt() {
  return each_character([](Rewriter& rewriter) {
    const char32_t c = rewriter.peek();
    if (is_nmt_control(c))
      rewriter.skip(unicode::utf8_length(c));
    else
      rewriter.replace(is_nmt_space(c) ? U' ' : c);
  });
}

Step prepend(std::string prefix) { return std::make_unique<Prepend>(std::move(prefix)); }
Step sequence(std::vector<Step> steps) { return std::make_unique<Sequence>(std::move(steps)); }

}  // namespace regard::normalise
