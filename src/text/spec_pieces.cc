// From GGUF's keys: "bert" is WordPiece as BERT has it, "t5" is Unigram as SentencePiece has it.
#include "text/spec_pieces.h"

#include <algorithm>
#include <numeric>
#include <string>
#include <utility>

#include "base/check.h"
#include "normalise/lower.h"
#include "split/steps.h"
#include "subwords/piece_models.h"
#include "unicode/utf8.h"

namespace regard {
namespace {

constexpr std::string_view kMark = "\xE2\x96\x81";  // U+2581

bool is_reserved(const TokenizerSpec& spec, size_t id) {
  return id < spec.types.size() &&
         (spec.types[id] == TokenType::control || spec.types[id] == TokenType::unknown);
}

bool is_bracketed(std::string_view token) {
  return token.size() > 2 && token.front() == '[' && token.back() == ']';
}

// The converter marks pieces that begin a word with U+2581 and takes "##" from those that continue
// one; special ones stay. This is the way back, for a vocabulary that has gone that way.
void restore_prefixes(TokenizerSpec& spec) {
  if (std::none_of(spec.tokens.begin(), spec.tokens.end(),
                   [](const std::string& token) { return token.starts_with(kMark); }))
    return;
  for (size_t id = 0; id < spec.tokens.size(); ++id) {
    std::string& token = spec.tokens[id];
    if (is_reserved(spec, id) || token.empty()) continue;
    if (token.starts_with(kMark)) {
      token.erase(0, kMark.size());
    } else if (!is_bracketed(token)) {
      token.insert(0, "##");
    }
  }
}

// GGUF does not say whether a BERT is cased. An uncased one has no token that lower case changes.
bool has_upper_case(const TokenizerSpec& spec) {
  for (size_t id = 0; id < spec.tokens.size(); ++id) {
    const std::string& token = spec.tokens[id];
    if (is_reserved(spec, id) || is_bracketed(token) || unicode::first_invalid_utf8(token) >= 0)
      continue;
    const char* at = token.data();
    const char* const end = at + token.size();
    while (at != end)
      if (const char32_t c = unicode::read_character(at); normalise::lower(c) != c) return true;
  }
  return false;
}

int32_t checked_unknown(const TokenizerSpec& spec, int32_t otherwise) {
  const int32_t id = spec.unknown.value_or(otherwise);
  if (id < 0 || static_cast<size_t>(id) >= spec.tokens.size())
    fail(ErrorKind::unreadable, "tokenizer: unknown id {} is outside the vocabulary of {} tokens",
         id, spec.tokens.size());
  return id;
}

subwords::StringTable texts_of(const subwords::Vocabulary& vocabulary) {
  subwords::StringTable texts(vocabulary.size());
  for (int32_t id = 0; id < vocabulary.size(); ++id) {
    std::string text;
    if (unicode::append_well_formed(vocabulary.text(id), text) > 0) text += unicode::kReplacement;
    texts.append(text);
  }
  return texts;
}

}  // namespace

namespace text {

using Kind = parts::DecodeStep::Kind;

void prepare_bert(TokenizerSpec& spec) {
  restore_prefixes(spec);
  // Its begin is [CLS] and its end [SEP]; the keys are missing where they are the usual ids.
  const auto usual = [&](int32_t id) {
    return static_cast<size_t>(id) < spec.tokens.size() ? std::optional(id) : std::nullopt;
  };
  if (spec.cls) spec.bos = spec.cls;
  if (!spec.bos) spec.bos = usual(101);
  if (spec.separator) spec.eos = spec.separator;
  if (!spec.eos) spec.eos = usual(102);
}

UsualEnds build_bert(const TokenizerSpec& spec, Tokenizer::Tables& tables) {
  const bool cased = has_upper_case(spec);
  tables.normaliser = normalise::bert({.strip_accents = !cased, .lowercase = !cased});
  tables.pre_tokenizer = split::bert();
  std::vector<int32_t> ids(spec.tokens.size());
  std::iota(ids.begin(), ids.end(), 0);
  tables.model =
      subwords::word_piece_model(tables.vocabulary, ids, {.unknown = checked_unknown(spec, 100)});
  tables.inputs = texts_of(tables.vocabulary);
  tables.decoder = {{.kind = Kind::word_piece, .from = "##", .clean = true}};
  return {.bos = true, .eos = true};
}

void prepare_t5(TokenizerSpec& spec) {
  if (!spec.eos && spec.tokens.size() > 1) spec.eos = 1;
}

UsualEnds build_t5(const TokenizerSpec& spec, Tokenizer::Tables& tables) {
  if (spec.scores.size() != spec.tokens.size())
    fail(ErrorKind::unreadable, "tokenizer: {} scores for {} tokens", spec.scores.size(),
         spec.tokens.size());
  if (!spec.precompiled_charsmap.empty())
    tables.normaliser = normalise::precompiled(spec.precompiled_charsmap);
  std::vector<split::Step> steps;
  if (spec.remove_extra_whitespaces.value_or(true)) steps.push_back(split::whitespace_split());
  const bool prefix = spec.add_space_prefix.value_or(true);
  steps.push_back(split::metaspace(std::string(kMark),
                                   prefix ? split::Prepend::always : split::Prepend::never, true));
  tables.pre_tokenizer = split::sequence(std::move(steps));
  bool bytes = false;
  for (int32_t id = 0; id < tables.vocabulary.size(); ++id)
    bytes |= tables.vocabulary.type(id) == TokenType::byte;
  tables.model = subwords::unigram_model(
      tables.vocabulary, std::vector<double>(spec.scores.begin(), spec.scores.end()),
      checked_unknown(spec, 2), bytes);
  tables.inputs = texts_of(tables.vocabulary);
  tables.decoder = {{.kind = Kind::replace, .from = std::string(kMark), .to = " "}};
  if (bytes) tables.decoder.push_back({.kind = Kind::byte_fallback});
  tables.decoder.push_back({.kind = Kind::fuse});
  if (prefix) tables.decoder.push_back({.kind = Kind::strip, .from = " ", .start = 1});
  return {.bos = false, .eos = true};
}

}  // namespace text
}  // namespace regard
