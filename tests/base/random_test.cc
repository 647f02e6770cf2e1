#include "base/random.h"

#include <gtest/gtest.h>

#include <set>

namespace regard {
namespace {

// The known answers that the authors of Philox publish (Random123, kat_vectors).
TEST(Philox, GivesThePublishedAnswers) {
  using Words = std::array<uint32_t, 4>;
  EXPECT_EQ(philox({0, 0, 0, 0}, 0), (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox({~0u, ~0u, ~0u, ~0u}, ~uint64_t{0}),
            (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, 0x299f31d0'a4093822),
            (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Uniform, FillsTheUnitInterval) {
  double sum = 0;
  std::set<double> seen;
  for (uint64_t position = 0; position < 10000; ++position) {
    const double u = uniform(7, position);
    ASSERT_GE(u, 0.0);
    ASSERT_LT(u, 1.0);
    sum += u;
    seen.insert(u);
  }
  EXPECT_NEAR(sum / 10000, 0.5, 0.012);  // four standard errors
  EXPECT_EQ(seen.size(), 10000u);
}

TEST(Uniform, DependsOnAllOfSeedAndPosition) {
  EXPECT_NE(uniform(1, 5), uniform(2, 5));
  EXPECT_NE(uniform(1, 5), uniform(1 + (uint64_t{1} << 32), 5));
  EXPECT_NE(uniform(1, 5), uniform(1, 5 + (uint64_t{1} << 32)));
}

}  // namespace
}  // namespace regard
