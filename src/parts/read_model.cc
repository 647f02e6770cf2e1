// The model of tokenizer.json: BPE here, and the table of all.
#include <string>
#include <utility>

#include "parts/readers.h"
#include "subwords/byte_alphabet.h"
#include "subwords/byte_pairs.h"
#include "subwords/character_pairs.h"
#include "subwords/merge_rules.h"

namespace regard::parts {
namespace {

using subwords::MergeRule;
using subwords::StringTable;
using subwords::Vocabulary;
using subwords::WrittenMerge;

using Read = ModelPointer (*)(const Part& part, const ModelContext& context);

// "a b" or ["a", "b"].
std::vector<WrittenMerge> read_merges(const Part& part) {
  const nlohmann::json& list = part.value();
  if (!list.is_array()) part.refuse("is {}, not a list", list.type_name());
  std::vector<WrittenMerge> merges;
  merges.reserve(list.size());
  for (const nlohmann::json& merge : list) {
    if (merge.is_string()) {
      merges.push_back(subwords::parse_merge(merge.get_ref<const std::string&>(), merges.size()));
    } else if (merge.is_array() && merge.size() == 2 && merge[0].is_string() &&
               merge[1].is_string()) {
      merges.emplace_back(merge[0].get_ref<const std::string&>(),
                          merge[1].get_ref<const std::string&>());
    } else {
      part.refuse("entry {} is not two tokens", merges.size());
    }
  }
  return merges;
}

std::string optional_string(const Part& part, std::string_view key) {
  const auto found = part.find(key);
  return found ? found->string() : std::string();
}

// What text may spell: all of the model's tokens but the special ones.
StringTable spelled_bytes(const Vocabulary& vocabulary) {
  StringTable bytes(vocabulary.size());
  for (int32_t id = 0; id < vocabulary.size(); ++id) {
    const auto mapped = subwords::from_alphabet(vocabulary.text(id));
    bytes.append(mapped ? *mapped : vocabulary.text(id));
    if (mapped && !mapped->empty() && !vocabulary.is_reserved(id)) bytes.index(id);
  }
  return bytes;
}

}  // namespace

ModelPointer read_bpe(const Part& part, const ModelContext& context) {
  const Vocabulary& vocabulary = context.vocabulary;
  if (const auto dropout = part.find("dropout");
      dropout && !(dropout->value().is_number() && dropout->value().get<double>() == 0))
    dropout->refuse("is not supported: ids would differ from run to run");
  const bool ignore_merges = part.get_bool("ignore_merges", false);
  const bool byte_fallback = part.get_bool("byte_fallback", false);
  std::string prefix = optional_string(part, "continuing_subword_prefix");
  std::string suffix = optional_string(part, "end_of_word_suffix");

  subwords::Unknown unknown{.fuse = part.get_bool("fuse_unk", false)};
  if (const std::string token = optional_string(part, "unk_token"); !token.empty()) {
    const auto id = vocabulary.find(token);
    if (!id) part.get("unk_token").refuse("{} is not in the vocabulary", subwords::quoted(token));
    unknown.id = *id;
  }
  const Part written = part.get("merges");
  const std::vector<MergeRule> rules =
      subwords::resolve_merges(vocabulary, nullptr, read_merges(written), prefix);
  // The bytes of a word are looked up at once where each is a token of its own.
  if (context.byte_level && prefix.empty() && suffix.empty() && !byte_fallback)
    return std::make_unique<subwords::BytePairs>(
        spelled_bytes(vocabulary), rules,
        subwords::BytePairs::Options{.ignore_merges = ignore_merges, .unknown = unknown});
  if (context.byte_level)
    part.refuse(
        "continuing_subword_prefix, end_of_word_suffix or byte_fallback behind a ByteLevel "
        "pre-tokenizer is not supported");
  return std::make_unique<subwords::CharacterPairs>(
      vocabulary, rules,
      subwords::CharacterPairs::Options{.ignore_merges = ignore_merges,
                                        .byte_fallback = byte_fallback,
                                        .unknown = unknown,
                                        .prefix = std::move(prefix),
                                        .suffix = std::move(suffix)});
}

ModelPointer read_model(const Part& part, const ModelContext& context) {
  constexpr Reader<Read> kReaders[] = {
      {"BPE", read_bpe}, {"WordPiece", read_word_piece}, {"Unigram", read_unigram}};
  return find_reader(kReaders, part)(part, context);
}

std::vector<std::pair<int32_t, std::string_view>> read_vocabulary(const Part& model) {
  const Part part = model.get("vocab");
  std::vector<std::pair<int32_t, std::string_view>> tokens;
  if (part.value().is_array()) {  // Unigram: [["token", score], ...], index = id
    for (const nlohmann::json& entry : part.value()) {
      const auto id = static_cast<int32_t>(tokens.size());
      if (!entry.is_array() || entry.size() != 2 || !entry[0].is_string())
        part.refuse("entry {} is not a token and its score", id);
      tokens.emplace_back(id, entry[0].get_ref<const std::string&>());
    }
    return tokens;
  }
  if (!part.value().is_object()) part.refuse("is {}, not an object", part.value().type_name());
  for (const auto& [token, id] : part.value().items()) {
    if (!id.is_number_integer() || (id.is_number_unsigned() && id.get<uint64_t>() > INT32_MAX) ||
        id.get<int64_t>() < 0 || id.get<int64_t>() > INT32_MAX)
      part.refuse("the id of {} is not a whole number from 0 to {}", subwords::quoted(token),
                  INT32_MAX);
    tokens.emplace_back(id.get<int32_t>(), token);
  }
  return tokens;
}

}  // namespace regard::parts
