// The tokenizer against the `tokenizers` package, over strings that make_goldens.py generated.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "formats/gguf.h"
#include "regard/tokenizer.h"
#include "subwords/byte_alphabet.h"

namespace regard {
namespace {

TokenizerSpec read_spec(const GgufFile& file, std::string pre) {
  const auto id = [&](std::string_view key) -> std::optional<int32_t> {
    const auto found = file.find_int(key, 0, INT32_MAX);
    if (!found) return std::nullopt;
    return static_cast<int32_t>(*found);
  };
  TokenizerSpec spec{.model = std::string(file.get_string("tokenizer.ggml.model")),
                     .pre = std::move(pre)};
  for (const std::string_view token : file.get_strings("tokenizer.ggml.tokens"))
    spec.tokens.emplace_back(token);
  for (const int32_t type : file.get_i32s("tokenizer.ggml.token_type"))
    spec.types.push_back(static_cast<TokenType>(type));
  for (const std::string_view merge : file.get_strings("tokenizer.ggml.merges"))
    spec.merges.emplace_back(merge);
  spec.bos = id("tokenizer.ggml.bos_token_id");
  spec.eos = id("tokenizer.ggml.eos_token_id");
  spec.add_bos = false;
  return spec;
}

const GgufFile& model_file() {
  static const GgufFile file = [] {
    const char* path = std::getenv("REGARD_TEST_MODEL");
    if (path == nullptr)
      throw std::runtime_error("REGARD_TEST_MODEL names no file: it must be SmolLM2's GGUF");
    return GgufFile::open(path);
  }();
  return file;
}

struct Case {
  std::string text;
  std::vector<int32_t> ids;
};

int base_64(char c) {
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  return static_cast<int>(kDigits.find(c));
}

// The format is described in make_goldens.py.
std::vector<Case> read_cases(const std::string& name) {
  std::ifstream file(REGARD_TEXT_GOLDEN "/" + name + ".txt", std::ios::binary);
  std::vector<Case> cases;
  for (std::string line; std::getline(file, line);) {
    const size_t tab = line.rfind('\t');
    Case c;
    for (size_t i = 0; i < tab; ++i) {
      if (line[i] == '\\') {
        c.text += static_cast<char>(std::stoi(line.substr(i + 2, 2), nullptr, 16));
        i += 3;
      } else {
        c.text += line[i];
      }
    }
    for (size_t i = tab + 1; i + 2 < line.size(); i += 3)
      c.ids.push_back(base_64(line[i]) << 12 | base_64(line[i + 1]) << 6 | base_64(line[i + 2]));
    cases.push_back(std::move(c));
  }
  return cases;
}

void expect_same_ids(const std::string& golden, const std::string& pre, size_t count) {
  const Tokenizer tokenizer(read_spec(model_file(), pre));
  const std::vector<Case> cases = read_cases(golden);
  ASSERT_EQ(cases.size(), count);
  int different = 0;
  for (size_t i = 0; i < cases.size() && different < 10; ++i) {
    const std::vector<int32_t> ids = tokenizer.encode(cases[i].text);
    EXPECT_EQ(ids, cases[i].ids) << golden << ".txt, line " << i + 1;
    different += ids != cases[i].ids;
  }
}

TEST(Golden, SmolLM) { expect_same_ids("smollm", "smollm", 10'000); }
TEST(Golden, Gpt2) { expect_same_ids("gpt-2", "gpt-2", 2'000); }
TEST(Golden, LlamaBpe) { expect_same_ids("llama-bpe", "llama-bpe", 2'000); }
TEST(Golden, Qwen2) { expect_same_ids("qwen2", "qwen2", 2'000); }
TEST(Golden, PromptsOfTheModelsGolden) { expect_same_ids("prompts", "smollm", 5); }

TEST(Golden, DecodesTornCharactersAlike) {
  const Tokenizer tokenizer(read_spec(model_file(), "smollm"));
  const std::vector<Case> cases = read_cases("decode");
  ASSERT_EQ(cases.size(), 1'000u);
  for (const Case& c : cases) {
    EXPECT_EQ(tokenizer.decode(c.ids), c.text);
    StreamDecoder stream(tokenizer);
    std::string streamed;
    for (const int32_t id : c.ids) streamed += stream.push(id);
    EXPECT_EQ(streamed + stream.finish(), c.text);
  }
}

// Every byte of the text is in exactly one range, but for those the vocabulary has no token for.
TEST(Golden, RangesCoverTheText) {
  const Tokenizer tokenizer(read_spec(model_file(), "smollm"));
  for (const Case& c : read_cases("smollm")) {
    const Encoding encoding = tokenizer.encode_with_ranges(c.text);
    ASSERT_EQ(encoding.ids, c.ids);
    ASSERT_EQ(encoding.ranges.size(), c.ids.size());
    int64_t at = 0;
    for (size_t i = 0; i < c.ids.size(); ++i) {
      const auto [begin, end] = encoding.ranges[i];
      for (; at < begin; ++at)
        EXPECT_FALSE(tokenizer.find(subwords::alphabet_character(static_cast<uint8_t>(c.text[at]))))
            << c.text;
      std::string behind;
      for (int64_t byte = begin; byte < end; ++byte)
        if (tokenizer.find(subwords::alphabet_character(static_cast<uint8_t>(c.text[byte]))))
          behind += c.text[byte];
      EXPECT_EQ(behind, tokenizer.bytes(c.ids[i]));
      at = end;
    }
  }
}

TEST(Golden, EndsOfGenerationOfSmolLM2) {
  const Tokenizer tokenizer(read_spec(model_file(), "smollm"));
  EXPECT_EQ(tokenizer.size(), 49'152);
  EXPECT_EQ(tokenizer.eos(), 2);
  for (int32_t id = 0; id < tokenizer.size(); ++id)
    EXPECT_EQ(tokenizer.ends_generation(id), id == 0 || id == 2) << id;
}

}  // namespace
}  // namespace regard
