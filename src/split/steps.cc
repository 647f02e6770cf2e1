#include "split/steps.h"

#include <algorithm>
#include <utility>

#include "unicode/classes.h"
#include "unicode/properties.h"
#include "unicode/utf8.h"

namespace regard::split {
namespace {

using unicode::CharClass;

// Cuts each word by itself: find_words(text, span, out) appends the words of a span.
template <class FindWords>
class Cutter final : public PreTokenizer {
 public:
  explicit Cutter(FindWords find_words) : find_words_(std::move(find_words)) {}
  void apply(Words& words) const override {
    const std::string_view text = words.text();
    std::vector<Span> found;
    found.reserve(words.spans().size());
    for (const Span span : words.spans()) find_words_(text, span, found);
    words.spans() = std::move(found);
  }

 private:
  FindWords find_words_;
};

template <class FindWords>
Step cutter(FindWords find_words) {
  return std::make_unique<Cutter<FindWords>>(std::move(find_words));
}

// The characters for which is_delimiter(c) holds, one match each.
template <class IsDelimiter>
Step cut_at(IsDelimiter is_delimiter, Behaviour behaviour) {
  return cutter([=](std::string_view text, Span span, std::vector<Span>& out) {
    std::vector<Match> matches;
    const char* const start = text.data();
    uint32_t last = span.begin;
    for (const char* at = start + span.begin; at != start + span.end;) {
      const auto begin = static_cast<uint32_t>(at - start);
      const char32_t c = unicode::read_character(at);
      if (!is_delimiter(c)) continue;
      const auto end = static_cast<uint32_t>(at - start);
      if (last != begin) matches.push_back({{last, begin}, false});
      matches.push_back({{begin, end}, true});
      last = end;
    }
    if (last != span.end) matches.push_back({{last, span.end}, false});
    cut(matches, behaviour, /*invert=*/false, out);
  });
}

class Sequence final : public PreTokenizer {
 public:
  explicit Sequence(std::vector<Step> steps) : steps_(std::move(steps)) {}
  void apply(Words& words) const override {
    for (const Step& step : steps_) step->apply(words);
  }

  bool asks_origin() const noexcept override {
    return std::any_of(steps_.begin(), steps_.end(),
                       [](const Step& step) { return step->asks_origin(); });
  }

 private:
  std::vector<Step> steps_;
};

}  // namespace

void cut(std::vector<Match>& matches, Behaviour behaviour, bool invert, std::vector<Span>& words) {
  if (invert)
    for (Match& match : matches) match.is_match = !match.is_match;
  const auto first = static_cast<std::ptrdiff_t>(words.size());
  bool before = false;  // was the last one a match?
  bool any = false;
  const auto add = [&](bool joins, const Match& match, bool backwards) {
    if (joins && any) {
      (backwards ? words.back().begin : words.back().end) =
          backwards ? match.span.begin : match.span.end;
    } else {
      words.push_back(match.span);
    }
    any = true;
    before = match.is_match;
  };
  switch (behaviour) {
    case Behaviour::removed:
      for (const Match& match : matches)
        if (!match.is_match) words.push_back(match.span);
      break;
    case Behaviour::isolated:
      for (const Match& match : matches) words.push_back(match.span);
      break;
    case Behaviour::contiguous:
      for (const Match& match : matches) add(match.is_match == before, match, false);
      break;
    case Behaviour::merged_with_previous:
      for (const Match& match : matches) add(match.is_match && !before, match, false);
      break;
    case Behaviour::merged_with_next:
      for (auto match = matches.rbegin(); match != matches.rend(); ++match)
        add(match->is_match && !before, *match, true);
      std::reverse(words.begin() + first, words.end());
      break;
  }
  words.erase(std::remove_if(words.begin() + first, words.end(),
                             [](Span span) { return span.begin == span.end; }),
              words.end());
}

Step scan(SplitRule rule) {
  return cutter(
      [end_of_word = word_scanner(rule)](std::string_view text, Span span, std::vector<Span>& out) {
        const char* const start = text.data();
        for (uint32_t at = span.begin; at != span.end;) {
          const auto end = static_cast<uint32_t>(end_of_word(start + at, start + span.end) - start);
          out.push_back({at, end});
          at = end;
        }
      });
}

Step pre_tokenizer(const NamedRule& rule) { return scan(rule.rule); }

Step digits(bool individual) {
  return cut_at([](char32_t c) { return unicode::class_of(c) == CharClass::number; },
                individual ? Behaviour::isolated : Behaviour::contiguous);
}

Step punctuation(Behaviour behaviour) {
  return cut_at([](char32_t c) { return (unicode::properties(c) & unicode::kPunctuation) != 0; },
                behaviour);
}

Step bert() {
  return cutter([table = unicode::basic_plane_properties()](std::string_view text, Span span,
                                                            std::vector<Span>& out) {
    using unicode::kPunctuation;
    using unicode::kWhiteSpace;
    const char* const start = text.data();
    const char* word = start + span.begin;
    const auto end_word = [&](const char* behind) {
      if (word != behind)
        out.push_back({static_cast<uint32_t>(word - start), static_cast<uint32_t>(behind - start)});
    };
    for (const char* at = word; at != start + span.end;) {
      const char* const first = at;
      const char32_t c = unicode::read_character(at);
      const uint8_t flags = c < 0x10000 ? table[c] : unicode::properties_beyond_basic_plane(c);
      if ((flags & (kWhiteSpace | kPunctuation)) == 0) continue;
      end_word(first);
      word = flags & kWhiteSpace ? at : first;
      end_word(at);
      word = at;
    }
    end_word(start + span.end);
  });
}

Step whitespace_split() {
  return cut_at([](char32_t c) { return unicode::class_of(c) == CharClass::space; },
                Behaviour::removed);
}

Step whitespace() {
  return cutter([](std::string_view text, Span span, std::vector<Span>& out) {
    const char* const start = text.data();
    enum class Kind { space, word, other } before = Kind::space;
    for (const char* at = start + span.begin; at != start + span.end;) {
      const auto begin = static_cast<uint32_t>(at - start);
      const char32_t c = unicode::read_character(at);
      const Kind kind = unicode::is_word_character(c)              ? Kind::word
                        : unicode::class_of(c) == CharClass::space ? Kind::space
                                                                   : Kind::other;
      const auto end = static_cast<uint32_t>(at - start);
      if (kind != Kind::space && kind == before)
        out.back().end = end;
      else if (kind != Kind::space)
        out.push_back({begin, end});
      before = kind;
    }
  });
}

Step fixed_length(int64_t characters) {
  return cutter([characters](std::string_view text, Span span, std::vector<Span>& out) {
    const char* const start = text.data();
    int64_t count = 0;
    for (const char* at = start + span.begin; at != start + span.end; ++count) {
      const auto begin = static_cast<uint32_t>(at - start);
      unicode::read_character(at);
      const auto end = static_cast<uint32_t>(at - start);
      if (count % characters == 0)
        out.push_back({begin, end});
      else
        out.back().end = end;
    }
  });
}

Step literal(std::string pattern, Behaviour behaviour, bool invert) {
  return cutter(
      [=, pattern = std::move(pattern)](std::string_view text, Span span, std::vector<Span>& out) {
        std::vector<Match> matches;
        const std::string_view part = text.substr(0, span.end);
        uint32_t last = span.begin;
        for (;;) {
          const size_t at = part.find(pattern, last);
          if (at == std::string_view::npos) break;
          const auto begin = static_cast<uint32_t>(at);
          const auto end = static_cast<uint32_t>(at + pattern.size());
          if (last != begin) matches.push_back({{last, begin}, false});
          matches.push_back({{begin, end}, true});
          last = end;
        }
        if (last != span.end) matches.push_back({{last, span.end}, false});
        cut(matches, behaviour, invert, out);
      });
}

Step sequence(std::vector<Step> steps) { return std::make_unique<Sequence>(std::move(steps)); }

}  // namespace regard::split
