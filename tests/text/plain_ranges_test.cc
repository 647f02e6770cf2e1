// What a user said inside a text that a template wrote: no control token is found in it.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "regard/tokenizer.h"
#include "text/tiny_vocabulary.h"

namespace regard {
namespace {

using Ids = std::vector<int32_t>;

// <s> and <s><t> are control tokens, s> is always taken.
Tokenizer tokenizer() {
  return Tokenizer(tiny_spec({{"a", "b"}}, {{"<s>", TokenType::control},
                                            {"<s><t>", TokenType::control},
                                            {"s>", TokenType::user_defined}}));
}

Ids encode(std::string_view text, const std::vector<ByteRange>& plain) {
  return tokenizer().encode(text, {.plain = plain});
}

TEST(PlainRanges, ControlTokensOutsideCount) {
  const int32_t merged = 256, control = 257, longer = 258;
  EXPECT_EQ(encode("<s>ab", {}), (Ids{control, merged}));
  EXPECT_EQ(encode("<s>ab<s>", {{3, 5}}), (Ids{control, merged, control}));
  EXPECT_EQ(encode("<s><t>", {}), Ids{longer});
}

TEST(PlainRanges, ControlTokensThatTouchOneAreText) {
  const int32_t control = 257, always = 259;
  EXPECT_EQ(encode("<s><s>", {{3, 6}}), (Ids{control, '<', always}));
  EXPECT_EQ(encode("<s><s>", {{0, 3}}), (Ids{'<', always, control}));
  EXPECT_EQ(encode("<s>", {{1, 2}}), (Ids{'<', always}));
  EXPECT_EQ(encode("<s>", {{2, 3}}), (Ids{'<', always}));
  EXPECT_EQ(encode("<s>", {{0, 1}}), (Ids{'<', always}));
  EXPECT_EQ(encode("a<s>b", {{0, 1}, {4, 5}}), (Ids{'a', control, 'b'}));
  EXPECT_EQ(encode("<s><s><s>", {{3, 4}, {5, 6}}), (Ids{control, '<', always, control}));
}

TEST(PlainRanges, TextAcrossTheirBordersIsOneText) {
  EXPECT_EQ(encode("ab", {{0, 1}}), Ids{256}) << "a merge does not see the border";
  EXPECT_EQ(encode("ab", {{1, 2}}), Ids{256});
}

TEST(PlainRanges, EndsAreAddedUnlessNot) {
  TokenizerSpec spec = tiny_spec({}, {{"<s>", TokenType::control}, {"</s>", TokenType::control}});
  spec.bos = 256;
  spec.eos = 257;
  spec.add_bos = spec.add_eos = true;
  const Tokenizer ends(spec);
  EXPECT_EQ(ends.encode("a"), (Ids{256, 'a', 257}));
  EXPECT_EQ(ends.encode("a", {.add_ends = false}), Ids{'a'});
  EXPECT_EQ(ends.encode("<s>a", {.add_ends = false}), (Ids{256, 'a'}));
  const std::vector<ByteRange> all = {{0, 4}};
  EXPECT_EQ(ends.encode("<s>a", {.plain = all}), (Ids{256, '<', 's', '>', 'a', 257}));
}

TEST(PlainRanges, ManyRefusedTokensTakeLinearTime) {
  std::string text;
  for (int i = 0; i < 100'000; ++i) text += "<s>";
  const std::vector<ByteRange> all = {{0, std::ssize(text)}};
  EXPECT_EQ(encode(text, all).size(), 200'000u);
}

}  // namespace
}  // namespace regard
