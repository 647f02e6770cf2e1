#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "regard/error.h"
#include "regard/tokenizer.h"
#include "text/tiny_vocabulary.h"
#include "unicode/utf8.h"

namespace regard {
namespace {

constexpr int32_t kControl = 258;  // behind the bytes and two merges

Tokenizer tiny() {
  return Tokenizer(tiny_spec({{"\xC3", "\xA9"}, {"a", "\xE2"}},
                             {{"<|end|>", TokenType::control}, {"[é]", TokenType::user_defined}}));
}

TEST(StreamDecoder, GivesACharacterWhenItIsWhole) {
  StreamDecoder stream(tiny());
  EXPECT_EQ(stream.push('x'), "x");
  EXPECT_EQ(stream.push(0xF0), "");
  EXPECT_EQ(stream.push(0x9F), "");
  EXPECT_EQ(stream.push(0x99), "");
  EXPECT_EQ(stream.push(0x82), "🙂");
  EXPECT_EQ(stream.push(256), "é");
  EXPECT_EQ(stream.push(257), "a");  // holds back the E2 behind it
  EXPECT_EQ(stream.push(0x82), "");
  EXPECT_EQ(stream.push(0xAC), "€");
  EXPECT_EQ(stream.finish(), "");
}

TEST(StreamDecoder, GivesBrokenBytesAsReplacements) {
  StreamDecoder stream(tiny());
  EXPECT_EQ(stream.push(0xE2), "");
  EXPECT_EQ(stream.push('a'), "\uFFFDa");
  EXPECT_EQ(stream.push(0xFF), "\uFFFD");
  EXPECT_EQ(stream.push(0xE2), "");
  EXPECT_EQ(stream.push(0x82), "");
  EXPECT_EQ(stream.finish(), "\uFFFD");
  EXPECT_EQ(stream.finish(), "");
  EXPECT_EQ(stream.push(0x82), "\uFFFD") << "after finish, another text begins";
}

TEST(StreamDecoder, ControlTokensAreDroppedOrKept) {
  StreamDecoder dropping(tiny());
  EXPECT_EQ(dropping.push(0xC3), "");
  EXPECT_EQ(dropping.push(kControl), "");
  EXPECT_EQ(dropping.push(0xA9), "é");
  EXPECT_EQ(dropping.push(kControl + 1), "[é]");
  StreamDecoder keeping(tiny(), ControlTokens::keep);
  EXPECT_EQ(keeping.push(0xC3), "");
  EXPECT_EQ(keeping.push(kControl), "\uFFFD<|end|>");
}

TEST(StreamDecoder, PutTogetherIsDecode) {
  std::mt19937_64 random(3);
  const Tokenizer tokenizer = tiny();
  const std::vector<int32_t> telling = {'a',  0xC3, 0xA9, 0xE2, 0x82, 0xAC, 0xF0,
                                        0x9F, 0xED, 256,  257,  258,  259};
  for (int round = 0; round < 5'000; ++round) {
    std::vector<int32_t> ids;
    for (uint64_t i = random() % 16; i > 0; --i) ids.push_back(telling[random() % telling.size()]);
    for (const ControlTokens control : {ControlTokens::drop, ControlTokens::keep}) {
      StreamDecoder stream(tokenizer, control);
      std::string streamed;
      for (const int32_t id : ids) {
        const std::string piece = stream.push(id);
        ASSERT_EQ(unicode::first_invalid_utf8(piece), -1);
        streamed += piece;
      }
      ASSERT_EQ(streamed + stream.finish(), tokenizer.decode(ids, control));
    }
  }
}

TEST(StreamDecoder, RefusesIdsOutsideTheVocabulary) {
  StreamDecoder stream(tiny());
  EXPECT_THROW(stream.push(-1), Error);
  EXPECT_THROW(stream.push(260), Error);
}

}  // namespace
}  // namespace regard
