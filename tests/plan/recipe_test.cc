// What options ask for, taken apart: defaults, the split of the mask, refusals.
#include "plan/recipe.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "plan/expect_error.h"

namespace regard {
namespace {

using namespace regard::testing;
using namespace regard::program;

Array reals(const char* name, std::vector<int64_t> shape) {
  int64_t count = 1;
  for (const int64_t extent : shape) count *= extent;
  return Array::of(name, std::vector<float>(static_cast<std::size_t>(count)), shape);
}

TEST(Recipe, EverySimilarityHasItsDefaultScale) {
  const auto scale = [](const Similarity& similarity) {
    return make_recipe({.similarity = similarity}, 3, 16, 16).scale;
  };
  EXPECT_EQ(scale(dot()), 0.25f);
  EXPECT_EQ(scale(cosine()), 1.0f);
  EXPECT_EQ(scale(negative_distance()), 0.125f);
  EXPECT_EQ(scale(additive(reals("v", {16}))), 1.0f);
  EXPECT_EQ(make_recipe({.similarity = bilinear(reals("w", {16, 4}))}, 3, 16, 4).scale, 0.5f);
  EXPECT_EQ(make_recipe({}, 3, 0, 0).scale, 1.0f);
  EXPECT_EQ(make_recipe({.scale = -2.0f}, 3, 16, 16).scale, -2.0f);
  EXPECT_EQ(make_recipe({.scale = 0.0f}, 3, 16, 16).scale, 0.0f);
}

TEST(Recipe, TheMaskIsABandAndARest) {
  const Recipe plain = make_recipe({.mask = causal_mask() & window(255, 0)}, 1, 8, 8);
  EXPECT_TRUE(plain.mask.empty());
  EXPECT_EQ(plain.band.keys_of(1000, 0, 2000).first, 745);
  EXPECT_EQ(plain.band.keys_of(1000, 0, 2000).end, 1001);
  const Recipe mixed = make_recipe({.mask = causal_mask() & dilated(2)}, 1, 8, 8);
  EXPECT_EQ(to_string(mixed.mask), to_string(dilated(2)));
  EXPECT_EQ(mixed.band.keys_of(7, 0, 2000).end, 8);
}

TEST(Recipe, TheSigmoidsBiasIsPartOfTheScore) {
  EXPECT_TRUE(make_recipe({.normaliser = sigmoid()}, 1, 8, 8).score.empty());
  const Recipe biased =
      make_recipe({.score = softcap(30.0f), .normaliser = sigmoid(-2.0f)}, 1, 8, 8);
  EXPECT_DOUBLE_EQ(evaluate(biased.score, {.s = 3}), 30 * std::tanh(0.1) - 2);
}

TEST(Recipe, RefusalsNameTheRuleAndTheNumbers) {
  const auto make = [](const AttentionOptions& options, int64_t dim_k = 8) {
    return [=] { make_recipe(options, 4, 8, dim_k); };
  };
  expect_error(make({.mask = key()}), "mask is a number");
  expect_error(make({.score = key() < 3}), "score is boolean");
  expect_error(make({.weight = key() < 3}), "weight is boolean");
  expect_error(make({.scale = std::numeric_limits<float>::quiet_NaN()}), "scale (nan)");
  expect_error(make({.scale = std::numeric_limits<float>::infinity()}), "scale (inf)");
  expect_error(make({.threads = 1025}), "threads (1025)");
  expect_error(make({}, 7), "k has dim 7, q has 8");
  expect_error(make({.normaliser = softmax_with_sink(reals("sinks", {3}))}),
               "sinks has 3 sinks for 4 heads, must have 1 or 4");
  Normaliser two = relu();
  two.sinks = reals("sinks", {4});
  expect_error(make({.normaliser = two}), "only softmax has sinks");
  expect_error(make({.normaliser = {.kind = Normaliser::Kind::gumbel, .temperature = 0}}),
               "temperature (0)");
  expect_error(make({.similarity = bilinear(reals("w", {7, 8}))}), "w of bilinear has 7 rows");
  expect_error(make({.similarity = bilinear(reals("w", {8, 7}))}),
               "w of bilinear has 7 numbers a row, k has dim 8");
  expect_error(make({.similarity = bilinear(reals("w", {3, 8, 8}))}), "for 3 heads, q has 4");
  expect_error(make({.similarity = additive(reals("v", {9}))}), "v of additive has 9 numbers");
  expect_error(make({.similarity = {.kind = Similarity::Kind::additive}}), "has no parameters");
}

}  // namespace
}  // namespace regard
