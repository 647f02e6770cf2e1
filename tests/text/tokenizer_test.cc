#include "regard/tokenizer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "regard/error.h"
#include "text/tiny_vocabulary.h"
#include "unicode/random_text.h"

namespace regard {
namespace {

using Merges = std::vector<std::pair<std::string, std::string>>;
using Ids = std::vector<int32_t>;

std::vector<std::string> pieces(const Tokenizer& tokenizer, std::string_view text,
                                SpecialText special = SpecialText::parse) {
  std::vector<std::string> shown;
  for (const int32_t id : tokenizer.encode(text, special)) shown.push_back(tokenizer.display(id));
  return shown;
}
using Pieces = std::vector<std::string>;

TEST(Tokenizer, MergesTheLowestRankFirstAndOfEqualsTheLeftmost) {
  const Tokenizer tokenizer(tiny_spec({{"b", "c"}, {"a", "b"}, {"bc", "d"}, {"a", "a"}}));
  EXPECT_EQ(pieces(tokenizer, "abc"), (Pieces{"a", "bc"}));
  EXPECT_EQ(pieces(tokenizer, "abd"), (Pieces{"ab", "d"}));
  EXPECT_EQ(pieces(tokenizer, "abcd"), (Pieces{"a", "bcd"}));
  EXPECT_EQ(pieces(tokenizer, "aaa"), (Pieces{"aa", "a"}));
  EXPECT_EQ(pieces(tokenizer, ""), Pieces{});
}

// The definition, word by word: no table, no queue.
std::vector<std::string> textbook(const Merges& merges, const std::string& word) {
  std::vector<std::string> parts;
  for (const char c : word) parts.emplace_back(1, c);
  for (;;) {
    size_t best = merges.size(), where = 0;
    for (size_t i = 0; i + 1 < parts.size(); ++i)
      for (size_t rank = 0; rank < best; ++rank)
        if (merges[rank].first == parts[i] && merges[rank].second == parts[i + 1])
          best = rank, where = i;
    if (best == merges.size()) return parts;
    parts[where] += parts[where + 1];
    parts.erase(parts.begin() + static_cast<std::ptrdiff_t>(where) + 1);
  }
}

// Short words and long ones go different ways. Ranks are in no order: a pair may come before the
// merges that make its halves.
TEST(Tokenizer, AgreesWithTheTextbook) {
  std::mt19937_64 random(4);
  for (int round = 0; round < 40; ++round) {
    std::vector<std::string> known = {"a", "b", "c"};
    Merges merges;
    while (merges.size() < 12) {
      const std::pair pair(known[random() % known.size()], known[random() % known.size()]);
      if (std::find(merges.begin(), merges.end(), pair) != merges.end()) continue;
      merges.push_back(pair);
      known.push_back(pair.first + pair.second);
    }
    std::shuffle(merges.begin(), merges.end(), random);
    const Tokenizer tokenizer(tiny_spec(merges));
    for (const int length : {1, 2, 3, 5, 8, 63, 64, 65, 66, 300}) {
      std::string word;
      for (int i = 0; i < length; ++i) word += "abc"[random() % 3];
      ASSERT_EQ(pieces(tokenizer, word), textbook(merges, word)) << word;
    }
    for (const std::string& word : known)
      ASSERT_EQ(pieces(tokenizer, word), textbook(merges, word)) << word;
  }
}

TEST(Tokenizer, LongRunsEnd) {
  constexpr int kLength = 1 << 18;  // a quadratic step somewhere would run into the time limit
  Merges merges;
  for (const char c : {'a', ' ', '\n', '7', '='})
    for (const int length : {1, 2, 4, 8})
      merges.emplace_back(std::string(length, c), std::string(length, c));
  const Tokenizer gpt2(tiny_spec(merges));
  for (const char c : {'a', ' ', '\n', '='})
    EXPECT_EQ(gpt2.encode(std::string(kLength, c)).size(), kLength / 16) << c;
  // Word by word, with much to look ahead over.
  for (const char* pre : {"gpt-2", "smollm", "llama-bpe", "qwen2"}) {
    const Tokenizer tokenizer(tiny_spec({}, {{"''''''<", TokenType::control}}, pre));
    const std::string blank_then_letter = std::string(kLength, ' ') + "x";
    EXPECT_EQ(tokenizer.decode(tokenizer.encode(blank_then_letter)), blank_then_letter);
    EXPECT_EQ(tokenizer.encode(std::string(kLength, '\'')).size(), kLength) << pre;
  }
  const auto digits = [&](const char* pre) {
    return Tokenizer(tiny_spec(merges, {}, pre)).encode(std::string(kLength, '7')).size();
  };
  EXPECT_EQ(digits("gpt-2"), kLength / 16);
  EXPECT_EQ(digits("smollm"), kLength);
  EXPECT_EQ(digits("llama-bpe"), kLength / 3 * 2 + 1);  // 77|7 each, and one 7 is left
  EXPECT_EQ(digits("qwen2"), kLength);
}

TEST(Tokenizer, WordsInTheVocabularyThatNoMergeMakes) {
  TokenizerSpec spec = tiny_spec({{"a", "b"}});
  spec.tokens.push_back("abc");
  spec.types.push_back(TokenType::normal);
  EXPECT_EQ(pieces(Tokenizer(spec), "abc"), (Pieces{"ab", "c"}));
  spec.pre = "llama-bpe";
  EXPECT_EQ(pieces(Tokenizer(spec), "abc"), (Pieces{"abc"}));
}

TEST(Tokenizer, DecodeOfEncodeIsTheText) {
  std::mt19937_64 random(5);
  const Merges merges = {{" ", "a"}, {"'", "s"},   {"\xC3", "\xA9"},
                         {" ", " "}, {"\n", "\n"}, {"b", "\xC3\xA9"}};
  const std::vector<Special> specials = {{"<s>", TokenType::control},
                                         {"<sl", TokenType::user_defined}};
  for (const char* pre : {"gpt-2", "smollm", "llama-bpe", "qwen2"}) {
    const Tokenizer tokenizer(tiny_spec(merges, specials, pre));
    for (int round = 0; round < 2'000; ++round) {
      const std::string text = random_text(random, static_cast<int>(random() % 30));
      for (const SpecialText special : {SpecialText::parse, SpecialText::plain}) {
        const Encoding encoding = tokenizer.encode_with_ranges(text, special);
        ASSERT_EQ(encoding.ids, tokenizer.encode(text, special));
        ASSERT_EQ(tokenizer.decode(encoding.ids, ControlTokens::keep), text);
        ASSERT_EQ(encoding.ranges.size(), encoding.ids.size());
        int64_t at = 0;
        for (size_t i = 0; i < encoding.ids.size(); ++i) {
          const auto [begin, end] = encoding.ranges[i];
          ASSERT_EQ(begin, at);
          ASSERT_EQ(text.substr(begin, end - begin), tokenizer.bytes(encoding.ids[i]));
          at = end;
        }
        ASSERT_EQ(at, static_cast<int64_t>(text.size()));
      }
    }
  }
}

// As the tokenizers package does it: the neighbours of a dropped byte can merge.
TEST(Tokenizer, BytesWithoutATokenAreDropped) {
  TokenizerSpec spec = tiny_spec({{"a", "b"}});
  spec.tokens[4] = "unrelated";
  const Tokenizer tokenizer(spec);
  EXPECT_EQ(tokenizer.encode("\x04"), Ids{});
  const Encoding encoding = tokenizer.encode_with_ranges(
      "\x04"
      "a");
  EXPECT_EQ(encoding.ids, Ids{'a'});
  EXPECT_EQ(encoding.ranges, (std::vector<ByteRange>{{1, 2}}));
}

Tokenizer with_specials() {
  return Tokenizer(tiny_spec({}, {{"<s>", TokenType::control},            // 256
                                  {"<s>x", TokenType::control},           // 257
                                  {"x<", TokenType::user_defined},        // 258
                                  {"<unk>", TokenType::unknown},          // 259
                                  {"<hole>", TokenType::unused},          // 260
                                  {"\xE2\x82", TokenType::user_defined},  // 261: stands in no text
                                  {"", TokenType::control}}));            // 262
}

TEST(Tokenizer, SpecialTokensLeftmostThenLongest) {
  const Tokenizer tokenizer = with_specials();
  EXPECT_EQ(tokenizer.encode("<s>"), Ids{256});
  EXPECT_EQ(tokenizer.encode("<s>x"), Ids{257});
  EXPECT_EQ(tokenizer.encode("<s>x<s>"), (Ids{257, 256}));
  EXPECT_EQ(tokenizer.encode("x<s>"), (Ids{258, 's', '>'})) << "x< begins before <s>";
  EXPECT_EQ(tokenizer.encode("a<unk>"), (Ids{'a', 259}));
  EXPECT_EQ(tokenizer.encode("<s"), (Ids{'<', 's'}));
  EXPECT_EQ(tokenizer.encode("€"), (Ids{0xE2, 0x82, 0xAC}));
  EXPECT_EQ(tokenizer.encode("<hole>").size(), 6u);
}

TEST(Tokenizer, PlainTextNamesNoControlToken) {
  const Tokenizer tokenizer = with_specials();
  EXPECT_EQ(tokenizer.encode("<s>", SpecialText::plain), (Ids{'<', 's', '>'}));
  EXPECT_EQ(tokenizer.encode("<unk>", SpecialText::plain).size(), 5u);
  EXPECT_EQ(tokenizer.encode("ax<", SpecialText::plain), (Ids{'a', 258}));
}

TEST(Tokenizer, NoTextSpellsItsWayToAControlToken) {
  TokenizerSpec spec = tiny_spec({}, {{"ab", TokenType::control}}, "llama-bpe");
  spec.merges = {"a b"};
  const Tokenizer tokenizer(spec);
  EXPECT_EQ(tokenizer.encode("ab", SpecialText::plain), (Ids{'a', 'b'}));
  EXPECT_EQ(tokenizer.encode("ab"), Ids{256});
}

TEST(Tokenizer, AddsBeginAndEndOnce) {
  TokenizerSpec spec = tiny_spec({}, {{"<s>", TokenType::control}, {"</s>", TokenType::control}});
  spec.bos = 256;
  spec.eos = 257;
  EXPECT_EQ(Tokenizer(spec).encode("a"), Ids{'a'});
  spec.add_bos = true;
  EXPECT_EQ(Tokenizer(spec).encode("a"), (Ids{256, 'a'}));
  EXPECT_EQ(Tokenizer(spec).encode(""), Ids{256});
  EXPECT_EQ(Tokenizer(spec).encode("<s>a"), (Ids{256, 'a'}));
  EXPECT_EQ(Tokenizer(spec).encode("a<s>"), (Ids{256, 'a', 256}));
  EXPECT_EQ(Tokenizer(spec).encode("<s>", SpecialText::plain), (Ids{256, '<', 's', '>'}));
  spec.add_eos = true;
  const Encoding encoding = Tokenizer(spec).encode_with_ranges("a");
  EXPECT_EQ(encoding.ids, (Ids{256, 'a', 257}));
  EXPECT_EQ(encoding.ranges, (std::vector<ByteRange>{{0, 0}, {0, 1}, {1, 1}}));
  spec.add_bos.reset();
  spec.pre = "llama-bpe";
  EXPECT_EQ(Tokenizer(spec).encode("a").front(), 256) << "llama-bpe adds BOS if the file is silent";
}

TEST(Tokenizer, DecodesShowsAndFinds) {
  const Tokenizer tokenizer(
      tiny_spec({{" ", "a"}, {"\xE2", "\x82"}, {"a", "\xE2\x82"}},
                {{"<|im_end|>", TokenType::control}, {"Ġ ", TokenType::user_defined}}));
  EXPECT_EQ(tokenizer.size(), 261);
  EXPECT_EQ(tokenizer.display(256), " a");
  EXPECT_EQ(tokenizer.display(258), "a<0xE2><0x82>");
  EXPECT_EQ(tokenizer.display(259), "<|im_end|>");
  EXPECT_EQ(tokenizer.display(0xFF), "<0xFF>");
  EXPECT_EQ(tokenizer.bytes(258), "a\xE2\x82");
  EXPECT_EQ(tokenizer.bytes(260), "Ġ ") << "only normal tokens are in the byte alphabet";
  EXPECT_EQ(tokenizer.decode(Ids{258, 0xAC, 259, 256}), "a€ a");
  EXPECT_EQ(tokenizer.decode(Ids{258, 259}, ControlTokens::keep), "a\uFFFD<|im_end|>");
  EXPECT_EQ(tokenizer.decode(Ids{}), "");
  EXPECT_EQ(tokenizer.find("Ġa"), 256);
  EXPECT_EQ(tokenizer.find("<|im_end|>"), 259);
  EXPECT_EQ(tokenizer.find(" a"), std::nullopt);
  EXPECT_EQ(tokenizer.type(259), TokenType::control);
}

TEST(Tokenizer, KnowsTheEndsOfGeneration) {
  TokenizerSpec spec = tiny_spec({}, {{"<|im_end|>", TokenType::control},
                                      {"<end_of_turn>", TokenType::normal},
                                      {"<s>", TokenType::control}});
  spec.bos = 258;
  spec.eos = 7;
  spec.eot = 8;
  spec.eom = 9;
  const Tokenizer tokenizer(spec);
  const std::set<int32_t> ends = {7, 8, 9, 256, 257};
  for (int32_t id = -1; id <= tokenizer.size(); ++id)
    EXPECT_EQ(tokenizer.ends_generation(id), ends.contains(id)) << id;
}

// GGUF's "llama": ids 0 to 2 are <unk>, <s>, </s>, then come 256 bytes, then these.
TokenizerSpec scored_spec(const std::vector<std::pair<std::string, float>>& pieces) {
  TokenizerSpec spec{.model = "llama"};
  const auto add = [&](std::string text, TokenType type, float score) {
    spec.tokens.push_back(std::move(text));
    spec.types.push_back(type);
    spec.scores.push_back(score);
  };
  add("<unk>", TokenType::unknown, 0);
  add("<s>", TokenType::control, 0);
  add("</s>", TokenType::control, 0);
  for (int byte = 0; byte < 256; ++byte) {
    constexpr std::string_view kDigits = "0123456789ABCDEF";
    add(std::string("<0x") + kDigits[byte / 16] + kDigits[byte % 16] + ">", TokenType::byte, 0);
  }
  for (const auto& [text, score] : pieces) add(text, TokenType::normal, score);
  spec.bos = 1;
  spec.eos = 2;
  spec.unknown = 0;
  return spec;
}

TEST(Tokenizer, ScoresDriveSentencePieces) {
  const std::vector<std::pair<std::string, float>> kPieces = {
      {"\u2581", -9},  {"a", -9},  {"b", -9},        {"ab", -1},
      {"\u2581a", -2}, {"aa", -3}, {"\u2581aa", -3}, {"x\u00FF", -1}};
  const int32_t space = 259, b = 261, ab = 262, space_a = 263, aa = 264, space_aa = 265, x = 266;
  const Tokenizer tokenizer(scored_spec(kPieces));
  EXPECT_EQ(tokenizer.encode("ab"), (Ids{1, space, ab})) << "the highest score first";
  EXPECT_EQ(tokenizer.encode("a"), (Ids{1, space_a}));
  EXPECT_EQ(tokenizer.encode("aaaa"), (Ids{1, space_aa, aa})) << "of equals the leftmost";
  EXPECT_EQ(tokenizer.encode("x\u00FFb"), (Ids{1, space, x, b})) << "characters without a token";
  EXPECT_EQ(tokenizer.encode("x\u00E9"), (Ids{1, space, 3 + 'x', 3 + 0xC3, 3 + 0xA9}));
  EXPECT_EQ(tokenizer.encode("<s>a</s>a"), (Ids{1, space_a, 2, space_a})) << "BOS once";
  EXPECT_EQ(tokenizer.encode("<s>", SpecialText::plain).size(), 5u);
  const Encoding encoding = tokenizer.encode_with_ranges("\u00E9 ab");
  EXPECT_EQ(encoding.ids, (Ids{1, space, 3 + 0xC3, 3 + 0xA9, space, ab}));
  EXPECT_EQ(encoding.ranges.back(), (ByteRange{3, 5}));
  EXPECT_EQ(tokenizer.decode(encoding.ids), "\u00E9 ab");
  EXPECT_EQ(tokenizer.bytes(3 + 0xC3), "\xC3");
  EXPECT_EQ(tokenizer.bytes(space_a), " a");
  EXPECT_EQ(tokenizer.decode(Ids{3 + 0xC3, space_a}), "\uFFFD a");

  TokenizerSpec bare = scored_spec(kPieces);
  bare.add_space_prefix = bare.add_bos = false;
  EXPECT_EQ(Tokenizer(bare).encode("ab"), Ids{ab});
  EXPECT_EQ(Tokenizer(bare).decode(Ids{space_a}), " a");
  bare.scores.pop_back();
  EXPECT_THROW(Tokenizer{bare}, Error);
  // Much that merges, and nothing that does.
  for (const char* unit : {"a", "z", " "}) {
    std::string text;
    for (int i = 0; i < 1 << 18; ++i) text += unit;
    EXPECT_EQ(tokenizer.decode(tokenizer.encode(text)), text);
  }
}

// To take them for characters was to read bytes behind them; a sanitizer sees it.
TEST(Tokenizer, SentencePiecesMayBePartsOfCharacters) {
  for (const char* part : {"\xAE", "\xC3", "\xE2\x96", "\xF0\x9F", "\xC3\x28", "\xF8"}) {
    const Tokenizer tokenizer(scored_spec({{"\u2581", -9}, {"a", -1}, {part, -2}}));
    EXPECT_EQ(tokenizer.encode("a\u00AE"), (Ids{1, 259, 260, 3 + 0xC2, 3 + 0xAE})) << part;
    EXPECT_EQ(tokenizer.encode("a\u0028").size(), 4u) << part;
  }
}

TEST(Tokenizer, ThreadsShareOne) {
  Merges merges;
  for (char c = 'a'; c <= 'y'; ++c)
    merges.emplace_back(std::string(1, c), std::string(1, static_cast<char>(c + 1)));
  const Tokenizer tokenizer(tiny_spec(merges));
  std::mt19937_64 random(6);
  std::string text;
  for (int i = 0; i < 20'000; ++i)
    text += random() % 4 == 0 ? ' ' : static_cast<char>('a' + random() % 26);
  std::vector<Ids> results(4);
  std::vector<std::thread> threads;
  for (Ids& result : results) threads.emplace_back([&] { result = tokenizer.encode(text); });
  for (std::thread& thread : threads) thread.join();
  for (const Ids& result : results) EXPECT_EQ(result, results[0]);
  EXPECT_EQ(tokenizer.decode(results[0]), text);
}

template <class Call>
void expect_error(ErrorKind kind, std::string_view part, Call&& call) {
  try {
    call();
    ADD_FAILURE() << "no error that says " << part;
  } catch (const Error& error) {
    const std::string message = error.what();
    EXPECT_EQ(error.kind(), kind) << message;
    EXPECT_NE(message.find(part), std::string::npos) << message;
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
    EXPECT_LT(message.size(), 600u);
  }
}

TEST(Tokenizer, RefusesSpecsThatDoNotHoldTogether) {
  const auto refused = [](std::string_view part, auto&& change) {
    TokenizerSpec spec = tiny_spec({{"a", "b"}}, {{"<s>", TokenType::control}});
    change(spec);
    expect_error(ErrorKind::unreadable, part, [&] { Tokenizer tokenizer(spec); });
  };
  refused("supported: gpt2", [](TokenizerSpec& s) { s.model = "rwkv"; });
  refused("'a<0x0A>b'", [](TokenizerSpec& s) { s.model = "a\nb"; });
  refused("supported: gpt-2, ", [](TokenizerSpec& s) { s.pre = "default"; });
  refused("supported: gpt-2, ", [](TokenizerSpec& s) { s.pre = ""; });
  refused("empty", [](TokenizerSpec& s) { s.tokens.clear(), s.types.clear(); });
  refused("257 token types for 258 tokens", [](TokenizerSpec& s) { s.types.pop_back(); });
  refused("token 3 has type 9", [](TokenizerSpec& s) { s.types[3] = static_cast<TokenType>(9); });
  refused("token 3 has type 0", [](TokenizerSpec& s) { s.types[3] = static_cast<TokenType>(0); });
  refused("tokens 65 and 66 are both 'A'", [](TokenizerSpec& s) { s.tokens[66] = "A"; });
  refused("merge 1 ('a q') names 'aq'", [](TokenizerSpec& s) { s.merges.push_back("a q"); });
  refused("names '<0x07>'", [](TokenizerSpec& s) { s.merges.push_back("\a b"); });
  for (const char* merge : {"", " ", "ab", "a ", " b", "ab "})
    refused("not two tokens", [&](TokenizerSpec& s) { s.merges.push_back(merge); });
  refused("eos id 258", [](TokenizerSpec& s) { s.eos = 258; });
  refused("bos id -1", [](TokenizerSpec& s) { s.bos = -1; });
  refused("eot id", [](TokenizerSpec& s) { s.eot = 1 << 30; });
  refused("eom id", [](TokenizerSpec& s) { s.eom = 258; });
  refused("unknown id", [](TokenizerSpec& s) { s.unknown = 258; });
  refused("BOS is to be added", [](TokenizerSpec& s) { s.add_bos = true; });
  refused("EOS is to be added", [](TokenizerSpec& s) { s.add_eos = true; });
  refused("special token 257 has 1025 bytes",
          [](TokenizerSpec& s) { s.tokens[257] = std::string(1025, 'x'); });
}

TEST(Tokenizer, RefusesBadTextAndIds) {
  const Tokenizer tokenizer(tiny_spec());
  const auto kind = ErrorKind::invalid_argument;
  expect_error(kind, "not UTF-8 at byte 3 of 4", [&] { tokenizer.encode("abc\xFF"); });
  expect_error(kind, "not UTF-8 at byte 0 of 1", [&] { tokenizer.encode_with_ranges("\xE2"); });
  expect_error(kind, "id 256 is outside", [&] { tokenizer.decode(Ids{1, 256}); });
  expect_error(kind, "id -1 is outside", [&] { tokenizer.bytes(-1); });
  expect_error(kind, "of 256 tokens", [&] { tokenizer.display(1000); });
  expect_error(kind, "of 256 tokens", [&] { tokenizer.type(256); });
}

}  // namespace
}  // namespace regard
