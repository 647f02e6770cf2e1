#include "subwords/character_pairs.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <utility>

#include "base/check.h"
#include "unicode/utf8.h"

namespace regard::subwords {
namespace {

constexpr std::string_view kSpace = "\xE2\x96\x81";  // U+2581
constexpr int32_t kNoToken = INT32_MAX;              // a character that is part of no token

size_t character_length(std::string_view text) {
  return static_cast<size_t>(unicode::utf8_step(text).length);
}

// A file's token can be a part of a character.
bool is_character(std::string_view text) {
  return !text.empty() && character_length(text) == text.size() &&
         unicode::first_invalid_utf8(text) < 0;
}

// Is U+2581 inside the text with something else before it?
bool has_space_inside(std::string_view text) {
  for (size_t at = text.find(kSpace); at != std::string_view::npos; at = text.find(kSpace, at + 3))
    if (at >= 3 ? text.substr(at - 3, 3) != kSpace : at != 0) return true;
  return false;
}

bool is_spelled(const Vocabulary& vocabulary, int32_t id) {
  return !vocabulary.is_reserved(id) && vocabulary.type(id) != TokenType::byte;
}

}  // namespace

struct CharacterPairs::Ranked {
  std::vector<MergeRule> rules;
  std::vector<uint32_t> ranks;  // [rules]
  StringTable parts{1};
  bool late_bytes = false;
};

CharacterPairs::CharacterPairs(const Vocabulary& vocabulary, const std::vector<MergeRule>& merges,
                               Options options)
    : CharacterPairs(
          vocabulary,
          [&] {
            Ranked ranked;
            ranked.rules = merges;
            for (size_t i = 0; i < merges.size(); ++i)
              ranked.ranks.push_back(static_cast<uint32_t>(i));
            return ranked;
          }(),
          std::move(options)) {}

// Every way to cut a token into two tokens is a rule; its rank is the place of the token's score
// among all scores, so that equal scores have equal ranks.
CharacterPairs::CharacterPairs(const Vocabulary& vocabulary, const std::vector<float>& scores,
                               Options options)
    : CharacterPairs(
          vocabulary,
          [&] {
            const int32_t size = vocabulary.size();
            if (scores.size() != static_cast<size_t>(size))
              fail(ErrorKind::unreadable, "tokenizer: {} scores for {} tokens", scores.size(),
                   size);
            std::vector<float> sorted = scores;
            for (int32_t id = 0; id < size; ++id)
              if (std::isnan(scores[static_cast<size_t>(id)]))
                fail(ErrorKind::unreadable, "tokenizer: token {} has a score that is no number",
                     id);
            std::sort(sorted.begin(), sorted.end(), std::greater<>());
            sorted.erase(std::unique(sorted.begin(), sorted.end()), sorted.end());

            int64_t characters = 0;
            for (int32_t id = 0; id < size; ++id)
              characters += static_cast<int64_t>(vocabulary.text(id).size());
            Ranked ranked;
            ranked.parts =
                StringTable(static_cast<int32_t>(std::min<int64_t>(characters, INT32_MAX / 2)));
            ranked.late_bytes = true;
            const auto part = [&](std::string_view text) -> int32_t {
              if (const auto id = vocabulary.find(text))
                if (is_spelled(vocabulary, *id)) return *id;
              if (!is_character(text)) return -1;
              if (const auto number = ranked.parts.find(text)) return size + *number;
              const int32_t number = ranked.parts.size();
              ranked.parts.append(text);
              ranked.parts.index(number);
              return size + number;
            };
            for (int32_t id = 0; id < size; ++id) {
              const std::string_view text = vocabulary.text(id);
              // Longer tokens would make the rules quadratic in the file; no vocabulary has any.
              constexpr size_t kLongest = 1024;
              if (!is_spelled(vocabulary, id) || text.size() > kLongest ||
                  unicode::first_invalid_utf8(text) >= 0)
                continue;
              const auto rank = static_cast<uint32_t>(
                  std::lower_bound(sorted.begin(), sorted.end(), scores[static_cast<size_t>(id)],
                                   std::greater<>()) -
                  sorted.begin());
              for (size_t cut = text.empty() ? 0 : character_length(text); cut < text.size();
                   cut += character_length(text.substr(cut))) {
                const int32_t left = part(text.substr(0, cut));
                if (left < 0) continue;
                const int32_t right = part(text.substr(cut));
                if (right < 0) continue;
                ranked.rules.push_back({left, right, id});
                ranked.ranks.push_back(rank);
              }
            }
            return ranked;
          }(),
          std::move(options)) {}

CharacterPairs::CharacterPairs(const Vocabulary& vocabulary, Ranked ranked, Options options)
    : vocabulary_(vocabulary),
      parts_(std::move(ranked.parts)),
      merger_(ranked.rules, ranked.ranks),
      whole_(vocabulary.size()),
      options_(std::move(options)),
      characters_(0x10000, -1),
      late_bytes_(ranked.late_bytes) {
  has_all_bytes_ = true;
  for (int byte = 0; byte < 256; ++byte) {
    byte_ids_[static_cast<size_t>(byte)] =
        vocabulary.find(fmt::format("<0x{:02X}>", byte)).value_or(-1);
    has_all_bytes_ = has_all_bytes_ && byte_ids_[static_cast<size_t>(byte)] >= 0;
  }
  const auto index = [&](std::string_view text, int32_t id) {
    if (!is_character(text)) return;
    const char* at = text.data();
    const char32_t c = unicode::read_character(at);
    if (c < 0x10000 && characters_[c] < 0) characters_[c] = id;
  };
  for (int32_t id = 0; id < vocabulary.size(); ++id)
    if (is_spelled(vocabulary, id) && vocabulary.find(vocabulary.text(id)) == id)
      index(vocabulary.text(id), id);
  for (int32_t i = 0; i < parts_.size(); ++i) index(parts_[i], vocabulary.size() + i);
  cuts_at_spaces_ = no_merge_crosses_a_space(ranked.rules);
}

// Then the words between spaces can be merged one by one: pairs never meet across the cut.
bool CharacterPairs::no_merge_crosses_a_space(const std::vector<MergeRule>& merges) const {
  if (!options_.prefix.empty() || !options_.suffix.empty() || characters_[0x2581] < 0) return false;
  return std::none_of(merges.begin(), merges.end(), [&](const MergeRule& rule) {
    return rule.id >= 0 && has_space_inside(vocabulary_.text(rule.id));
  });
}

void CharacterPairs::encode(std::string_view text, int64_t begin, int64_t end, Output& out) const {
  std::string_view word = text.substr(static_cast<size_t>(begin), static_cast<size_t>(end - begin));
  if (options_.ignore_merges)
    if (const auto id = vocabulary_.find(word); id && is_spelled(vocabulary_, *id))
      return out.add(*id, begin, end);
  if (!cuts_at_spaces_) return encode_part(word, begin, out);
  while (!word.empty()) {
    size_t length = 0;  // of spaces and what follows them up to the next space
    while (word.substr(length, 3) == kSpace) length += 3;
    length = std::min(word.find(kSpace, length), word.size());
    encode_part(word.substr(0, length), begin, out);
    begin += static_cast<int64_t>(length);
    word.remove_prefix(length);
  }
}

void CharacterPairs::encode_part(std::string_view part, int64_t begin, Output& out) const {
  if (const auto id = vocabulary_.find(part); id && is_spelled(vocabulary_, *id)) {
    const auto merges_to_itself = [&] {
      bool yes = false;
      merge(part,
            [&](std::span<const Symbol> left) { yes = left.size() == 1 && left[0].id == *id; });
      return yes;
    };
    if (whole_.merges_to_itself(*id, merges_to_itself))
      return out.add(*id, begin, begin + static_cast<int64_t>(part.size()));
  }
  merge(part, [&](std::span<const Symbol> symbols) {
    for (const Symbol& symbol : symbols) {
      if (symbol.id < vocabulary_.size())
        out.add(symbol.id, begin + symbol.begin, begin + symbol.end);
      else
        add_bytes(symbol, part, begin, out);
    }
  });
}

template <class Use>
void CharacterPairs::merge(std::string_view word, Use&& use) const {
  merger_.merge(
      word.size(), [&](Symbol* symbols) { return split(word, symbols); }, use);
}

int32_t CharacterPairs::find_token(std::string_view character, bool first, bool last) const {
  const bool has_prefix = !first && !options_.prefix.empty();
  const bool has_suffix = last && !options_.suffix.empty();
  if (has_prefix || has_suffix) {
    std::string text = has_prefix ? options_.prefix : std::string();
    text += character;
    if (has_suffix) text += options_.suffix;
    const auto id = vocabulary_.find(text);
    return id && is_spelled(vocabulary_, *id) ? *id : -1;
  }
  const char* at = character.data();
  const char32_t c = unicode::read_character(at);
  if (c < 0x10000) return characters_[c];
  if (const auto id = vocabulary_.find(character); id && is_spelled(vocabulary_, *id)) return *id;
  if (parts_.size() > 0)
    if (const auto number = parts_.find(character)) return vocabulary_.size() + *number;
  return -1;
}

int CharacterPairs::split(std::string_view word, Symbol* symbols) const {
  int count = 0;
  bool fuses = false;  // is the symbol before an unknown one that takes in what follows?
  for (uint32_t at = 0; at < word.size();) {
    const size_t length = character_length(word.substr(at));
    const auto behind = at + static_cast<uint32_t>(length);
    const std::string_view character = word.substr(at, length);
    const int32_t id = find_token(character, at == 0, behind == word.size());
    const bool fused = fuses;
    fuses = false;
    if (id >= 0) {
      symbols[count++] = {id, at, behind};
    } else if (late_bytes_) {
      symbols[count++] = {kNoToken, at, behind};
    } else if (options_.byte_fallback &&
               std::all_of(character.begin(), character.end(), [&](char byte) {
                 return byte_ids_[static_cast<unsigned char>(byte)] >= 0;
               })) {
      for (uint32_t i = 0; i < length; ++i)
        symbols[count++] = {byte_ids_[static_cast<unsigned char>(character[i])], at + i,
                            at + i + 1};
    } else if (options_.unknown.id >= 0) {
      if (fused)
        symbols[count - 1].end = behind;
      else
        symbols[count++] = {options_.unknown.id, at, behind};
      fuses = options_.unknown.fuse;
    }
    at = behind;
  }
  return count;
}

void CharacterPairs::add_bytes(const Symbol& symbol, std::string_view part, int64_t begin,
                               Output& out) const {
  if (!has_all_bytes_) {
    if (options_.unknown.id >= 0)
      out.add(options_.unknown.id, begin + symbol.begin, begin + symbol.end);
    return;
  }
  for (uint32_t at = symbol.begin; at < symbol.end; ++at)
    out.add(byte_ids_[static_cast<unsigned char>(part[at])], begin + at, begin + at + 1);
}

}  // namespace regard::subwords
