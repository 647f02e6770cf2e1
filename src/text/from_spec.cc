// From the keys of a GGUF file: the model's name says what all parts are.
#include <string>
#include <utility>

#include "base/check.h"
#include "split/scanners.h"
#include "split/steps.h"
#include "subwords/byte_alphabet.h"
#include "subwords/byte_pairs.h"
#include "subwords/character_pairs.h"
#include "subwords/merge_rules.h"
#include "text/spec_pieces.h"
#include "text/tables.h"
#include "unicode/utf8.h"

namespace regard {

using subwords::StringTable;
using subwords::Vocabulary;
using Tables = Tokenizer::Tables;

namespace {

// Normal tokens are written in the byte alphabet, all others as they are. So is a normal token
// that leaves the alphabet: no text leads to it, but it can be decoded.
StringTable bytes_of(const Vocabulary& vocabulary) {
  StringTable bytes(vocabulary.size());
  std::vector<int32_t> literal;  // ids
  for (int32_t id = 0; id < vocabulary.size(); ++id) {
    const std::string_view text = vocabulary.text(id);
    const bool normal = vocabulary.type(id) == TokenType::normal;
    const std::optional<std::string> mapped = normal ? subwords::from_alphabet(text) : std::nullopt;
    bytes.append(mapped ? *mapped : text);
    if (mapped && !text.empty()) bytes.index(id);
    if (vocabulary.type(id) == TokenType::user_defined) literal.push_back(id);
  }
  // Added tokens can be results of merges too; of two with the same bytes the normal one counts.
  for (const int32_t id : literal)
    if (!bytes[id].empty()) bytes.index(id);
  return bytes;
}

text::UsualEnds build_gpt2(const TokenizerSpec& spec, Tables& tables) {
  const auto pre = split::find_pre_tokenizer(spec.pre);  // checked before
  tables.inputs = bytes_of(tables.vocabulary);
  tables.decoder = {{.kind = parts::DecodeStep::Kind::bytes}};
  tables.pre_tokenizer = split::pre_tokenizer(*pre);
  std::vector<subwords::WrittenMerge> merges;
  merges.reserve(spec.merges.size());
  for (size_t rank = 0; rank < spec.merges.size(); ++rank)
    merges.push_back(subwords::parse_merge(spec.merges[rank], rank));
  auto rules = subwords::resolve_merges(tables.vocabulary, &tables.inputs, merges);
  tables.model = std::make_unique<subwords::BytePairs>(
      tables.inputs, rules, subwords::BytePairs::Options{.ignore_merges = pre->ignore_merges});
  return {pre->add_bos, false};
}

// Token texts that are not UTF-8 are no part of a text; decoding shows U+FFFD for them.
StringTable texts_of(const Vocabulary& vocabulary) {
  StringTable texts(vocabulary.size());
  for (int32_t id = 0; id < vocabulary.size(); ++id) {
    std::string text;
    if (unicode::append_well_formed(vocabulary.text(id), text) > 0) text += unicode::kReplacement;
    texts.append(text);
  }
  return texts;
}

text::UsualEnds build_llama(const TokenizerSpec& spec, Tables& tables) {
  using Kind = parts::DecodeStep::Kind;
  const std::string space = "\xE2\x96\x81";  // U+2581
  const bool space_prefix = spec.add_space_prefix.value_or(true);
  std::vector<normalise::Step> steps;
  if (space_prefix) steps.push_back(normalise::prepend(space));
  steps.push_back(normalise::replace_text(" ", space));
  tables.normaliser = normalise::sequence(std::move(steps));
  tables.model = std::make_unique<subwords::CharacterPairs>(
      tables.vocabulary, spec.scores,
      subwords::CharacterPairs::Options{.byte_fallback = true,
                                        .unknown = {.id = spec.unknown.value_or(-1)}});
  tables.inputs = texts_of(tables.vocabulary);
  tables.decoder = {{.kind = Kind::replace, .from = space, .to = " "},
                    {.kind = Kind::byte_fallback},
                    {.kind = Kind::fuse}};
  if (space_prefix) tables.decoder.push_back({.kind = Kind::strip, .from = " ", .start = 1});
  return {true, false};
}

struct Kind {
  std::string_view name;
  text::UsualEnds (*build)(const TokenizerSpec& spec, Tables& tables);
  void (*prepare)(TokenizerSpec& spec) = nullptr;
};
constexpr Kind kKinds[] = {{"gpt2", build_gpt2},
                           {"llama", build_llama},
                           {"bert", text::build_bert, text::prepare_bert},
                           {"t5", text::build_t5, text::prepare_t5}};

const Kind& find_kind(const TokenizerSpec& spec) {
  std::string names;
  for (const Kind& kind : kKinds) {
    if (kind.name == spec.model) return kind;
    names += names.empty() ? "" : ", ";
    names += kind.name;
  }
  fail(ErrorKind::unreadable, "tokenizer: model {} is not supported; supported: {}",
       subwords::quoted(spec.model), names);
}

void check_id(std::string_view name, std::optional<int32_t> id, int32_t size) {
  if (id && (*id < 0 || *id >= size))
    fail(ErrorKind::unreadable, "tokenizer: {} id {} is outside the vocabulary of {} tokens", name,
         *id, size);
}

void add_special_tokens(Tables& tables) {
  const Vocabulary& vocabulary = tables.vocabulary;
  for (int32_t id = 0; id < vocabulary.size(); ++id) {
    const bool reserved = vocabulary.is_reserved(id);
    if (reserved || vocabulary.type(id) == TokenType::user_defined)
      tables.raw.add({.text = std::string(vocabulary.text(id)), .id = id, .control = reserved});
  }
  tables.raw.finish();
  tables.normalised.finish();
}

}  // namespace

std::shared_ptr<const Tables> Tokenizer::Tables::from(TokenizerSpec spec) {
  const Kind& kind = find_kind(spec);  // a model that is not supported is the clearest thing to say
  if (spec.model == "gpt2" && !split::find_pre_tokenizer(spec.pre))
    fail(ErrorKind::unreadable, "tokenizer: pre-tokenizer {} is not supported; supported: {}",
         subwords::quoted(spec.pre), split::pre_tokenizer_names());
  if (kind.prepare != nullptr) kind.prepare(spec);
  auto tables = std::make_shared<Tables>(Vocabulary(spec.tokens, std::move(spec.types)));
  const int32_t size = tables->vocabulary.size();
  check_id("bos", spec.bos, size);
  check_id("eos", spec.eos, size);
  check_id("eot", spec.eot, size);
  check_id("eom", spec.eom, size);
  check_id("unknown", spec.unknown, size);
  check_id("separator", spec.separator, size);
  check_id("padding", spec.padding, size);
  check_id("cls", spec.cls, size);
  check_id("mask", spec.mask, size);
  const text::UsualEnds usual = kind.build(spec, *tables);
  const bool add_bos = spec.add_bos.value_or(usual.bos);
  const bool add_eos = spec.add_eos.value_or(usual.eos);
  if (add_bos && !spec.bos)
    fail(ErrorKind::unreadable, "tokenizer: BOS is to be added, but none is named");
  if (add_eos && !spec.eos)
    fail(ErrorKind::unreadable, "tokenizer: EOS is to be added, but none is named");
  tables->bos = spec.bos;
  tables->eos = spec.eos;
  if (add_bos) tables->ends.before.push_back(*spec.bos);
  if (add_eos) tables->ends.behind.push_back(*spec.eos);
  tables->is_bos_once = true;
  tables->ends_at_origin = false;
  add_special_tokens(*tables);
  tables->finish({spec.eos, spec.eot, spec.eom});
  return tables;
}

}  // namespace regard
