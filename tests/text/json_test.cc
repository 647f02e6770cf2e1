// Tokenizers from tokenizer.json: equal to the `tokenizers` package on the strings that
// make_json_goldens.py stored, and one clear line for each file that does not hold together.
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "regard/error.h"
#include "regard/tokenizer.h"

namespace regard {
namespace {

using nlohmann::json;

std::string read_file(const std::string& name) {
  std::ifstream file(REGARD_TEXT_GOLDEN "/json/" + name, std::ios::binary);
  return std::string((std::istreambuf_iterator<char>(file)), {});
}

bool is_inside(std::string_view text, int64_t at) {
  return at < static_cast<int64_t>(text.size()) && (text[static_cast<size_t>(at)] & 0xC0) == 0x80;
}

class JsonGolden : public testing::TestWithParam<const char*> {};

TEST_P(JsonGolden, EqualToThePackage) {
  const std::string name = GetParam();
  const Tokenizer tokenizer = Tokenizer::from_json(read_file(name + ".json"));
  std::ifstream cases(REGARD_TEXT_GOLDEN "/json/" + name + ".txt");
  int count = 0;
  for (std::string line; std::getline(cases, line); ++count) {
    const json expected = json::parse(line);
    const auto text = expected[0].get<std::string>();
    Encoding encoding = tokenizer.encode_with_ranges(text);
    EXPECT_EQ(encoding.ids, expected[1].get<std::vector<int32_t>>()) << name << ": " << line;
    EXPECT_EQ(tokenizer.encode(text), encoding.ids);
    std::vector<int64_t> ranges;
    for (ByteRange& range : encoding.ranges) {  // a part of a character has the character's there
      while (is_inside(text, range.begin)) --range.begin;
      while (is_inside(text, range.end)) ++range.end;
      ranges.insert(ranges.end(), {range.begin, range.end});
    }
    EXPECT_EQ(ranges, expected[2].get<std::vector<int64_t>>()) << name << ": " << line;
    EXPECT_EQ(tokenizer.decode(encoding.ids), expected[3].get<std::string>()) << line;
    EXPECT_EQ(tokenizer.decode(encoding.ids, ControlTokens::keep), expected[4].get<std::string>());
    StreamDecoder stream(tokenizer);
    std::string streamed;
    for (const int32_t id : encoding.ids) streamed += stream.push(id);
    EXPECT_EQ(streamed + stream.finish(), expected[3].get<std::string>()) << line;
  }
  EXPECT_EQ(count, 200);
}

INSTANTIATE_TEST_SUITE_P(Kinds, JsonGolden,
                         testing::Values("gpt2", "roberta", "llama3", "gpt4o", "nfc", "steps",
                                         "llama", "gemma", "mistral", "metaspace", "whitespace"));

json tiny() {
  return {
      {"version", "1.0"},
      {"added_tokens",
       json::array({{{"id", 3}, {"content", "<s>"}, {"special", true}, {"normalized", false}}})},
      {"model",
       {{"type", "BPE"}, {"vocab", {{"a", 0}, {"b", 1}, {"ab", 2}}}, {"merges", {"a b"}}}}};
}

TEST(TokenizerJson, ControlTokensAreShownWithoutTheDecodersSpaces) {
  const std::vector<json> decoders = {
      nullptr,
      {{"type", "WordPiece"}, {"prefix", "##"}, {"cleanup", true}},
      {{"type", "Metaspace"}, {"replacement", "_"}, {"prepend_scheme", "always"}},
      {{"type", "BPEDecoder"}, {"suffix", "s"}}};
  for (const json& decoder : decoders) {
    json document = tiny();
    document["decoder"] = decoder;
    document["added_tokens"][0]["content"] = "<s_ 's>";
    const Tokenizer tokenizer = Tokenizer::from_json(document.dump());
    EXPECT_EQ(tokenizer.bytes(3), "<s_ 's>") << decoder;
    EXPECT_EQ(tokenizer.display(3), "<s_ 's>") << decoder;
  }
}

template <class Call>
void expect_line(ErrorKind kind, std::string_view part, Call&& call) {
  try {
    call();
    ADD_FAILURE() << "no error that says " << part;
  } catch (const Error& error) {
    const std::string message = error.what();
    EXPECT_EQ(error.kind(), kind) << message;
    EXPECT_NE(message.find(part), std::string::npos) << message << "\nis to say " << part;
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
    EXPECT_LT(message.size(), 700u) << message;
  }
}

TEST(TokenizerJson, ReadsATinyOne) {
  const Tokenizer tokenizer =
      Tokenizer::from_json(tiny().dump(), R"({"bos_token": {"content": "<s>"}, "eos_token": "b"})");
  EXPECT_EQ(tokenizer.encode("ab<s>ba"), (std::vector<int32_t>{2, 3, 1, 0}));
  EXPECT_EQ(tokenizer.encode("<s>", SpecialText::plain), std::vector<int32_t>{});
  const ByteRange plain[] = {{0, 3}};
  EXPECT_EQ(tokenizer.encode("<s><s>", {.plain = plain}), std::vector<int32_t>{3});
  EXPECT_EQ(tokenizer.bos(), 3);
  EXPECT_EQ(tokenizer.eos(), 1);
  EXPECT_TRUE(tokenizer.ends_generation(1));
  EXPECT_EQ(tokenizer.decode(std::vector<int32_t>{2, 0}), "ab a") << "no decoder: spaces between";
  json lists = tiny();
  lists["model"]["merges"] = json::array({json::array({"a", "b"})});
  EXPECT_EQ(Tokenizer::from_json(lists.dump()).encode("ab"), std::vector<int32_t>{2});
}

TEST(TokenizerJson, RefusesFilesThatDoNotHoldTogether) {
  const auto refused = [](std::string_view part, auto&& change) {
    json document = tiny();
    change(document);
    expect_line(ErrorKind::unreadable, part, [&] { Tokenizer::from_json(document.dump()); });
  };
  const auto unreadable = [](std::string_view part, std::string_view text) {
    expect_line(ErrorKind::unreadable, part, [&] { Tokenizer::from_json(text); });
  };
  unreadable("tokenizer.json", "");
  unreadable("tokenizer.json", "[]");
  unreadable("tokenizer.json", std::string(60'000, '['));
  unreadable("has no model", "{}");
  refused("version: is '2.0'", [](json& d) { d["version"] = "2.0"; });
  refused("supported: BPE", [](json& d) { d["model"]["type"] = "Magic"; });
  refused("dropout", [](json& d) { d["model"]["dropout"] = 0.1; });
  refused("the id of 'a'", [](json& d) { d["model"]["vocab"]["a"] = -1; });
  refused("the id of 'a'", [](json& d) { d["model"]["vocab"]["a"] = 1ll << 31; });
  refused("the id of 'a'", [](json& d) { d["model"]["vocab"]["a"] = ~0ull; });
  refused("the id of 'a'", [](json& d) { d["model"]["vocab"]["a"] = 0.5; });
  refused("too far beyond", [](json& d) { d["model"]["vocab"]["a"] = 2'000'000'000; });
  refused("both have id 1", [](json& d) { d["model"]["vocab"]["a"] = 1; });
  refused("merge 1 ('a c') names 'c'", [](json& d) { d["model"]["merges"].push_back("a c"); });
  refused("not two tokens", [](json& d) { d["model"]["merges"].push_back("ab"); });
  refused("entry 1 is not two tokens", [](json& d) { d["model"]["merges"].push_back(7); });
  refused("which is 'a''s", [](json& d) { d["added_tokens"][0]["id"] = 0; });
  refused("but elsewhere 0", [](json& d) { d["added_tokens"][0]["content"] = "a"; });
  refused("added_tokens[0].id", [](json& d) { d["added_tokens"][0]["id"] = 1ll << 40; });
  refused("unk_token", [](json& d) { d["model"]["unk_token"] = "<unk>"; });
  refused("backs", [](json& d) {
    d["pre_tokenizer"] = {{"type", "Split"},
                          {"pattern", {{"Regex", "(unclosed backs"}}},
                          {"behavior", "Isolated"},
                          {"invert", false}};
  });
  refused("&& between sets", [](json& d) {
    d["pre_tokenizer"] = {
        {"type", "Split"}, {"pattern", {{"Regex", "[a-z&&[^b]]"}}}, {"behavior", "Isolated"}};
  });
  refused("is none of Removed", [](json& d) {
    d["pre_tokenizer"] = {{"type", "Split"}, {"pattern", {{"String", "x"}}}, {"behavior", "Gone"}};
  });
  refused("behind ByteLevel", [](json& d) {
    d["pre_tokenizer"] = {{"type", "Sequence"},
                          {"pretokenizers", {{{"type", "ByteLevel"}}, {{"type", "Digits"}}}}};
  });
  refused("more than 64 steps", [](json& d) {
    d["pre_tokenizer"] = {{"type", "Sequence"},
                          {"pretokenizers", json(100'000, {{"type", "Digits"}})}};
  });
  refused("tokenizer.json", [](json& d) {
    json nest = {{"type", "Digits"}};
    for (int i = 0; i < 200; ++i)
      nest = {{"type", "Sequence"}, {"pretokenizers", json::array({nest})}};
    d["pre_tokenizer"] = nest;
  });
  refused("special_tokens does not have", [](json& d) {
    d["post_processor"] = {{"type", "TemplateProcessing"},
                           {"single", {{{"SpecialToken", {{"id", "<x>"}}}}}}};
  });
  refused("decoder.type", [](json& d) { d["decoder"] = {{"type", "CTC"}}; });
  refused("1025 bytes", [](json& d) {
    d["added_tokens"].push_back({{"id", 4}, {"content", std::string(1025, 'x')}});
  });
}

// Each would take hours if nothing counted.
TEST(TokenizerJson, PatternsThatBacktrackEndInOneLine) {
  for (const char* pattern : {"(a+)+$", "(a|aa)+[bc]", "a*[bc]"}) {
    json document = tiny();
    document["pre_tokenizer"] = {
        {"type", "Split"}, {"pattern", {{"Regex", pattern}}}, {"behavior", "Isolated"}};
    const Tokenizer tokenizer = Tokenizer::from_json(document.dump());
    expect_line(ErrorKind::unreadable, "backtracks too much",
                [&] { tokenizer.encode(std::string(300'000, 'a') + "!"); });
    EXPECT_EQ(tokenizer.encode("b"), std::vector<int32_t>{1});
  }
}

// Sixty steps that double a text are four kilobytes; without a bound they are an exabyte.
TEST(TokenizerJson, StepsThatDoubleATextEndInOneLine) {
  const auto doubling = [](size_t count) {
    return json(count, {{"type", "Replace"}, {"pattern", {{"String", "a"}}}, {"content", "aa"}});
  };
  json document = tiny();
  document["normalizer"] = {{"type", "Sequence"}, {"normalizers", doubling(60)}};
  const Tokenizer tokenizer = Tokenizer::from_json(document.dump());
  EXPECT_EQ(tokenizer.encode("b"), std::vector<int32_t>{1});
  for (const bool ranges : {false, true})
    expect_line(ErrorKind::unreadable, "normaliser makes more than 1152 bytes",
                [&] { ranges ? tokenizer.encode_with_ranges("ba").ids : tokenizer.encode("ba"); });
  document["added_tokens"].push_back({{"id", 4}, {"content", "ca"}, {"normalized", true}});
  expect_line(ErrorKind::unreadable, "makes too much of 'ca'",
              [&] { Tokenizer::from_json(document.dump()); });
  document = tiny();
  document["normalizer"] = {{"type", "Prepend"}, {"prepend", std::string(2000, 'a')}};
  expect_line(ErrorKind::unreadable, "normaliser makes more than",
              [&] { Tokenizer::from_json(document.dump()).encode("b"); });
  document = tiny();
  document["decoder"] = {{"type", "Sequence"}, {"decoders", doubling(5)}};
  expect_line(ErrorKind::unreadable, "more than 16 times as long",
              [&] { Tokenizer::from_json(document.dump()); });
}

// Each byte of a text is looked at as often as the longest piece has bytes.
TEST(TokenizerJson, LongPiecesAreRefused) {
  const std::string most(1024, 'a');
  const auto unigram = [](const std::string& piece) {
    json document = tiny();
    document["model"] = {{"type", "Unigram"},
                         {"unk_id", 0},
                         {"vocab", json::array({json::array({"<unk>", 0}), json::array({"a", -9}),
                                                json::array({piece, -1})})}};
    return document.dump();
  };
  const auto word_piece = [](const std::string& piece) {
    json document = tiny();
    document["model"] = {{"type", "WordPiece"},
                         {"unk_token", "a"},
                         {"continuing_subword_prefix", "##"},
                         {"max_input_chars_per_word", 10'000},
                         {"vocab", {{"a", 0}, {"b", 1}, {piece, 2}}}};
    return document.dump();
  };
  EXPECT_EQ(Tokenizer::from_json(unigram(most)).encode(most), std::vector<int32_t>{2});
  EXPECT_EQ(Tokenizer::from_json(word_piece(most)).encode(most), std::vector<int32_t>{2});
  for (const std::string& file : {unigram(most + "a"), word_piece(most + "a")})
    expect_line(ErrorKind::unreadable, "has 1025 bytes, more than the 1024",
                [&] { Tokenizer::from_json(file); });
}

TEST(TokenizerJson, LongStretchesWithoutSpacesEnd) {
  const Tokenizer tokenizer = Tokenizer::from_json(read_file("llama.json"));
  constexpr size_t kLength = 1 << 19;  // a quadratic step would run into the time limit
  for (const char* unit : {"a", "\xE4\xB8\xAD", " ", "an", "\xF0\x9F\x99\x82"}) {
    std::string text;
    while (text.size() < kLength) text += unit;
    EXPECT_EQ(tokenizer.decode(tokenizer.encode(text)), text);
  }
}

}  // namespace
}  // namespace regard
