#include "runtime/stop_strings.h"

#include <gtest/gtest.h>

#include <random>

#include "regard/error.h"

namespace regard {
namespace {

struct Shown {
  std::string text;
  bool stopped = false;
};

Shown feed(const std::vector<std::string>& stops, const std::vector<std::string>& pieces) {
  StopStrings filter(stops);
  Shown shown;
  for (const std::string& piece : pieces) {
    if (filter.push(piece, shown.text)) {
      shown.stopped = true;
      return shown;
    }
  }
  filter.finish(shown.text);
  return shown;
}

TEST(StopStrings, EndsBeforeAStopStringThatTokensCut) {
  const Shown shown = feed({"END"}, {"a", "bE", "N", "Dc"});
  EXPECT_EQ(shown.text, "ab");
  EXPECT_TRUE(shown.stopped);
}

TEST(StopStrings, HoldsBackOnlyWhatCouldBecomeOne) {
  StopStrings filter({"END"});
  std::string shown;
  EXPECT_FALSE(filter.push("abEN", shown));
  EXPECT_EQ(shown, "ab");
  EXPECT_FALSE(filter.push("x", shown));
  EXPECT_EQ(shown, "abENx");
}

TEST(StopStrings, ShowsWhatWasHeldWhenTheTextEnds) {
  EXPECT_EQ(feed({"END"}, {"abE", "N"}).text, "abEN");
}

TEST(StopStrings, TheFirstToBeCompleteWins) {
  EXPECT_EQ(feed({"late", "a"}, {"xyalate"}).text, "xy");
  EXPECT_EQ(feed({"abab", "b"}, {"abab"}).text, "a");
  EXPECT_EQ(feed({"b", "ab"}, {"xab"}).text, "x");
  EXPECT_EQ(feed({"abab"}, {"abaabab"}).text, "aba");
}

TEST(StopStrings, WithoutAnyEverythingPasses) { EXPECT_EQ(feed({}, {"a", "", "b"}).text, "ab"); }

TEST(StopStrings, RefusesAnEmptyOne) { EXPECT_THROW(StopStrings({"a", ""}), Error); }

// Where the text ends: before the longest of the stop strings that are complete first.
std::size_t end_of(const std::string& whole, const std::vector<std::string>& stops) {
  for (std::size_t end = 1; end <= whole.size(); ++end) {
    std::size_t longest = 0;
    for (const std::string& stop : stops) {
      if (whole.substr(0, end).ends_with(stop)) longest = std::max(longest, stop.size());
    }
    if (longest > 0) return end - longest;
  }
  return std::string::npos;
}

// Over random texts, cuts and stop strings of a small alphabet: the cuts do not matter.
TEST(StopStrings, EqualsSearchingTheWholeText) {
  std::mt19937 random(1);
  const auto word = [&](int most) {
    std::string text;
    for (int length = 1 + static_cast<int>(random() % most); length > 0; --length) {
      text += static_cast<char>('a' + random() % 2);
    }
    return text;
  };
  for (int round = 0; round < 3000; ++round) {
    const std::vector<std::string> stops{word(4), word(6)};
    std::vector<std::string> pieces;
    std::string whole;
    for (int count = 0; count < 6; ++count) whole += pieces.emplace_back(word(4));
    const std::size_t end = end_of(whole, stops);
    const Shown shown = feed(stops, pieces);
    EXPECT_EQ(shown.text, whole.substr(0, end));
    EXPECT_EQ(shown.stopped, end != std::string::npos);
  }
}

}  // namespace
}  // namespace regard
