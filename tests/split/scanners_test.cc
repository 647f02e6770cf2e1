#include "split/scanners.h"

#include <gtest/gtest.h>
#include <utf8proc.h>

#include <random>
#include <string>
#include <vector>

#include "unicode/classes.h"
#include "unicode/random_text.h"

namespace regard::split {
namespace {

using unicode::CharClass;

// The words with a bar between them.
std::string words(SplitRule rule, std::string_view text) {
  const WordScanner scan = word_scanner(rule);
  std::string shown;
  const char* const end = text.data() + text.size();
  for (const char* at = text.data(); at != end;) {
    const char* const behind = scan(at, end);
    if (!shown.empty()) shown += '|';
    shown.append(at, behind);
    at = behind;
  }
  return shown;
}

struct Example {
  std::string_view text;
  std::string_view gpt2, smollm, llama3, qwen2;
};

TEST(Split, CutsAsTheRegularExpressionsDo) {
  const Example examples[] = {
      {"Hello world", "Hello| world", "Hello| world", "Hello| world", "Hello| world"},
      // White space leaves its last character to what follows, if something does.
      {"a  b", "a| | b", "a| | b", "a| | b", "a| | b"},
      {"a   ", "a|   ", "a|   ", "a|   ", "a|   "},
      {"a\t\tb", "a|\t|\t|b", "a|\t|\t|b", "a|\t|\tb", "a|\t|\tb"},
      {"a\u3000\u3000b", "a|\u3000|\u3000|b", "a|\u3000|\u3000|b", "a|\u3000|\u3000b",
       "a|\u3000|\u3000b"},
      {"a\u00A0b", "a|\u00A0|b", "a|\u00A0|b", "a|\u00A0b", "a|\u00A0b"},
      {"a\u200Bb", "a|\u200B|b", "a|\u200B|b", "a|\u200Bb", "a|\u200Bb"},  // not white space
      {" \n \n  x", " \n \n | x", " \n \n | x", " \n \n| | x", " \n \n| | x"},
      {"x \r\n", "x| \r\n", "x| \r\n", "x| \r\n", "x| \r\n"},
      {"\n\n", "\n\n", "\n\n", "\n\n", "\n\n"},
      {"\na", "\n|a", "\n|a", "\n|a", "\n|a"},
      // A digit takes the space before it, or stands alone.
      {"a 1", "a| 1", "a| |1", "a| |1", "a| |1"},
      {"a  1", "a| | 1", "a|  |1", "a| | |1", "a| | |1"},
      {"12345x²", "12345|x|²", "1|2|3|4|5|x|²", "123|45|x|²", "1|2|3|4|5|x|²"},
      {"Ⅷ½七", "Ⅷ½|七", "Ⅷ|½|七", "Ⅷ½|七", "Ⅷ|½|七"},
      // Contractions, the case of letters, and U+017F, which folds to s.
      {"it's", "it|'s", "it|'s", "it|'s", "it|'s"},
      {"IT'S", "IT|'|S", "IT|'|S", "IT|'S", "IT|'S"},
      {"it'ſ", "it|'|ſ", "it|'|ſ", "it|'ſ", "it|'ſ"},
      {"we'RE", "we|'|RE", "we|'|RE", "we|'RE", "we|'RE"},
      {"we'llx", "we|'ll|x", "we|'ll|x", "we|'ll|x", "we|'ll|x"},
      {"we'lx", "we|'|lx", "we|'|lx", "we|'lx", "we|'lx"},
      {"'sun", "'s|un", "'s|un", "'s|un", "'s|un"},
      {" 's", " '|s", " '|s", " '|s", " '|s"},
      {"''s", "''|s", "''|s", "''|s", "''|s"},
      {"'", "'", "'", "'", "'"},
      {"x'r", "x|'|r", "x|'|r", "x|'r", "x|'r"},
      // Punctuation takes the line end behind it, or the letters do.
      {"a!\nb", "a|!|\n|b", "a|!|\n|b", "a|!\n|b", "a|!\n|b"},
      {"a !!\r\n\nb", "a| !!|\r\n|\n|b", "a| !!|\r\n|\n|b", "a| !!\r\n\n|b", "a| !!\r\n\n|b"},
      {"(a)", "(|a|)", "(|a|)", "(a|)", "(a|)"},
      {"!!a", "!!|a", "!!|a", "!!|a", "!!|a"},
      {"e\u0301", "e|\u0301", "e|\u0301", "e|\u0301", "e|\u0301"},
      {"👩\u200D👧 x", "👩\u200D👧| x", "👩\u200D👧| x", "👩\u200D👧| x", "👩\u200D👧| x"},
  };
  for (const Example& e : examples) {
    EXPECT_EQ(words(SplitRule::gpt2, e.text), e.gpt2) << "gpt2 " << e.text;
    EXPECT_EQ(words(SplitRule::smollm, e.text), e.smollm) << "smollm " << e.text;
    EXPECT_EQ(words(SplitRule::llama3, e.text), e.llama3) << "llama3 " << e.text;
    EXPECT_EQ(words(SplitRule::qwen2, e.text), e.qwen2) << "qwen2 " << e.text;
  }
}

TEST(Split, WordsEndBetweenCharactersInsideTheText) {
  std::mt19937_64 random(2);
  for (int round = 0; round < 4'000; ++round) {
    const std::string text = random_text(random, static_cast<int>(random() % 20) + 1);
    for (const SplitRule rule :
         {SplitRule::gpt2, SplitRule::smollm, SplitRule::llama3, SplitRule::qwen2}) {
      const char* const end = text.data() + text.size();
      for (const char* at = text.data(); at != end;) {
        const char* const behind = word_scanner(rule)(at, end);
        ASSERT_GT(behind, at);
        ASSERT_LE(behind, end);
        ASSERT_TRUE(behind == end || (*behind & 0xC0) != 0x80) << text;
        at = behind;
      }
    }
  }
}

TEST(Split, ClassesFollowTheCategories) {
  int spaces = 0;
  for (char32_t c = 0; c < 0x110000; ++c) {
    const CharClass is =
        c < 0x10000 ? unicode::basic_plane_classes()[c] : unicode::class_beyond_basic_plane(c);
    const char* category = utf8proc_category_string(static_cast<utf8proc_int32_t>(c));
    ASSERT_EQ(is == CharClass::letter, category[0] == 'L') << static_cast<uint32_t>(c);
    ASSERT_EQ(is == CharClass::number, category[0] == 'N') << static_cast<uint32_t>(c);
    ASSERT_TRUE(category[0] != 'Z' || is == CharClass::space) << static_cast<uint32_t>(c);
    spaces += is == CharClass::space;
  }
  EXPECT_EQ(spaces, 25) << "the characters with White_Space since Unicode 6.3";
}

TEST(Split, KnowsTheNamesOfRules) {
  EXPECT_EQ(find_pre_tokenizer("gpt-2")->rule, SplitRule::gpt2);
  EXPECT_EQ(find_pre_tokenizer("starcoder")->rule, SplitRule::smollm);
  EXPECT_EQ(find_pre_tokenizer("deepseek-r1-qwen")->rule, SplitRule::qwen2);
  EXPECT_FALSE(find_pre_tokenizer("qwen2")->ignore_merges);
  EXPECT_EQ(find_pre_tokenizer("llama3")->rule, SplitRule::llama3);
  EXPECT_TRUE(find_pre_tokenizer("llama-bpe")->ignore_merges);
  EXPECT_TRUE(find_pre_tokenizer("llama-bpe")->add_bos);
  EXPECT_FALSE(find_pre_tokenizer("default"));
  EXPECT_FALSE(find_pre_tokenizer(""));
}

}  // namespace
}  // namespace regard::split
