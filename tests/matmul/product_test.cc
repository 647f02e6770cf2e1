// Products of plain matrices against the chain that bits.md writes down, number by number: every
// orientation of both factors, every target, one to three threads, into what was there and anew.
#include "matmul/product.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

#include "base/check.h"
#include "regard/half.h"
#include "simd/target.h"

namespace regard {
namespace {

std::vector<float> random_numbers(int64_t count, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> numbers(static_cast<std::size_t>(count));
  for (float& x : numbers) x = normal(random);
  return numbers;
}

struct Size {
  int64_t rows, inner, columns;
};

// How a factor lies: its rows one after the other, its columns, or with gaps both ways.
enum class Order { rows, columns, gaps };

struct Matrix {
  std::vector<float> numbers;
  View<const float, 2> view;

  Matrix(int64_t rows, int64_t columns, Order order, uint32_t seed)
      : numbers(random_numbers(6 * (rows + 1) * (columns + 1), seed)) {
    const float* const data = numbers.data();
    if (order == Order::rows) view = {data, {rows, columns}, {columns + 1, 1}};
    if (order == Order::columns) view = {data, {rows, columns}, {1, rows + 2}};
    if (order == Order::gaps) view = {data, {rows, columns}, {2, 2 * rows + 1}};
  }
};

// The contract itself.
float chain(const View<const float, 2>& a, int64_t row, const View<const float, 2>& b,
            int64_t column, float total) {
  for (int64_t k = 0; k < a.shape[1]; k += kInputBlock) {
    float sum = 0;
    for (int64_t i = k; i < std::min(k + kInputBlock, a.shape[1]); ++i) {
      sum = std::fma(a(row, i), b(i, column), sum);
    }
    total = total + sum;
  }
  return total;
}

void expect_chain(const Size& size, Order order_a, Order order_b, int threads, bool add_to_c) {
  SCOPED_TRACE(testing::Message() << size.rows << " x " << size.inner << " x " << size.columns
                                  << " orders " << int(order_a) << int(order_b) << " threads "
                                  << threads << (add_to_c ? " +=" : " ="));
  const Matrix a(size.rows, size.inner, order_a, 1), b(size.inner, size.columns, order_b, 2);
  const std::vector<float> before = random_numbers(size.rows * (size.columns + 3), 3);
  const std::vector<float> bias = random_numbers(size.columns, 4);
  const std::vector<float> sums_before = random_numbers(size.rows, 5);
  std::vector<float> c = before, sums = sums_before;
  ThreadPool pool(threads);
  multiply({.a = a.view,
            .b = b.view,
            .c = {c.data(), {size.rows, size.columns}, {size.columns + 3, 1}},
            .add_to_c = add_to_c,
            .bias = add_to_c ? nullptr : bias.data(),
            .row_sums = threads == 2 ? nullptr : sums.data(),
            .add_to_row_sums = add_to_c},
           pool);
  const std::vector<float> ones(static_cast<std::size_t>(size.inner), 1.0f);
  const View<const float, 2> one(ones.data(), {size.inner, 1});
  for (int64_t r = 0; r < size.rows; ++r) {
    for (int64_t j = 0; j < size.columns + 3; ++j) {
      const auto at = static_cast<std::size_t>(r * (size.columns + 3) + j);
      float wanted = before[at];  // past the columns nothing is written
      if (j < size.columns) {
        wanted = chain(a.view, r, b.view, j, add_to_c ? before[at] : 0.0f);
        if (!add_to_c) wanted = wanted + bias[static_cast<std::size_t>(j)];
      }
      ASSERT_EQ(c[at], wanted) << "row " << r << " column " << j;
    }
    const auto row = static_cast<std::size_t>(r);
    const float wanted = threads == 2
                             ? sums_before[row]
                             : chain(a.view, r, one, 0, add_to_c ? sums_before[row] : 0.0f);
    ASSERT_EQ(sums[row], wanted) << "sum of row " << r;
  }
}

TEST(Product, IsTheChainOfTheContract) {
  for (const Target target : available_targets()) {
    const ScopedTarget forced(target);
    SCOPED_TRACE(name(target));
    int n = 0;
    for (const Size& size :
         {Size{1, 1, 1}, Size{13, 17, 33}, Size{25, 256, 16}, Size{5, 257, 47}, Size{30, 600, 20},
          Size{513, 9, 40}, Size{7, 20, 800}, Size{50, 300, 50}, Size{60, 12, 0}}) {
      for (const Order a : {Order::rows, Order::columns, Order::gaps}) {
        for (const Order b : {Order::rows, Order::columns, Order::gaps}) {
          expect_chain(size, a, b, 1 + n % 3, n % 2 == 0);
          ++n;
        }
      }
    }
  }
}

TEST(Product, NothingToSumLeavesTheBias) {
  ThreadPool pool(2);
  const std::vector<float> bias = random_numbers(5, 1);
  std::vector<float> c(15, 7.0f), sums(3, 7.0f);
  Product p{
      .a = {nullptr, {3, 0}}, .b = PlainMatrix(nullptr, DType::f32, 0, 5), .c = {c.data(), {3, 5}}};
  p.bias = bias.data();
  p.row_sums = sums.data();
  multiply(p, pool);
  for (std::size_t i = 0; i < c.size(); ++i) ASSERT_EQ(c[i], bias[i % 5]);
  for (const float sum : sums) ASSERT_EQ(sum, 0.0f);
  p.bias = nullptr;
  p.add_to_c = true;
  multiply(p, pool);
  for (std::size_t i = 0; i < c.size(); ++i) ASSERT_EQ(c[i], bias[i % 5]);
}

// A packed weight and a plain one, of every plain dtype: the same bits, for few rows and many.
TEST(Product, EqualsThePackedWeight) {
  const int64_t outputs = 70, inputs = 300;
  const std::vector<float> w = random_numbers(outputs * inputs, 1),
                           bias = random_numbers(outputs, 2);
  std::vector<f16> half;
  std::vector<bf16> brain;
  for (const float x : w) half.push_back(to_f16(x)), brain.push_back(to_bf16(x));
  ThreadPool pool(2);
  for (const Target target : available_targets()) {
    const ScopedTarget forced(target);
    for (const int64_t rows : {1, 3, 40}) {
      const std::vector<float> x = random_numbers(rows * inputs, 3);
      const auto check = [&](DType dtype, auto stored) {
        const PackedMatrix packed =
            PackedMatrix::pack(dtype, std::as_bytes(stored), outputs, inputs, pool);
        std::vector<float> one(static_cast<std::size_t>(rows * outputs)), other = one;
        const MatmulTarget to{&packed, {one.data(), {rows, outputs}}, bias.data()};
        matmul({x.data(), {rows, inputs}}, {&to, 1}, pool);
        const PlainMatrix plain(stored.data(), dtype, outputs, inputs);
        multiply({.a = {x.data(), {rows, inputs}},
                  .b = plain.transposed(),
                  .c = {other.data(), {rows, outputs}},
                  .bias = bias.data()},
                 pool);
        ASSERT_EQ(one, other) << name(target) << " " << info(dtype).name << " rows " << rows;
        // And from rows that lie along the columns: a copy of W, turned.
        std::vector<std::remove_const_t<typename decltype(stored)::value_type>> turned(
            stored.size());
        for (int64_t o = 0; o < outputs; ++o) {
          for (int64_t i = 0; i < inputs; ++i) turned[i * outputs + o] = stored[o * inputs + i];
        }
        multiply({.a = {x.data(), {rows, inputs}},
                  .b = PlainMatrix(turned.data(), dtype, inputs, outputs),
                  .c = {other.data(), {rows, outputs}},
                  .bias = bias.data()},
                 pool);
        ASSERT_EQ(one, other) << name(target) << " " << info(dtype).name << " rows " << rows;
      };
      check(DType::f32, std::span<const float>(w));
      check(DType::f16, std::span<const f16>(half));
      check(DType::bf16, std::span<const bf16>(brain));
    }
  }
}

TEST(Product, SeveralTogetherAreEachAlone) {
  ThreadPool pool(3);
  const Matrix a(40, 70, Order::rows, 1), b(70, 50, Order::columns, 2), d(40, 30, Order::rows, 3);
  std::vector<float> ab(40 * 50), at_d(70 * 30), alone_ab = ab, alone_at_d = at_d;
  const auto make = [&](std::vector<float>& first, std::vector<float>& second) {
    return std::vector<Product>{
        {.a = a.view, .b = b.view, .c = {first.data(), {40, 50}}},
        {.a = transposed(a.view), .b = d.view, .c = {second.data(), {70, 30}}}};
  };
  multiply(make(ab, at_d), pool);
  for (const Product& p : make(alone_ab, alone_at_d)) multiply(p, pool);
  EXPECT_EQ(ab, alone_ab);
  EXPECT_EQ(at_d, alone_at_d);
}

TEST(Product, RefusesShapesThatDisagree) {
  ThreadPool pool(1);
  std::vector<float> x(100);
  const View<float, 2> c(x.data(), {2, 2});
  EXPECT_THROW(
      multiply({.a = {x.data(), {2, 3}}, .b = View<const float, 2>(x.data(), {4, 2}), .c = c},
               pool),
      Error);
  EXPECT_THROW(
      multiply({.a = {x.data(), {3, 3}}, .b = View<const float, 2>(x.data(), {3, 2}), .c = c},
               pool),
      Error);
  EXPECT_THROW(
      multiply({.a = {x.data(), {2, 3}}, .b = PlainMatrix(x.data(), DType::i8, 3, 2), .c = c},
               pool),
      Error);
}

}  // namespace
}  // namespace regard
