// From a tokenizer.json, and what tokenizer_config.json adds to it.
#include <algorithm>
#include <string>
#include <unordered_map>
#include <utility>

#include "base/check.h"
#include "json/json.h"
#include "parts/readers.h"
#include "subwords/byte_alphabet.h"
#include "text/tables.h"

namespace regard {

using nlohmann::json;
using parts::Part;
using Tables = Tokenizer::Tables;

namespace {

struct Added {
  int32_t id;
  std::string_view content;
  bool special, single_word, lstrip, rstrip, normalized;
};

std::vector<Added> read_added(const Part& root) {
  std::vector<Added> tokens;
  const auto list = root.find("added_tokens");
  if (!list) return tokens;
  for (const Part& part : list->list()) {
    const std::string& content = part.get_string("content");
    if (content.empty()) continue;
    tokens.push_back({static_cast<int32_t>(part.get("id").integer(0, INT32_MAX)), content,
                      part.get_bool("special", false), part.get_bool("single_word", false),
                      part.get_bool("lstrip", false), part.get_bool("rstrip", false),
                      part.get_bool("normalized", true)});
  }
  return tokens;
}

// Holes are empty and unused. Ids far beyond the number of tokens are refused: they would be holes.
subwords::Vocabulary build_vocabulary(const Part& model, const std::vector<Added>& added) {
  const auto entries = parts::read_vocabulary(model);
  const auto most = static_cast<int64_t>(2 * (entries.size() + added.size()) + 65'536);
  int64_t size = 0;
  const auto check = [&](int64_t id, std::string_view token) {
    if (id >= most)
      fail(ErrorKind::unreadable,
           "tokenizer.json: {} has id {}, too far beyond the {} tokens that there are",
           subwords::quoted(token), id, entries.size() + added.size());
    size = std::max(size, id + 1);
  };
  for (const auto& [id, token] : entries) check(id, token);
  for (const Added& token : added) check(token.id, token.content);
  std::vector<std::string> tokens(static_cast<size_t>(size));
  std::vector<TokenType> types(static_cast<size_t>(size), TokenType::unused);
  std::unordered_map<std::string_view, int32_t> ids;
  for (const auto& [id, token] : entries) {
    const auto at = static_cast<size_t>(id);
    if (types[at] != TokenType::unused)
      fail(ErrorKind::unreadable, "tokenizer.json: model.vocab: {} and {} both have id {}",
           subwords::quoted(tokens[at]), subwords::quoted(token), id);
    tokens[at] = token;
    types[at] = TokenType::normal;
  }
  for (const auto& [id, token] : entries) ids.emplace(token, id);
  for (const Added& token : added) {
    const auto at = static_cast<size_t>(token.id);
    if (const auto known = ids.find(token.content); known != ids.end() && known->second != token.id)
      fail(ErrorKind::unreadable, "tokenizer.json: added_tokens: {} has id {}, but elsewhere {}",
           subwords::quoted(token.content), token.id, known->second);
    if (types[at] != TokenType::unused && tokens[at] != token.content)
      fail(ErrorKind::unreadable, "tokenizer.json: added_tokens: {} has id {}, which is {}'s",
           subwords::quoted(token.content), token.id, subwords::quoted(tokens[at]));
    ids.emplace(token.content, token.id);
    tokens[at] = token.content;
    types[at] = token.special ? TokenType::control : TokenType::user_defined;
  }
  return subwords::Vocabulary(tokens, std::move(types));
}

// Tokens as the decoder reads them: those that are normalised in a text in their normalised form.
void fill_inputs(Tables& tables, const std::unordered_map<int32_t, std::string>& normalised) {
  const bool bytes =
      !tables.decoder.empty() && tables.decoder.front().kind == parts::DecodeStep::Kind::bytes;
  tables.inputs = subwords::StringTable(tables.vocabulary.size());
  for (int32_t id = 0; id < tables.vocabulary.size(); ++id) {
    const auto found = normalised.find(id);
    const std::string_view text =
        found != normalised.end() ? std::string_view(found->second) : tables.vocabulary.text(id);
    const auto mapped = bytes ? subwords::from_alphabet(text) : std::nullopt;
    tables.inputs.append(mapped ? *mapped : text);
  }
}

std::unordered_map<int32_t, std::string> add_special_tokens(Tables& tables,
                                                            const std::vector<Added>& added) {
  std::unordered_map<int32_t, std::string> changed;
  for (const Added& token : added) {
    text::SpecialToken special{.text = std::string(token.content),
                               .id = token.id,
                               .control = token.special,
                               .single_word = token.single_word,
                               .takes_left = token.lstrip,
                               .takes_right = token.rstrip};
    if (token.normalized && tables.normaliser) {
      normalise::Aligned text(special.text, 0, normalise::Tracking::off);
      try {
        tables.normaliser->apply(text);
      } catch (const Error&) {
        fail(
            ErrorKind::unreadable,
            "tokenizer.json: added_tokens: the normalizer makes too much of {}: more than {} bytes",
            subwords::quoted(token.content), text.most_bytes);
      }
      if (text.text != special.text) changed.emplace(token.id, text.text);
      special.text = std::move(text.text);
    }
    (token.normalized ? tables.normalised : tables.raw).add(std::move(special));
  }
  tables.raw.finish();
  tables.normalised.finish();
  return changed;
}

// "<s>", or an added token with "content".
std::optional<int32_t> find_token(const Tables& tables, const Part& config, std::string_view key) {
  auto part = config.find(key);
  if (part && part->value().is_object()) part = part->find("content");
  return part ? tables.vocabulary.find(part->string()) : std::nullopt;
}

void read_config(std::string_view text, Tables& tables) {
  if (!text.empty()) {
    const json config = parse_json(text, "tokenizer_config.json");
    const Part part(config, "tokenizer_config.json");
    tables.bos = find_token(tables, part, "bos_token");
    tables.eos = find_token(tables, part, "eos_token");
  }
}

}  // namespace

std::shared_ptr<const Tables> Tokenizer::Tables::from_json(std::string_view tokenizer,
                                                           std::string_view config) {
  const json document = parse_json(tokenizer, "tokenizer.json");
  const Part root(document, "");
  if (const auto version = root.find("version"); version && version->string() != "1.0")
    version->refuse("is {}, not 1.0", subwords::quoted(version->string()));
  const Part model = root.get("model");
  const std::vector<Added> added = read_added(root);
  auto tables = std::make_shared<Tables>(build_vocabulary(model, added));

  if (const auto part = root.find("normalizer")) tables->normaliser = parts::read_normaliser(*part);
  bool byte_level = false;
  if (const auto part = root.find("pre_tokenizer")) {
    parts::PreTokenizing pre = parts::read_pre_tokenizer(*part);
    tables->pre_tokenizer = std::move(pre.step);
    byte_level = pre.byte_level;
  }
  tables->model = parts::read_model(model, {tables->vocabulary, byte_level});
  tables->decoder = {{.kind = parts::DecodeStep::Kind::spaced}};
  if (const auto part = root.find("decoder")) {
    tables->decoder = parts::read_decoder(*part);
    for (size_t i = 1; i < tables->decoder.size(); ++i)
      if (tables->decoder[i].kind == parts::DecodeStep::Kind::bytes)
        part->refuse("ByteLevel is not the first step");
  }
  if (const auto part = root.find("post_processor"))
    tables->ends = parts::read_ends(*part, tables->vocabulary);
  const auto normalised = add_special_tokens(*tables, added);
  fill_inputs(*tables, normalised);
  read_config(config, *tables);
  tables->finish({tables->eos});
  return tables;
}

}  // namespace regard
