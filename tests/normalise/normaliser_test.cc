// What each normaliser makes of a text, and where it says the bytes came from. The `tokenizers`
// package is asked in tests/text; these are the rules, small enough to work out by hand.
#include "normalise/normaliser.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "regard/error.h"
#include "unicode/random_text.h"

namespace regard::normalise {
namespace {

using unicode::NormalForm;

Aligned normalised(const Step& step, std::string_view text) {
  Aligned tracked(text, 0, Tracking::on), plain(text, 0, Tracking::off);
  step->apply(tracked);
  step->apply(plain);
  EXPECT_EQ(tracked.text, plain.text) << text;
  EXPECT_EQ(tracked.origins.size(), tracked.text.size());
  return tracked;
}

// "e:0-2 x:2-3": each character and where it came from.
std::string traced(const Step& step, std::string_view text) {
  const Aligned after = normalised(step, text);
  std::string out;
  const char* at = after.text.data();
  const char* const end = at + after.text.size();
  while (at != end) {
    const char* const first = at;
    unicode::read_character(at);
    const Origin origin = after.origins[static_cast<size_t>(first - after.text.data())];
    if (!out.empty()) out += ' ';
    out += std::string(first, at) + ':' + std::to_string(origin.begin) + '-' +
           std::to_string(origin.end);
  }
  return out;
}

TEST(Normaliser, FormsComposeAndDecompose) {
  EXPECT_EQ(traced(form(NormalForm::nfc), "xe\u0301y"), "x:0-1 \u00E9:1-2 y:4-5");
  EXPECT_EQ(traced(form(NormalForm::nfd), "x\u00E9y"), "x:0-1 e:1-3 \u0301:1-3 y:3-4");
  EXPECT_EQ(traced(form(NormalForm::nfkc), "\uFB01"), "f:0-3 i:0-3");
  EXPECT_EQ(traced(form(NormalForm::nfkd), "\u2460"), "1:0-3");
}

TEST(Normaliser, MarksCaseAndSpaces) {
  EXPECT_EQ(traced(strip_accents(), "e\u0301x"), "e:0-1 x:3-4");
  EXPECT_EQ(traced(lowercase(), "\u0130A\u00C9"), "i:0-2 \u0307:0-2 a:2-3 \u00E9:3-5");
  EXPECT_EQ(traced(strip(true, true), " \u00A0a b\n"), "a:3-4  :4-5 b:5-6");
  EXPECT_EQ(traced(strip(true, false), " a "), "a:1-2  :2-3");
  EXPECT_EQ(traced(strip(false, true), " a "), " :0-1 a:1-2");
  for (const bool left : {true, false}) EXPECT_EQ(traced(strip(left, !left), " \n"), "");
  EXPECT_EQ(traced(strip(false, false), " "), " :0-1");
  EXPECT_EQ(traced(nmt(), "a\x01\u200Bb\t"), "a:0-1  :2-5 b:5-6  :6-7");
}

TEST(Normaliser, PrependAndReplace) {
  EXPECT_EQ(traced(prepend("\u2581"), "ab"), "\u2581:0-1 a:0-1 b:1-2");
  EXPECT_EQ(traced(prepend("\u2581"), ""), "");
  EXPECT_EQ(traced(replace_text("``", "\""), "a```"), "a:0-1 \":2-3 `:3-4");
  EXPECT_EQ(traced(replace_regex(" {2,}", "\u2581"), "a   b c"),
            "a:0-1 \u2581:3-4 b:4-5  :5-6 c:6-7");
  EXPECT_EQ(traced(replace_regex("\\A +| +\\z", ""), "  a b "), "a:2-3  :3-4 b:4-5");
  EXPECT_EQ(traced(replace_regex("\\A\u2581", "xy"), "\u2581\u2581"), "x:0-3 y:0-3 \u2581:3-6");
  EXPECT_EQ(traced(replace_regex("\\.\\+", "!"), "a.+"), "a:0-1 !:2-3");
  EXPECT_EQ(traced(replace_regex("aa|a", "x"), "aaa"), "x:1-2 x:2-3");
}

TEST(Normaliser, RefusesPatternsThatItCannotMatch) {
  for (const char* regex : {"", "a*", "(a)", "[ab]", "a|", " +b", "ab+", "a{2}", "a{0,}",
                            "a{9999,}", "\\d", "\\", "a\\zb", "a{2,", "."})
    EXPECT_THROW(replace_regex(regex, ""), Error) << regex;
  EXPECT_THROW(replace_text("", "x"), Error);
  EXPECT_THROW(replace_text(std::string(257, 'a'), "x"), Error);
}

TEST(Normaliser, Bert) {
  EXPECT_EQ(traced(bert({}), "\u00C9\x01\n\u4E2D"), "e:0-2  :3-4  :4-7 \u4E2D:4-7  :4-7");
  EXPECT_EQ(traced(bert({.strip_accents = false}), "\u0130"), "i:0-2 \u0307:0-2");
  EXPECT_EQ(traced(bert({.strip_accents = false, .lowercase = false}), "\u00C9"), "\u00C9:0-2");
  EXPECT_EQ(traced(bert({.clean_text = false}), "\x01\n"), "\x01:0-1 \n:1-2");
  EXPECT_EQ(traced(bert({.handle_chinese_chars = false}), "\u4E2D"), "\u4E2D:0-3");
}

// A mark that is kept but may be moved makes the whole text go the long way, step by step.
TEST(Normaliser, BertInOnePassIsBertInSteps) {
  constexpr std::string_view kMoves = "x\U0001D165";
  std::mt19937_64 random(3);
  for (int choice = 0; choice < 8; ++choice) {
    const Step step = bert({(choice & 1) != 0, (choice & 2) != 0, true, (choice & 4) != 0});
    for (int i = 0; i < 200; ++i) {
      const std::string text = random_text(random, 20);
      const Aligned once = normalised(step, text);
      const Aligned steps = normalised(step, text + std::string(kMoves));
      ASSERT_EQ(once.text, steps.text.substr(0, once.text.size())) << text;
      ASSERT_EQ(steps.text.size(), once.text.size() + kMoves.size());
      for (size_t b = 0; b < once.origins.size(); ++b)
        ASSERT_EQ(once.origins[b], steps.origins[b]) << text;
    }
  }
}

TEST(Normaliser, CountsFromTheBeginningOfTheWholeText) {
  Aligned part("\u00E9x", 100, Tracking::on);
  sequence({})->apply(part);
  EXPECT_EQ(part.origin_of(0, 2), (ByteRange{100, 102}));
  EXPECT_EQ(part.origin_of(0, 3), (ByteRange{100, 103}));
}

TEST(Normaliser, TakesLinearTimeForHostileTexts) {
  std::string marks = "e", spaces;
  for (int i = 0; i < 100'000; ++i) marks += i % 2 == 0 ? "\u0301" : "\u0327";
  spaces.assign(300'000, ' ');
  std::vector<Step> steps;
  for (const NormalForm f : {NormalForm::nfkd, NormalForm::nfc}) steps.push_back(form(f));
  steps.push_back(replace_regex(" {2,}", " "));
  steps.push_back(replace_regex("\\A +| +\\z", ""));
  const Step all = sequence(std::move(steps));
  EXPECT_EQ(normalised(all, marks).text.size(), marks.size() - 1);  // e and a mark are \u0229
  EXPECT_EQ(normalised(all, spaces + "x" + spaces).text, "x");
}

}  // namespace
}  // namespace regard::normalise
