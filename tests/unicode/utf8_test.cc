#include "unicode/utf8.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

#include "unicode/random_text.h"

namespace regard::unicode {
namespace {

std::string well_formed(std::string_view bytes) {
  std::string out;
  if (append_well_formed(bytes, out) > 0) out += kReplacement;
  return out;
}

std::string replaced(std::string_view pattern) {  // ? stands for U+FFFD
  std::string out;
  for (const char c : pattern)
    if (c == '?')
      out += kReplacement;
    else
      out += c;
  return out;
}

// The Unicode Standard, tables 3-8 to 3-11, which Python's decoder follows.
TEST(Utf8, ReplacesMaximalSubpartsAsTheStandardShows) {
  EXPECT_EQ(well_formed("\xC0\xAF\xE0\x80\xBF\xF0\x81\x82\x41"), replaced("????????A"));
  EXPECT_EQ(well_formed("\xED\xA0\x80\xED\xBF\xBF\xED\xAF\x41"), replaced("????????A"));
  EXPECT_EQ(well_formed("\xF4\x91\x92\x93\xFF\x41\x80\xBF\x42"), replaced("?????A??B"));
  EXPECT_EQ(well_formed("\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41"), replaced("????A"));
}

TEST(Utf8, ReplacesACutCharacterOnce) {
  EXPECT_EQ(well_formed("a\xF0\x9F\x99"), replaced("a?"));
  EXPECT_EQ(well_formed("a\xE2\x82"), replaced("a?"));
  EXPECT_EQ(well_formed("a\xC3"), replaced("a?"));
}

TEST(Utf8, NamesTheFirstBadByte) {
  EXPECT_EQ(first_invalid_utf8(""), -1);
  EXPECT_EQ(first_invalid_utf8("Zażółć gęślą jaźń, 東京, 🚀"), -1);
  EXPECT_EQ(first_invalid_utf8("0123456789\xFF"), 10);
  EXPECT_EQ(first_invalid_utf8("é\x80"), 2);
  EXPECT_EQ(first_invalid_utf8("abc\xE2\x82"), 3);
  EXPECT_EQ(first_invalid_utf8("abc\xED\xA0\x80"), 3) << "a surrogate";
  EXPECT_EQ(first_invalid_utf8("abc\xF4\x90\x80\x80"), 3) << "beyond U+10FFFF";
  EXPECT_EQ(first_invalid_utf8(std::string_view("\0\0", 2)), -1);
}

TEST(Utf8, ReadsEveryCharacter) {
  for (char32_t c = 0; c < 0x110000; ++c) {
    if (c >= 0xD800 && c < 0xE000) continue;
    std::string text;
    append_utf8(text, c);
    const Utf8Step step = utf8_step(text);
    ASSERT_EQ(step.kind, Utf8Step::Kind::character) << static_cast<uint32_t>(c);
    ASSERT_EQ(static_cast<size_t>(step.length), text.size()) << static_cast<uint32_t>(c);
    const char* at = text.data();
    ASSERT_EQ(read_character(at), c);
    ASSERT_EQ(at, text.data() + text.size());
  }
}

// Whatever the bytes: the result is well formed, and bytes held back at a cut change nothing.
TEST(Utf8, PiecesAndWholeAgree) {
  std::mt19937_64 random(1);
  static constexpr char kBytes[] = "a\x80\xBF\xC3\xA9\xE0\xA0\xE2\xED\x9F\xF0\x90\xF4\x8F\xFF";
  for (int round = 0; round < 20'000; ++round) {
    std::string bytes;
    for (uint64_t i = random() % 12; i > 0; --i) bytes += kBytes[random() % (sizeof kBytes - 1)];
    const std::string whole = well_formed(bytes);
    ASSERT_EQ(first_invalid_utf8(whole), -1);
    ASSERT_EQ(whole == bytes, first_invalid_utf8(bytes) < 0);
    std::string pieces, held;
    for (const char c : bytes) {
      held += c;
      const int cut = append_well_formed(held, pieces);
      ASSERT_LE(cut, 3);
      held.erase(0, held.size() - static_cast<size_t>(cut));
    }
    if (!held.empty()) pieces += kReplacement;
    ASSERT_EQ(pieces, whole);
  }
}

}  // namespace
}  // namespace regard::unicode
