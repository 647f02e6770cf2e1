// Operations that move rows and columns: their numbers, their gradients, what they refuse.
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <vector>

#include "ops/gradient_check.h"
#include "ops/ops.h"

namespace regard {
namespace {

std::vector<double> all(const Tensor& x) {
  if (x.dtype() == DType::f64) {
    return {x.numbers<double>().begin(), x.numbers<double>().end()};
  }
  return {x.numbers<float>().begin(), x.numbers<float>().end()};
}

Tensor counted(Tensor::Extents shape) {
  Tensor made(shape, DType::f64);
  std::iota(made.writable_numbers<double>().begin(), made.writable_numbers<double>().end(), 0.0);
  return made;
}

TEST(Gather, AddsGradientsInTheOrderOfIndices) {
  const std::vector<int64_t> few{2, 0, 2, 2};
  EXPECT_TRUE(
      check_gradients([&](auto in) { return gather(in[0], few); }, {random_f64({4, 3}, 1)}));
  std::vector<int64_t> many;
  std::vector<int32_t> ids;
  for (int64_t i = 0; i < 500; ++i) {
    many.push_back(i * i % 37);
    ids.push_back(static_cast<int32_t>(i * i % 37));
  }
  EXPECT_TRUE(check_f32([&](auto in) { return gather(in[0], many); }, {random_f64({40, 150}, 1)}));
  EXPECT_TRUE(
      check_f32([&](auto in) { return embedding(in[0], ids); }, {random_f64({40, 150}, 1)}));
  // In f32 the order shows: 1e8 + 1 - 1e8 is 0 or 1.
  Tensor table = Tensor::of(std::vector<float>{1, 2, 3}.data(), {3, 1});
  table.require_gradient();
  backward(gather(table, std::vector<int64_t>{1, 1, 1}),
           Tensor::of(std::vector<float>{1e8f, 1, -1e8f}.data(), {3, 1}));
  EXPECT_EQ(all(table.gradient()), (std::vector<double>{0, 0, 0}));
  table.set_gradient({});
  backward(gather(table, std::vector<int64_t>{1, 1, 1}),
           Tensor::of(std::vector<float>{1e8f, -1e8f, 1}.data(), {3, 1}));
  EXPECT_EQ(all(table.gradient()), (std::vector<double>{0, 1, 0}));
}

// Gradients of several uses meet in one sum, which a copy taken earlier does not see.
TEST(Gather, AddsToTheSumThatIsThere) {
  Tensor table = random_f64({5, 3}, 1);
  table.require_gradient();
  const Tensor cotangent = random_f64({2, 3}, 2);
  const std::vector<int64_t> first{1, 4}, second{4, 4};
  backward(gather(table, first), cotangent);
  const Tensor early = table.gradient();
  const auto before = all(early);
  backward(gather(table, second), cotangent);
  EXPECT_EQ(all(early), before);
  for (int64_t row = 0; row < 5; ++row) {
    for (int64_t i = 0; i < 3; ++i) {
      const auto c = cotangent.view<double, 2>();
      const double wanted = (row == 1 ? c(0, i) : 0) + (row == 4 ? c(1, i) + c(0, i) + c(1, i) : 0);
      EXPECT_NEAR((table.gradient().view<double, 2>()(row, i)), wanted, 1e-12);
    }
  }
}

// Rows that nobody took get exactly 0, and the product with one-hot rows is the row itself, bit by
// bit: ids have no geometry, embeddings do.
TEST(Embedding, IsTheProductWithOneHotRows) {
  const int64_t words = 300, width = 40;
  const Tensor table = gradient_check::to_f32(random_f64({words, width}, 1));
  const std::vector<int32_t> ids{7, 299, 0, 7, 123};
  Tensor one_hot({std::ssize(ids), words});
  std::ranges::fill(one_hot.writable_numbers<float>(), 0.0f);
  for (std::size_t n = 0; n < ids.size(); ++n) {
    one_hot.writable<float, 2>()(static_cast<int64_t>(n), ids[n]) = 1;
  }
  const Tensor columns_of_words = transpose(table);  // [outputs, inputs] = [width, words]
  const Tensor product = linear(one_hot, Weight{nullptr, &columns_of_words, nullptr});
  EXPECT_TRUE(gradient_check::same_numbers(product, embedding(table, ids)));
  Tensor leaf = table.detach();
  leaf.require_gradient();
  backward(embedding(leaf, ids), product);
  for (int64_t row = 0; row < words; ++row) {
    if (std::ranges::count(ids, row) > 0) continue;
    for (int64_t i = 0; i < width; ++i) {
      EXPECT_EQ((leaf.gradient().view<float, 2>()(row, i)), 0.0f);
    }
  }
}

TEST(ScatterAdd, HasGradientsOfRowsAndWeights) {
  const std::vector<int64_t> places{3, 0, 3};
  const TensorFunction f = [&](auto in) { return scatter_add(in[0], in[1], places, in[2]); };
  EXPECT_TRUE(
      check_gradients(f, {random_f64({4, 5}, 1), random_f64({3, 5}, 2), random_f64({3}, 3)}));
  std::vector<int64_t> many(400);
  for (std::size_t i = 0; i < many.size(); ++i) many[i] = static_cast<int64_t>(i * 7 % 90);
  EXPECT_TRUE(check_f32([&](auto in) { return scatter_add(in[0], in[1], many, in[2]); },
                        {random_f64({90, 140}, 1), random_f64({400, 140}, 2), random_f64({400}, 3)},
                        3e-5));
  const Tensor x = random_f64({4, 5}, 1), rows = random_f64({3, 5}, 2), w = random_f64({3}, 3);
  EXPECT_THROW(scatter_add(x, rows, std::vector<int64_t>{0, 1, 4}, w), Error);
  EXPECT_THROW(scatter_add(x, rows, std::vector<int64_t>{0, 1}, w), Error);
  EXPECT_THROW(scatter_add(x, rows, places, random_f64({2}, 3)), Error);
  EXPECT_THROW(scatter_add(random_f64({4, 4}, 1), rows, places, w), Error);
  // A shared tensor is not written.
  const auto before = all(x);
  scatter_add(x, rows, places, w);
  EXPECT_EQ(all(x), before);
}

// A mixture of experts: the gradient reaches the router through the weights of what was chosen.
TEST(Route, PassesGradientsThroughTheWeights) {
  const TensorFunction mix = [](auto in) {
    Tensor sum = zeros({in[1].shape(0), in[1].shape(1)}, DType::f64);
    const Routes routes = route(in[0], 2);
    for (const Route& to : routes) {
      if (to.rows.empty()) continue;
      const Tensor made = scale(gather(in[1], to.rows), static_cast<float>(to.expert + 1));
      sum = scatter_add(std::move(sum), made, to.rows, to.weights);
    }
    return sum;
  };
  EXPECT_TRUE(check_gradients(mix, {random_f64({6, 4}, 1), random_f64({6, 3}, 2)}));
}

TEST(Shapes, PutTensorsSideBySide) {
  const Tensor a = counted({2, 3}), b = counted({1, 3}), c = counted({2, 1});
  EXPECT_EQ(all(concat_rows(std::vector{a, b})), (std::vector<double>{0, 1, 2, 3, 4, 5, 0, 1, 2}));
  EXPECT_EQ(all(concat_columns(std::vector{a, c})), (std::vector<double>{0, 1, 2, 0, 3, 4, 5, 1}));
  EXPECT_EQ(all(columns(a, 1, 2)), (std::vector<double>{1, 2, 4, 5}));
  EXPECT_EQ(columns(a, 3, 0).size(), 0);
  EXPECT_THROW(concat_rows(std::vector{a, c}), Error);
  EXPECT_THROW(concat_columns(std::vector{a, b}), Error);
  EXPECT_THROW(concat_rows(std::vector<Tensor>{}), Error);
  EXPECT_THROW(concat_columns(std::vector{a, gradient_check::to_f32(c)}), Error);
  EXPECT_THROW(columns(a, 1, 3), Error);
  EXPECT_THROW(columns(a, -1, 2), Error);
}

TEST(Shapes, HaveGradients) {
  const Tensor a = random_f64({2, 3}, 1), b = random_f64({4, 3}, 2), c = random_f64({2, 5}, 3);
  EXPECT_TRUE(check_gradients([](auto in) { return concat_rows(in); }, {a, b, a}));
  EXPECT_TRUE(check_gradients([](auto in) { return concat_columns(in); }, {a, c, a}));
  EXPECT_TRUE(check_gradients([](auto in) { return columns(in[0], 1, 3); }, {c}));
  EXPECT_TRUE(check_gradients(
      [](auto in) {
        return permute(in[0], {2, 0, 1});
      },
      {random_f64({2, 3, 4}, 1)}));
  EXPECT_TRUE(check_gradients(
      [](auto in) {
        return permute(in[0], {3, 1, 0, 2});
      },
      {random_f64({2, 3, 4, 2}, 1)}));
  EXPECT_TRUE(check_gradients([](auto in) { return transpose(in[0]); }, {c}));
  EXPECT_TRUE(check_f32([](auto in) { return concat_columns(in); },
                        {random_f64({200, 70}, 1), random_f64({200, 31}, 2)}));
  EXPECT_TRUE(check_f32(
      [](auto in) {
        return permute(in[0], {1, 0, 2});
      },
      {random_f64({90, 6, 40}, 1)}));
}

TEST(Shapes, PermuteTurnsAxes) {
  const Tensor x = counted({2, 3, 4});
  const Tensor y = permute(x, {1, 2, 0});  // [3, 4, 2]
  EXPECT_EQ(y.describe(), "f64 [3, 4, 2]");
  for (int64_t i = 0; i < 2; ++i) {
    for (int64_t j = 0; j < 3; ++j) {
      for (int64_t k = 0; k < 4; ++k) {
        EXPECT_EQ((y.view<double, 3>()(j, k, i)), (x.view<double, 3>()(i, j, k)));
      }
    }
  }
  EXPECT_EQ(all(permute(counted({5}), {0})), all(counted({5})));
  EXPECT_THROW(permute(x, {0, 1}), Error);
  EXPECT_THROW(permute(x, {0, 1, 1}), Error);
  EXPECT_THROW(permute(x, {0, 1, 3}), Error);
  EXPECT_THROW(transpose(x), Error);
}

}  // namespace
}  // namespace regard
