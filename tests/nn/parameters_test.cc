// Parameters by name, and the numbers that they begin with.
#include "nn/parameters.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "nn/make.h"
#include "tensor/tape.h"

namespace regard {
namespace {

using nn::Initial;

struct Moments {
  double mean = 0, deviation = 0, smallest = 1e30, largest = -1e30;
};

Moments moments(const Tensor& x) {
  Moments made;
  for (const float v : x.numbers<float>()) {
    made.mean += v / static_cast<double>(x.size());
    made.smallest = std::min<double>(made.smallest, v);
    made.largest = std::max<double>(made.largest, v);
  }
  for (const float v : x.numbers<float>()) {
    made.deviation += (v - made.mean) * (v - made.mean) / static_cast<double>(x.size());
  }
  made.deviation = std::sqrt(made.deviation);
  return made;
}

bool same(const Tensor& a, const Tensor& b) {
  return std::ranges::equal(a.numbers<float>(), b.numbers<float>());
}

TEST(Initial, HasTheMomentsThatItsNameSays) {
  const Initial initial{3};
  const Moments normal = moments(initial.normal("a", {500, 200}, 0.02));
  EXPECT_NEAR(normal.mean, 0, 3e-4);
  EXPECT_NEAR(normal.deviation, 0.02, 2e-4);
  EXPECT_GT(normal.largest, 0.07);  // the tails are there: four deviations and more
  EXPECT_LT(normal.smallest, -0.07);
  const Moments uniform = moments(initial.uniform("a", {500, 200}, 0.5));
  EXPECT_NEAR(uniform.deviation, 0.5 / std::sqrt(3.0), 2e-3);
  EXPECT_LE(uniform.largest, 0.5);
  EXPECT_GE(uniform.smallest, -0.5);
  const Moments xavier = moments(initial.xavier("a", {300, 100}));
  EXPECT_NEAR(xavier.deviation, std::sqrt(2.0 / 400), 1e-3);
}

TEST(Initial, DependsOnSeedAndNameAlone) {
  const Tensor one = Initial{3}.normal("blk.0.attn_q.weight", {7, 5}, 1);
  EXPECT_TRUE(same(one, Initial{3}.normal("blk.0.attn_q.weight", {7, 5}, 1)));
  EXPECT_FALSE(same(one, Initial{4}.normal("blk.0.attn_q.weight", {7, 5}, 1)));
  EXPECT_FALSE(same(one, Initial{3}.normal("blk.1.attn_q.weight", {7, 5}, 1)));
  // A longer tensor of the name begins with the same numbers.
  const Tensor longer = Initial{3}.normal("blk.0.attn_q.weight", {9, 5}, 1);
  EXPECT_TRUE(same(one, longer.rows(0, 7)));
  EXPECT_NE(nn::derived_seed(3, "dropout", 1), nn::derived_seed(3, "dropout", 2));
  EXPECT_NE(nn::derived_seed(3, "dropout", 1), nn::derived_seed(4, "dropout", 1));
}

TEST(Parameters, AreLeavesInTheOrderOfTheirMaking) {
  nn::Parameters parameters;
  const nn::Maker make{&parameters, {1}};
  const nn::Linear layer = make.linear("up", 6, 4);
  const nn::Norm norm = make.norm(nn::Norm::Kind::layer, "norm", 4);
  const nn::Embedding embedding = make.embedding("tokens", 10, 4);
  std::vector<std::string> names;
  std::vector<bool> decays;
  for (const nn::Parameter& one : parameters) {
    names.push_back(one.name);
    decays.push_back(one.decay);
    EXPECT_TRUE(one.leaf.tracked());
  }
  EXPECT_EQ(names, (std::vector<std::string>{"up.weight", "up.bias", "norm.weight", "norm.bias",
                                             "tokens.weight"}));
  EXPECT_EQ(decays, (std::vector<bool>{true, false, false, false, true}));
  EXPECT_EQ(parameters.numbers(), 24 + 6 + 4 + 4 + 40);
  EXPECT_EQ(parameters.get("up.weight").node(), layer.matrix.tensor.node());
  EXPECT_EQ(norm.gain.numbers<float>()[3], 1);
  EXPECT_EQ(embedding.table.outputs(), 10);
  EXPECT_THROW(make.linear("up", 6, 4), Error);
  EXPECT_THROW(parameters.get("down.weight"), Error);

  layer.matrix.tensor.node()->gradient = Tensor({6, 4});
  EXPECT_TRUE(parameters.get("up.weight").gradient());
  parameters.clear_gradients();
  EXPECT_FALSE(parameters.get("up.weight").gradient());
}

}  // namespace
}  // namespace regard
