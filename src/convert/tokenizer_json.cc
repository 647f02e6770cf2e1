#include "convert/tokenizer_json.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "formats/byte_pair_json.h"

namespace regard {
namespace {

using nlohmann::json;

// ggml's kinds of tokens.
enum : int32_t { kNormal = 1, kControl = 3, kUserDefined = 4 };

json pre_tokenizer(std::string_view rule) {
  if (rule != "smollm") return byte_pair_json::byte_level(true);
  return {{"type", "Sequence"},
          {"pretokenizers",
           {{{"type", "Digits"}, {"individual_digits", true}}, byte_pair_json::byte_level(true)}}};
}

// JSON holds UTF-8 alone; byte-level tokens are, unless somebody made the file so.
bool is_text(const std::string& token) {
  try {
    json(token).dump();
    return true;
  } catch (const json::exception&) {
    return false;
  }
}

}  // namespace

std::optional<TokenizerJson> tokenizer_json(const GgufFile& file) {
  const auto rule = file.find_string("tokenizer.ggml.pre");
  if (file.find_string("tokenizer.ggml.model") != "gpt2" || !rule ||
      (*rule != "gpt-2" && *rule != "smollm")) {
    return std::nullopt;
  }
  for (const char* key : {"tokenizer.ggml.add_bos_token", "tokenizer.ggml.add_eos_token"}) {
    if (file.find_bool(key).value_or(false)) return std::nullopt;
  }
  const auto tokens = file.find_strings("tokenizer.ggml.tokens");
  const auto merges = file.find_strings("tokenizer.ggml.merges");
  const auto kinds = file.find_i32s("tokenizer.ggml.token_type");
  if (!tokens || !merges || !kinds || kinds->size() != tokens->size()) return std::nullopt;

  json vocabulary = json::object(), added = json::array();
  std::vector<std::string> texts;
  for (const std::string_view token : *tokens) {
    const auto id = texts.size();
    texts.emplace_back(token);
    const std::string& text = texts.back();
    const int32_t kind = (*kinds)[id];
    const bool known = kind == kNormal || kind == kControl || kind == kUserDefined;
    if (!known || vocabulary.contains(text) || !is_text(text)) return std::nullopt;
    vocabulary[text] = id;
    if (kind == kNormal) continue;
    added.push_back(byte_pair_json::added_token(id, text, kind == kControl));
  }
  json pairs = json::array();
  for (const std::string_view merge : *merges) {
    const std::size_t space = merge.find(' ');
    if (space == std::string_view::npos) return std::nullopt;
    std::string left(merge.substr(0, space)), right(merge.substr(space + 1));
    if (!vocabulary.contains(left) || !vocabulary.contains(right) ||
        !vocabulary.contains(left + right)) {
      return std::nullopt;
    }
    pairs.push_back({std::move(left), std::move(right)});
  }

  TokenizerJson made;
  made.tokenizer = byte_pair_json::tokenizer({.added_tokens = std::move(added),
                                              .pre_tokenizer = pre_tokenizer(*rule),
                                              .decoder = byte_pair_json::byte_level(true),
                                              .vocabulary = std::move(vocabulary),
                                              .merges = std::move(pairs)});
  made.config = {{"tokenizer_class", "PreTrainedTokenizerFast"},
                 {"clean_up_tokenization_spaces", false}};
  for (const auto& [key, name] : {std::pair{"tokenizer.ggml.bos_token_id", "bos_token"},
                                  std::pair{"tokenizer.ggml.eos_token_id", "eos_token"},
                                  std::pair{"tokenizer.ggml.unknown_token_id", "unk_token"},
                                  std::pair{"tokenizer.ggml.padding_token_id", "pad_token"}}) {
    const auto id = file.find_int(key, 0, static_cast<int64_t>(texts.size()) - 1);
    if (id) made.config[name] = texts[static_cast<std::size_t>(*id)];
  }
  return made;
}

}  // namespace regard
