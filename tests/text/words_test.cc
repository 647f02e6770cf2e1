// WordPiece and Unigram against the `tokenizers` package: strings that make_words.py generated.
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <vector>

#include "regard/error.h"
#include "regard/tokenizer.h"

namespace regard {
namespace {

std::string read_file(const std::string& name) {
  std::ifstream file(REGARD_TEXT_GOLDEN "/words/" + name, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string unescaped(const std::string& written) {
  std::string text;
  for (size_t i = 0; i < written.size(); ++i) {
    text += written[i] == '\\' ? static_cast<char>(std::stoi(written.substr(i + 2, 2), nullptr, 16))
                               : written[i];
    if (written[i] == '\\') i += 3;
  }
  return text;
}

struct Case {
  std::string text, ids, ranges, decoded;
};

std::vector<Case> read_cases(const std::string& name) {
  std::istringstream lines(read_file(name + ".txt"));
  std::vector<Case> cases;
  for (std::string line; std::getline(lines, line);) {
    std::istringstream fields(line);
    Case c;
    std::getline(fields, c.text, '\t');
    std::getline(fields, c.ids, '\t');
    std::getline(fields, c.ranges, '\t');
    std::getline(fields, c.decoded, '\t');
    cases.push_back({unescaped(c.text), c.ids, c.ranges, unescaped(c.decoded)});
  }
  return cases;
}

std::string shown(const std::vector<int32_t>& ids) {
  std::string out;
  for (const int32_t id : ids) out += (out.empty() ? "" : " ") + std::to_string(id);
  return out;
}

std::string shown(const std::vector<ByteRange>& ranges) {
  std::string out;
  for (const ByteRange& range : ranges)
    out += (out.empty() ? "" : " ") + std::to_string(range.begin) + "-" + std::to_string(range.end);
  return out;
}

class Words : public testing::TestWithParam<const char*> {};

TEST_P(Words, AsThePackage) {
  const auto tokenizer = Tokenizer::from_json(read_file(std::string(GetParam()) + ".json"));
  const std::vector<Case> cases = read_cases(GetParam());
  ASSERT_EQ(cases.size(), 300u);
  for (const Case& c : cases) {
    SCOPED_TRACE(c.text);
    const Encoding encoding = tokenizer.encode_with_ranges(c.text);
    ASSERT_EQ(shown(encoding.ids), c.ids);
    ASSERT_EQ(shown(encoding.ranges), c.ranges);
    ASSERT_EQ(tokenizer.encode(c.text), encoding.ids);
    ASSERT_EQ(tokenizer.decode(encoding.ids), c.decoded);
    StreamDecoder stream(tokenizer);
    std::string streamed;
    for (const int32_t id : encoding.ids) streamed += stream.push(id);
    ASSERT_EQ(streamed + stream.finish(), c.decoded);
    // Plain text makes no control token but the one for what is unknown.
    const auto unknown = tokenizer.find(tokenizer.find("[UNK]") ? "[UNK]" : "<unk>");
    for (const int32_t id :
         tokenizer.encode(c.text, {.special = SpecialText::plain, .add_ends = false}))
      ASSERT_TRUE(id == unknown || tokenizer.type(id) != TokenType::control) << id;
  }
}

// WordPiece and Metaspace put spaces in front of words; a template's bos_token has none.
TEST_P(Words, ControlTokensAreShownWithoutTheDecodersSpaces) {
  const auto tokenizer = Tokenizer::from_json(read_file(std::string(GetParam()) + ".json"));
  int64_t control = 0;
  for (int32_t id = 0; id < tokenizer.size(); ++id) {
    if (tokenizer.type(id) != TokenType::control) continue;
    ++control;
    EXPECT_EQ(tokenizer.find(tokenizer.bytes(id)), id) << tokenizer.bytes(id);
    EXPECT_EQ(tokenizer.display(id), tokenizer.bytes(id));
  }
  EXPECT_GT(control, 0);
}

INSTANTIATE_TEST_SUITE_P(Kinds, Words,
                         testing::Values("wordpiece-uncased", "wordpiece-cased",
                                         "wordpiece-accents", "unigram-charsmap", "unigram-bytes",
                                         "unigram-whole"));

TokenizerSpec bert_spec() {
  TokenizerSpec spec{.model = "bert"};
  spec.tokens = {"[UNK]", "[CLS]", "[SEP]", "\u2581un", "aff", "able", "\u2581!", "[", "\u2581[x]"};
  spec.types.assign(spec.tokens.size(), TokenType::normal);
  spec.types[0] = TokenType::unknown;
  spec.types[1] = spec.types[2] = TokenType::control;
  spec.unknown = 0;
  spec.cls = 1;
  spec.separator = 2;
  return spec;
}

TEST(WordsFromGguf, Bert) {
  const Tokenizer tokenizer(bert_spec());
  const Encoding encoding = tokenizer.encode_with_ranges("\u00DCNaffable! unx [CLS]");
  EXPECT_EQ(shown(encoding.ids), "1 3 4 5 6 0 1 2");
  EXPECT_EQ(shown(encoding.ranges), "0-0 0-3 3-6 6-10 10-11 12-15 16-21 21-21");
  EXPECT_EQ(tokenizer.decode(encoding.ids), "unaffable!");
  EXPECT_EQ(tokenizer.bytes(1), "[CLS]");
  EXPECT_EQ(tokenizer.bytes(3), " un");
  // As the package does it, a decoder of words puts spaces around those that are kept.
  EXPECT_EQ(tokenizer.decode(std::vector<int32_t>{1, 3, 2}, ControlTokens::keep), "[CLS] un [SEP]");
  EXPECT_EQ(tokenizer.find("##aff"), 4);
  EXPECT_EQ(shown(tokenizer.encode("[CLS]", SpecialText::plain)), "1 0 0 0 2");

  TokenizerSpec cased = bert_spec();
  cased.tokens[3] = "\u2581Un";  // a capital letter: text keeps its own
  EXPECT_EQ(shown(Tokenizer(cased).encode("Unaff unaff")), "1 3 4 0 2");
}

TEST(WordsFromGguf, T5) {
  TokenizerSpec spec{.model = "t5"};
  spec.tokens = {"<pad>", "</s>", "<unk>", "\u2581a", "b", "\u2581", "\u2581ab", "<extra_id_0>"};
  spec.scores = {0, 0, 0, -1, -1, -3, -2.5, 0};
  spec.types.assign(spec.tokens.size(), TokenType::normal);
  spec.types[0] = spec.types[1] = TokenType::control;
  spec.types[2] = TokenType::unknown;
  spec.types[7] = TokenType::user_defined;
  const Tokenizer tokenizer(spec);
  const Encoding encoding = tokenizer.encode_with_ranges("ab  xb<extra_id_0>");
  EXPECT_EQ(shown(encoding.ids), "3 4 5 2 4 7 1");
  EXPECT_EQ(shown(encoding.ranges), "0-1 1-2 4-5 4-5 5-6 6-18 18-18");
  EXPECT_EQ(tokenizer.decode(encoding.ids), "ab b<extra_id_0>");
  spec.scores.pop_back();
  EXPECT_THROW(Tokenizer{spec}, Error);
  spec.scores.push_back(0);
  spec.unknown = 99;
  EXPECT_THROW(Tokenizer{spec}, Error);
  spec.unknown = 2;
  spec.precompiled_charsmap = "xyz";
  EXPECT_THROW(Tokenizer{spec}, Error);
}

}  // namespace
}  // namespace regard
