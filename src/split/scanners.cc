#include "split/scanners.h"

#include <array>
#include <iterator>

#include "unicode/classes.h"
#include "unicode/utf8.h"

namespace regard::split {
namespace {

using unicode::CharClass;

// One position in the text and what stands there.
class Cursor {
 public:
  Cursor(const char* at, const char* end) noexcept
      : classes_(unicode::basic_plane_classes()), at_(at), end_(end) {}

  const char* at() const noexcept { return at_; }
  bool done() const noexcept { return at_ == end_; }
  bool is(char c) const noexcept { return at_ != end_ && *at_ == c; }
  bool is_line_end() const noexcept { return is('\r') || is('\n'); }

  // False at the end of the text.
  bool is(CharClass wanted) const noexcept {
    const char* next = at_;
    return at_ != end_ && read_class(next) == wanted;
  }
  CharClass take() noexcept { return read_class(at_); }

  void skip(CharClass wanted) noexcept {
    while (at_ != end_) {
      const char* next = at_;
      if (read_class(next) != wanted) return;
      at_ = next;
    }
  }

 private:
  CharClass read_class(const char*& at) const noexcept {
    const char32_t c = unicode::read_character(at);
    return c < 0x10000 ? classes_[c] : unicode::class_beyond_basic_plane(c);
  }

  const CharClass* classes_;
  const char* at_;
  const char* end_;
};

// Length of 's 't 're 've 'm 'll or 'd at `at`, which holds an apostrophe; 0 if none is there.
// Without regard to case, 's includes U+017F, which folds to s; no other letter here has such a
// relative (U+212A folds to k).
template <bool kAnyCase>
int contraction(const char* at, const char* end) noexcept {
  const auto letter = [&](int i) -> char {
    if (end - at <= i) return 0;
    const char c = at[i];
    return kAnyCase && c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
  };
  switch (letter(1)) {
    case 's':
    case 't':
    case 'm':
    case 'd':
      return 2;
    case 'r':
    case 'v':
      return letter(2) == 'e' ? 3 : 0;
    case 'l':
      return letter(2) == 'l' ? 3 : 0;
    case '\xC5':
      return kAnyCase && end - at > 2 && at[2] == '\xBF' ? 3 : 0;
    default:
      return 0;
  }
}

// \s+(?!\S)|\s+ : a run of white space leaves its last character to the word behind it, unless
// nothing stands behind it (`may_keep_all`) or that character is all there is.
const char* white_space_end(const char* last, const char* first, const char* run_end,
                            bool may_keep_all) noexcept {
  return may_keep_all || last == first ? run_end : last;
}

template <bool kDigitsApart>
const char* gpt2_word(const char* at, const char* end) {
  if (*at == '\'')
    if (const int length = contraction<false>(at, end)) return at + length;
  Cursor cursor(at, end);
  if (*at == ' ' && at + 1 != end) {
    Cursor behind(at + 1, end);
    const CharClass next = behind.take();
    if (next != CharClass::space && !(kDigitsApart && next == CharClass::number)) {
      behind.skip(next);
      return behind.at();
    }
  }
  const char* last = at;
  const CharClass first = cursor.take();
  if (kDigitsApart && first == CharClass::number) return cursor.at();
  if (first != CharClass::space) {
    cursor.skip(first);
    return cursor.at();
  }
  while (cursor.is(CharClass::space)) {
    last = cursor.at();
    cursor.take();
  }
  const bool stretch_ends = cursor.done() || (kDigitsApart && cursor.is(CharClass::number));
  return white_space_end(last, at, cursor.at(), stretch_ends);
}

template <int kDigits>
const char* llama3_word(const char* at, const char* end) {
  if (*at == '\'')
    if (const int length = contraction<true>(at, end)) return at + length;
  Cursor cursor(at, end);
  const bool line_end = cursor.is_line_end();
  const CharClass first = cursor.take();
  if (first == CharClass::number) {
    for (int digits = 1; digits < kDigits && cursor.is(CharClass::number); ++digits) cursor.take();
    return cursor.at();
  }
  if (first == CharClass::letter || (!line_end && cursor.is(CharClass::letter))) {
    cursor.skip(CharClass::letter);
    return cursor.at();
  }
  if (first == CharClass::other || (*at == ' ' && cursor.is(CharClass::other))) {
    cursor.skip(CharClass::other);
    while (cursor.is_line_end()) cursor.take();
    return cursor.at();
  }
  const char* last = at;
  const char* behind_line_end = line_end ? cursor.at() : nullptr;
  while (cursor.is(CharClass::space)) {
    last = cursor.at();
    const bool ends_line = cursor.is_line_end();
    cursor.take();
    if (ends_line) behind_line_end = cursor.at();
  }
  if (behind_line_end != nullptr) return behind_line_end;  // \s*[\r\n]+
  return white_space_end(last, at, cursor.at(), cursor.done());
}

constexpr NamedRule kGpt2{SplitRule::gpt2, false, false};
constexpr NamedRule kSmollm{SplitRule::smollm, false, false};
constexpr NamedRule kLlama3{SplitRule::llama3, true, true};
constexpr NamedRule kQwen2{SplitRule::qwen2, false, false};

struct Named {
  std::string_view name;
  NamedRule pre;
};

constexpr Named kNames[] = {
    {"gpt-2", kGpt2},
    {"phi-2", kGpt2},
    {"mpt", kGpt2},
    {"olmo", kGpt2},
    {"jais", kGpt2},
    {"jina-es", kGpt2},
    {"jina-de", kGpt2},
    {"jina-v1-en", kGpt2},
    {"jina-v2-es", kGpt2},
    {"jina-v2-de", kGpt2},
    {"jina-v2-code", kGpt2},
    {"roberta-bpe", kGpt2},
    {"exaone4", kGpt2},
    {"modern-bert", kGpt2},
    {"smollm", kSmollm},
    {"starcoder", kSmollm},
    {"refact", kSmollm},
    {"command-r", kSmollm},
    {"codeshell", kSmollm},
    {"exaone", kSmollm},
    {"minerva-7b", kSmollm},
    {"llama-bpe", kLlama3},
    {"llama3", kLlama3},
    {"llama-v3", kLlama3},
    {"falcon3", kLlama3},
    {"pixtral", kLlama3},
    {"lfm2", kLlama3},
    {"qwen2", kQwen2},
    {"stablelm2", kQwen2},
    {"megrez", kQwen2},
    {"deepseek-r1-qwen", kQwen2},
};

}  // namespace

WordScanner word_scanner(SplitRule rule) {
  switch (rule) {
    case SplitRule::gpt2:
      return gpt2_word<false>;
    case SplitRule::smollm:
      return gpt2_word<true>;
    case SplitRule::llama3:
      return llama3_word<3>;
    case SplitRule::qwen2:
      return llama3_word<1>;
  }
  return gpt2_word<false>;  // not reached: every rule has its case
}

std::optional<SplitRule> find_rule(std::string_view pattern) {
  struct Written {
    std::string_view pattern;
    SplitRule rule;
  };
  static constexpr Written kWritten[] = {
      {R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)",
       SplitRule::gpt2},
      {R"('(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)",
       SplitRule::gpt2},
      {R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
       SplitRule::llama3},
      {R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
       SplitRule::qwen2},
  };
  for (const Written& written : kWritten)
    if (written.pattern == pattern) return written.rule;
  return std::nullopt;
}

std::optional<NamedRule> find_pre_tokenizer(std::string_view name) {
  for (const Named& known : kNames)
    if (known.name == name) return known.pre;
  return std::nullopt;
}

std::string pre_tokenizer_names() {
  std::string names;
  for (const Named& known : kNames) {
    if (!names.empty()) names += ", ";
    names += known.name;
  }
  return names;
}

}  // namespace regard::split
