#include "normalise/charsmap.h"

#include <gtest/gtest.h>

#include <string>

#include "normalise/charsmap_maker.h"
#include "normalise/normaliser.h"
#include "regard/error.h"

namespace regard::normalise {
namespace {

const std::map<std::string, std::string> kPairs = {
    {"\n", " "},           {"\r\n", " "},  {"\uFF21", "A"}, {"\u2460", "(1)"},
    {"e\u0301", "\u00E9"}, {"\u200B", ""}, {"\u00AD", ""}};

std::string error_of(const std::string& bytes) {
  try {
    Charsmap map(bytes);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::unreadable);
    return error.what();
  }
  return "none";
}

TEST(Charsmap, FindsTheShortestSequence) {
  const Charsmap map(CharsmapMaker(kPairs).bytes());
  EXPECT_EQ(map.find("\uFF21x"), "A");
  EXPECT_EQ(map.find("e\u0301"), "\u00E9");
  EXPECT_EQ(map.find("\u200B"), "");
  for (const char* text : {"e", "e\u0302", "x", "", "\r", "\xEF\xBC"})
    EXPECT_EQ(map.find(text), std::nullopt) << text;
  EXPECT_EQ(Charsmap(CharsmapMaker({{"a", "1"}, {"ab", "2"}}).bytes()).find("ab"), "1");
}

TEST(Charsmap, RewritesClustersThenCharacters) {
  const Step step = precompiled(CharsmapMaker(kPairs).bytes());
  const auto rewritten = [&](std::string_view text) {
    Aligned aligned(text, 0, Tracking::on);
    step->apply(aligned);
    std::string out = aligned.text + " ";
    for (const Origin& origin : aligned.origins) out += std::to_string(origin.begin);
    return out;
  };
  EXPECT_EQ(rewritten("x\r\ny"), "x y 013");
  EXPECT_EQ(rewritten("\uFF21e\u0301z"), "A\u00E9z 0336");
  EXPECT_EQ(rewritten("\u2460z"), "(1)z 0003");
  EXPECT_EQ(rewritten("a\u200Bz"), "az 04");
  // The package's slip, kept so that ranges agree: what goes at the beginning leaves its place.
  EXPECT_EQ(rewritten("\u200Bz"), "z 0");
  EXPECT_EQ(rewritten("plain"), "plain 01234");
}

TEST(Charsmap, RefusesWhatDoesNotHoldTogether) {
  const std::string good = CharsmapMaker(kPairs).bytes();
  EXPECT_EQ(error_of(good), "none");
  EXPECT_EQ(error_of("abc"), "precompiled_charsmap: 3 bytes, less than 4");
  EXPECT_EQ(error_of(CharsmapMaker::u32(0)), "precompiled_charsmap: a trie of 0 bytes in 0 bytes");
  EXPECT_EQ(error_of(CharsmapMaker::u32(0xFFFFFFFC) + "abcd"),
            "precompiled_charsmap: a trie of 4294967292 bytes in 4 bytes");
  EXPECT_EQ(error_of(CharsmapMaker::u32(3) + "abc"),
            "precompiled_charsmap: a trie of 3 bytes in 3 bytes");
  EXPECT_EQ(error_of(good + "\xFF"),
            "precompiled_charsmap: the replacements are not UTF-8 at byte 15");
  EXPECT_EQ(error_of(CharsmapMaker::u32(4) + CharsmapMaker::u32(1u << 8 | 9u << 10)),
            "precompiled_charsmap: unit 0 points to 9, behind the last of 1");
  EXPECT_EQ(error_of(CharsmapMaker::u32(8) + CharsmapMaker::u32(1u << 8 | 1u << 10) +
                     CharsmapMaker::u32(1u << 31 | 1) + "\u00E9"),
            "precompiled_charsmap: unit 0 has the value 1, no place of a character in 2 bytes");
}

// Any units at all: a search ends inside the array, whatever they point to.
TEST(Charsmap, SearchesStayInside) {
  std::string bytes = CharsmapMaker::u32(4 * 64);
  for (uint32_t i = 0; i < 64; ++i) bytes += CharsmapMaker::u32((i * 2654435761u) & ~(1u << 8));
  const Charsmap map(bytes);
  for (int a = 1; a < 256; ++a)
    for (int b = 1; b < 256; ++b)
      EXPECT_EQ(map.find(std::string{static_cast<char>(a), static_cast<char>(b)}), std::nullopt);
}

}  // namespace
}  // namespace regard::normalise
