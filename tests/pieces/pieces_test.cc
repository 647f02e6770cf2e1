// Trie, WordPieces and Unigram against the plainest way to compute the same.
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <map>
#include <random>
#include <string>

#include "pieces/trie.h"
#include "pieces/unigram.h"
#include "pieces/word_pieces.h"
#include "regard/error.h"

namespace regard::pieces {
namespace {

std::string random_word(std::mt19937_64& random, size_t longest, std::string_view letters) {
  std::string word;
  for (size_t i = random() % longest + 1; i > 0; --i) word += letters[random() % letters.size()];
  return word;
}

std::vector<Trie::Key> keys_of(const std::vector<std::string>& tokens) {
  std::vector<Trie::Key> keys;
  for (const std::string& token : tokens)
    keys.push_back({token, static_cast<int32_t>(keys.size())});
  return keys;
}

std::string shown(const std::vector<Piece>& pieces) {
  std::string out;
  for (const Piece& piece : pieces)
    out += std::to_string(piece.id) + "@" + std::to_string(piece.begin) + "-" +
           std::to_string(piece.end) + " ";
  return out;
}

TEST(Trie, KnowsItsKeysAndNoOthers) {
  std::mt19937_64 random(1);
  std::string any;
  for (int byte = 0; byte < 256; ++byte) any += static_cast<char>(byte);
  for (const std::string_view letters : {std::string_view("ab"), std::string_view(any)}) {
    std::vector<std::string> tokens;
    std::map<std::string, int32_t> expected;
    for (int i = 0; i < 3000; ++i) {
      tokens.push_back(random_word(random, 8, letters));
      expected[tokens.back()] = i;  // the last of equals
    }
    const Trie trie(keys_of(tokens));
    for (int i = 0; i < 20'000; ++i) {
      const std::string word =
          i < 3000 ? tokens[static_cast<size_t>(i)] : random_word(random, 8, letters);
      Trie::Node node = Trie::kRoot;
      const int32_t found = trie.walk(node, word) ? trie.value(node) : Trie::kNone;
      ASSERT_EQ(found, expected.contains(word) ? expected[word] : Trie::kNone);
    }
  }
  const Trie empty({{"", 3}});
  Trie::Node node = Trie::kRoot;
  for (int byte = 0; byte < 256; ++byte) EXPECT_FALSE(empty.step(node, static_cast<char>(byte)));
  EXPECT_EQ(empty.value(node), Trie::kNone);
}

std::vector<Piece> naive_word_pieces(const std::vector<std::string>& tokens,
                                     const std::string& word) {
  std::vector<Piece> pieces;
  for (size_t begin = 0; begin < word.size();) {
    size_t end = word.size();
    for (; end > begin; --end) {
      const std::string part = (begin > 0 ? "##" : "") + word.substr(begin, end - begin);
      const auto found = std::find(tokens.begin(), tokens.end(), part);
      if (found == tokens.end()) continue;
      pieces.push_back({static_cast<int32_t>(found - tokens.begin()), static_cast<int32_t>(begin),
                        static_cast<int32_t>(end)});
      break;
    }
    if (end == begin) return {{0, 0, static_cast<int32_t>(word.size())}};
    begin = end;
  }
  return pieces;
}

TEST(WordPieces, TakeTheLongestEachTime) {
  std::mt19937_64 random(2);
  for (int round = 0; round < 200; ++round) {
    std::vector<std::string> tokens = {"[UNK]"};
    for (int i = 0; i < 12; ++i) {
      std::string token = (random() % 2 == 0 ? "##" : "") + random_word(random, 3, "ab#");
      if (std::find(tokens.begin(), tokens.end(), token) == tokens.end()) tokens.push_back(token);
    }
    std::vector<Trie::Key> keys = keys_of(tokens);
    keys.erase(keys.begin());
    const WordPieces words(keys, {});
    for (int i = 0; i < 50; ++i) {
      const std::string word = random_word(random, 8, "aaabbb#");
      std::vector<Piece> pieces;
      words.encode(word, pieces);
      ASSERT_EQ(shown(pieces), shown(naive_word_pieces(tokens, word))) << word;
    }
  }
}

TEST(WordPieces, LongWordsAndOtherPrefixes) {
  const std::vector<std::string> tokens = {"?", "a", "@a", "\u00E9"};
  const WordPieces words(keys_of(tokens), {.prefix = "@", .unknown = 0, .longest_word = 3});
  const auto encoded = [&](std::string_view word) {
    std::vector<Piece> pieces = {{7, 0, 0}};  // what is there stays
    words.encode(word, pieces);
    return shown(pieces);
  };
  EXPECT_EQ(encoded("aaa"), "7@0-0 1@0-1 2@1-2 2@2-3 ");
  EXPECT_EQ(encoded("aaaa"), "7@0-0 0@0-4 ");
  EXPECT_EQ(encoded("\u00E9aa"), "7@0-0 3@0-2 2@2-3 2@3-4 ");  // three characters in four bytes
  EXPECT_EQ(encoded("ab"), "7@0-0 0@0-2 ");
  const WordPieces whole({{"a", 1}}, {.prefix = "##", .unknown = 0});  // no token continues
  std::vector<Piece> pieces;
  whole.encode("a", pieces);
  whole.encode("aa", pieces);
  EXPECT_EQ(shown(pieces), "1@0-1 0@0-2 ");
}

// The best score over all ways to cut a word.
double best_score(const std::vector<std::string>& tokens, const std::vector<double>& scores,
                  double unknown, std::string_view word) {
  if (word.empty()) return 0;
  double best = -std::numeric_limits<double>::infinity();
  bool covered = false;
  for (size_t i = 1; i < tokens.size(); ++i) {
    if (!word.starts_with(tokens[i])) continue;
    covered |= tokens[i].size() == 1;
    best = std::max(best,
                    scores[i] + best_score(tokens, scores, unknown, word.substr(tokens[i].size())));
  }
  if (!covered)
    best = std::max(best, unknown + best_score(tokens, scores, unknown, word.substr(1)));
  return best;
}

TEST(Unigram, FindsTheBestCover) {
  std::mt19937_64 random(3);
  for (int round = 0; round < 100; ++round) {
    std::vector<std::string> tokens = {"<unk>"};
    std::vector<double> scores = {0};
    while (tokens.size() < 8) {
      const std::string token = random_word(random, 3, "abc");
      if (std::find(tokens.begin(), tokens.end(), token) != tokens.end()) continue;
      tokens.push_back(token);
      scores.push_back(-static_cast<double>(random() % 1000) / 100);
    }
    const double unknown = *std::min_element(scores.begin(), scores.end()) - 10;
    std::vector<Trie::Key> keys = keys_of(tokens);
    keys.erase(keys.begin());
    const Unigram unigram(keys, scores, {});
    for (int i = 0; i < 30; ++i) {
      const std::string word = random_word(random, 8, "abcd");
      std::vector<Piece> pieces;
      unigram.encode(word, pieces);
      double score = 0;
      int32_t at = 0;
      for (const Piece& piece : pieces) {
        ASSERT_EQ(piece.begin, at);
        at = piece.end;
        score += piece.id == 0 ? unknown * (piece.end - piece.begin)
                               : scores[static_cast<size_t>(piece.id)];
      }
      ASSERT_EQ(at, static_cast<int32_t>(word.size()));
      ASSERT_NEAR(score, best_score(tokens, scores, unknown, word), 1e-9) << word;
    }
  }
}

TEST(Unigram, UnknownStretchesAreOnePieceOrTheirBytes) {
  const std::vector<std::string> tokens = {"<unk>", "a"};
  const std::vector<double> scores = {0, -1};
  const auto encoded = [&](const Unigram::Options& options, std::string_view word) {
    std::vector<Piece> pieces;
    Unigram(keys_of(tokens), scores, options).encode(word, pieces);
    return shown(pieces);
  };
  EXPECT_EQ(encoded({}, "a\u00E9xa"), "1@0-1 0@1-4 1@4-5 ");
  std::vector<int32_t> bytes(256, -1);
  bytes['x'] = 300;
  EXPECT_EQ(encoded({.bytes = bytes}, "axxa"), "1@0-1 300@1-3 300@1-3 1@3-4 ");
  EXPECT_EQ(encoded({.bytes = bytes}, "axya"), "1@0-1 0@1-3 1@3-4 ");
  EXPECT_EQ(encoded({}, "<unk>a"), "0@0-5 1@5-6 ");
  EXPECT_EQ(encoded({}, std::string(1000, 'x')), "0@0-1000 ");
  EXPECT_EQ(encoded({}, ""), "");
  EXPECT_THROW(Unigram({}, {0, std::numeric_limits<double>::quiet_NaN()}, {}), Error);
}

}  // namespace
}  // namespace regard::pieces
