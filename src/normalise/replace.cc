// Replace: every match of a pattern becomes a text. The regular expressions are those that can be
// matched without going back: texts, and runs of one character.
#include <algorithm>
#include <utility>

#include "base/check.h"
#include "normalise/normaliser.h"

namespace regard::normalise {
namespace {

constexpr size_t kLongestPattern = 256;
constexpr int kMostRepeats = 1000;

// A text, or at least `least` times a character; wherever it stands or only at an end of the text.
struct Pattern {
  std::string text = {};
  int least = 0;  // 0: the text, once
  bool at_start = false;
  bool at_end = false;
};

struct Match {
  size_t begin;
  size_t end;
};
constexpr Match kNoMatch{std::string::npos, std::string::npos};

size_t run_length(std::string_view text, size_t at, std::string_view character) {
  size_t end = at;
  while (text.substr(end, character.size()) == character) end += character.size();
  return end - at;
}

// The first match that begins at `from` or behind it. Looks at each byte a bounded number of times.
Match find(const Pattern& pattern, std::string_view text, size_t from) {
  const size_t least = pattern.text.size() * static_cast<size_t>(std::max(pattern.least, 1));
  for (size_t at = from;; ++at) {
    at = pattern.at_start ? (at == 0 && text.starts_with(pattern.text) ? 0 : std::string::npos)
                          : text.find(pattern.text, at);
    if (at == std::string::npos) return kNoMatch;
    const size_t length = pattern.least == 0 ? least : run_length(text, at, pattern.text);
    const bool there = length >= least && (!pattern.at_end || at + length == text.size());
    if (there) return {at, at + length};
    if (pattern.least > 0) at += length - 1;  // the rest of the run is no better
  }
}

class Replace final : public Normaliser {
 public:
  Replace(std::vector<Pattern> patterns, std::string content)
      : patterns_(std::move(patterns)), content_(std::move(content)) {}

  void apply(Aligned& text) const override {
    const std::string& old = text.text;
    std::vector<Match> next;  // of each pattern
    for (const Pattern& pattern : patterns_) next.push_back(find(pattern, old, 0));
    Rewriter rewriter(text);
    size_t at = 0;
    while (true) {
      const auto first =
          std::min_element(next.begin(), next.end(), [](const Match& a, const Match& b) {
            return a.begin < b.begin;
          });  // of those that begin together, the one written first
      if (first->begin == std::string::npos) break;
      const Match match = *first;
      rewriter.keep(match.begin - at);
      rewriter.skip(match.end - match.begin);
      rewriter.insert(content_);
      at = match.end;
      for (size_t i = 0; i < next.size(); ++i)
        if (next[i].begin < at) next[i] = find(patterns_[i], old, at);
    }
    if (at == 0) return;
    rewriter.keep(old.size() - at);
    rewriter.finish();
  }

 private:
  std::vector<Pattern> patterns_;
  std::string content_;
};

class Parser {
 public:
  explicit Parser(std::string_view regex) : regex_(regex), left_(regex) {}

  std::vector<Pattern> parse() {
    if (regex_.size() > kLongestPattern) refuse();
    std::vector<Pattern> patterns;
    do {
      patterns.push_back(alternative());
    } while (take("|"));
    if (!left_.empty()) refuse();
    return patterns;
  }

 private:
  [[noreturn]] void refuse() const {
    fail(ErrorKind::unreadable,
         "tokenizer: the pattern '{}' of Replace is not supported; supported: texts, one repeated "
         "character (+ or {{n,}}), \\A, \\z and |",
         regex_.substr(0, kLongestPattern));
  }

  bool take(std::string_view part) {
    if (!left_.starts_with(part)) return false;
    left_.remove_prefix(part.size());
    return true;
  }

  Pattern alternative() {
    Pattern pattern;
    pattern.at_start = take("\\A");
    int characters = 0;
    while (!left_.empty() && left_[0] != '|' && !left_.starts_with("\\z")) {
      if (pattern.least > 0) refuse();  // something behind a run
      if (characters > 0 && (left_[0] == '+' || left_[0] == '{')) {
        if (characters > 1) refuse();  // something before a run
        pattern.least = repeats();
      } else {
        pattern.text += character();
        ++characters;
      }
    }
    pattern.at_end = take("\\z");
    if (pattern.text.empty()) refuse();
    return pattern;
  }

  std::string_view character() {
    constexpr std::string_view kSpecial = "\\^$.|?*+()[]{}";
    if (take("\\") && (left_.empty() || kSpecial.find(left_[0]) == std::string_view::npos))
      refuse();
    const bool escaped = left_.data() != regex_.data() && left_.data()[-1] == '\\';
    if (!escaped && kSpecial.find(left_[0]) != std::string_view::npos) refuse();
    const auto length = static_cast<size_t>(unicode::utf8_step(left_).length);
    const std::string_view found = left_.substr(0, length);
    left_.remove_prefix(length);
    return found;
  }

  int repeats() {
    if (take("+")) return 1;
    take("{");
    int least = 0;
    while (!left_.empty() && left_[0] >= '0' && left_[0] <= '9' && least <= kMostRepeats) {
      least = 10 * least + (left_[0] - '0');
      left_.remove_prefix(1);
    }
    if (least < 1 || least > kMostRepeats || !take(",}")) refuse();
    return least;
  }

  std::string_view regex_;
  std::string_view left_;
};

}  // namespace

Step replace_text(std::string pattern, std::string content) {
  if (pattern.empty() || pattern.size() > kLongestPattern)
    fail(ErrorKind::unreadable, "tokenizer: the pattern of Replace has {} bytes, not 1 to {}",
         pattern.size(), kLongestPattern);
  return std::make_unique<Replace>(std::vector<Pattern>{{.text = std::move(pattern)}},
                                   std::move(content));
}

Step replace_regex(std::string_view pattern, std::string content) {
  return std::make_unique<Replace>(Parser(pattern).parse(), std::move(content));
}

}  // namespace regard::normalise
