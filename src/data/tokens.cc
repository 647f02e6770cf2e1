#include "data/tokens.h"

#include <filesystem>

#include <nlohmann/json.hpp>

#include "base/check.h"
#include "base/printable.h"
#include "formats/byte_pair_json.h"
#include "formats/mapped_file.h"
#include "subwords/byte_alphabet.h"
#include "text_files/tokenizers.h"

namespace regard::data {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr const char* kBoundary = "<|endoftext|>";
constexpr Id kBytes = 256;

// Byte-level BPE without merges: a text falls into its bytes.
json merging_nothing(json vocabulary, json added_tokens) {
  const json bytes = byte_pair_json::byte_level(false);
  json made = byte_pair_json::tokenizer({.added_tokens = std::move(added_tokens),
                                         .pre_tokenizer = bytes,
                                         .decoder = bytes,
                                         .vocabulary = std::move(vocabulary),
                                         .merges = json::array()});
  made["model"]["ignore_merges"] = false;
  return made;
}

std::string whole_text(const fs::path& path) {
  return fs::exists(path) ? std::string(MappedFile(path).text()) : std::string();
}

}  // namespace

std::vector<Id> Tokens::encode(std::string_view text, std::string_view name) const {
  if (!tokenizer || vocabulary == kBytes + 1) {
    std::vector<Id> ids;
    ids.reserve(text.size());
    for (const char c : text) ids.push_back(static_cast<uint8_t>(c));
    return ids;
  }
  try {
    return tokenizer->encode(text, {.special = SpecialText::plain, .add_ends = false});
  } catch (const Error& error) {
    fail(ErrorKind::unreadable, "{}: {}", printable(name, 1024), error.what());
  }
}

Tokens byte_tokens() {
  json vocabulary = json::object();
  for (int byte = 0; byte < kBytes; ++byte) {
    vocabulary[subwords::alphabet_character(static_cast<uint8_t>(byte))] = byte;
  }
  vocabulary[kBoundary] = kBytes;
  Tokens made{.vocabulary = kBytes + 1, .boundary = kBytes};
  made.json = merging_nothing(vocabulary,
                              json::array({byte_pair_json::added_token(kBytes, kBoundary, true)}))
                  .dump(1) +
              "\n";
  made.config = json{{"eos_token", kBoundary}}.dump(1) + "\n";
  return made;
}

Tokens read_tokens(const std::string& path) {
  Tokens made;
  made.tokenizer = open_tokenizer(path);
  made.vocabulary = made.tokenizer->size();
  made.boundary = made.tokenizer->eos();
  const fs::path folder = fs::is_directory(path) ? fs::path(path) : fs::path(path).parent_path();
  if (fs::is_directory(path) || fs::path(path).extension() == ".json") {
    made.json = whole_text(fs::is_directory(path) ? folder / "tokenizer.json" : fs::path(path));
    made.config = whole_text(folder / "tokenizer_config.json");
  }
  return made;
}

Tokens task_tokens(const tasks::Task& task) {
  json all = json::array();
  const std::vector<std::string>& words = task.vocabulary();
  for (Id id = 0; id < std::ssize(words); ++id) {
    const std::string& word = words[static_cast<std::size_t>(id)];
    all.push_back(byte_pair_json::added_token(id, word, id < tasks::kFirstSymbol));
  }
  Tokens made{.vocabulary = std::ssize(words), .boundary = tasks::kStop};
  made.json = merging_nothing(json::object(), std::move(all)).dump(1) + "\n";
  made.config =
      json{{"eos_token", words[tasks::kStop]}, {"pad_token", words[tasks::kPad]}}.dump(1) + "\n";
  made.tokenizer = Tokenizer::from_json(made.json, made.config);
  return made;
}

}  // namespace regard::data
