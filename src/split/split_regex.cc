// Split with a regular expression: the families' own have scanners, all others run in PCRE2.
#include <memory>

#include "split/regex.h"
#include "split/steps.h"

namespace regard::split {
namespace {

class RegexSplit final : public PreTokenizer {
 public:
  RegexSplit(std::string_view pattern, Behaviour behaviour, bool invert)
      : regex_(pattern), behaviour_(behaviour), invert_(invert) {}

  void apply(Words& words) const override {
    const std::string_view text = words.text();
    std::vector<Span> out;
    std::vector<Regex::Found> found;
    std::vector<Match> matches;
    for (const Span span : words.spans()) {
      found.clear();
      matches.clear();
      regex_.find_all(text.substr(span.begin, span.end - span.begin), found);
      uint32_t last = span.begin;
      for (const auto& match : found) {
        const uint32_t begin = span.begin + match.begin, end = span.begin + match.end;
        if (last != begin) matches.push_back({{last, begin}, false});
        matches.push_back({{begin, end}, true});
        last = end;
      }
      if (last != span.end) matches.push_back({{last, span.end}, false});
      cut(matches, behaviour_, invert_, out);
    }
    words.spans() = std::move(out);
  }

 private:
  Regex regex_;
  Behaviour behaviour_;
  bool invert_;
};

}  // namespace

Step regex(std::string_view pattern, Behaviour behaviour, bool invert) {
  // A scanner's matches cover the text, so there is nothing between them.
  const bool all_words = invert
                             ? behaviour == Behaviour::removed || behaviour == Behaviour::isolated
                             : behaviour == Behaviour::isolated;
  if (all_words)
    if (const auto rule = find_rule(pattern)) return scan(*rule);
  return std::make_unique<RegexSplit>(pattern, behaviour, invert);
}

}  // namespace regard::split
