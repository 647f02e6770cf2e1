// The models WordPiece and Unigram of tokenizer.json.
#include <string>
#include <utility>

#include "parts/readers.h"
#include "subwords/piece_models.h"

namespace regard::parts {

ModelPointer read_word_piece(const Part& part, const ModelContext& context) {
  const std::string& token = part.get_string("unk_token");
  const auto unknown = context.vocabulary.find(token);
  if (!unknown)
    part.get("unk_token").refuse("{} is not in the vocabulary", subwords::quoted(token));
  std::vector<int32_t> ids;
  for (const auto& [id, text] : read_vocabulary(part)) ids.push_back(id);
  return subwords::word_piece_model(
      context.vocabulary, ids,
      {.prefix = part.get_string("continuing_subword_prefix"),
       .unknown = *unknown,
       .longest_word = part.get("max_input_chars_per_word").integer(0, INT32_MAX)});
}

ModelPointer read_unigram(const Part& part, const ModelContext& context) {
  const Part vocabulary = part.get("vocab");
  if (!vocabulary.value().is_array())
    vocabulary.refuse("is {}, not a list", vocabulary.value().type_name());
  std::vector<double> scores;
  for (const nlohmann::json& entry : vocabulary.value()) {
    if (!entry.is_array() || entry.size() != 2 || !entry[1].is_number())
      vocabulary.refuse("entry {} is not a token and its score", scores.size());
    scores.push_back(entry[1].get<double>());
  }
  if (scores.empty()) vocabulary.refuse("is empty");
  const int64_t unknown = part.get("unk_id").integer(0, static_cast<int64_t>(scores.size()) - 1);
  return subwords::unigram_model(context.vocabulary, std::move(scores),
                                 static_cast<int32_t>(unknown),
                                 part.get_bool("byte_fallback", false));
}

}  // namespace regard::parts
