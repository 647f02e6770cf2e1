#include "tensor/tensor.h"

#include <gtest/gtest.h>

#include <numeric>
#include <vector>

#include "tensor/pool.h"

namespace regard {
namespace {

Tensor counting(int64_t rows, int64_t columns) {
  std::vector<float> numbers(rows * columns);
  std::iota(numbers.begin(), numbers.end(), 0.0f);
  return Tensor::of(numbers.data(), {rows, columns});
}

TEST(Tensor, IsDenseAndRowMajor) {
  const Tensor x = counting(3, 4);
  const auto view = x.view<float, 2>();
  EXPECT_EQ(view(2, 1), 9.0f);
  EXPECT_EQ(x.size(), 12);
  EXPECT_EQ(x.describe(), "f32 [3, 4]");
}

TEST(Tensor, ReshapesAndCutsRowsWithoutCopying) {
  const Tensor x = counting(6, 4);
  const auto cube = x.reshape({2, 3, 4}).view<float, 3>();
  EXPECT_EQ(cube(1, 2, 3), 23.0f);
  EXPECT_EQ(cube.data, (x.view<float, 2>().data));
  const Tensor part = x.rows(2, 3);
  EXPECT_EQ(part.shape(0), 3);
  EXPECT_EQ((part.view<float, 2>()(0, 0)), 8.0f);
  EXPECT_EQ((part.rows(1, 1).view<float, 2>()(0, 3)), 15.0f);
}

TEST(Tensor, KnowsItsOwners) {
  Tensor x = counting(2, 2);
  EXPECT_TRUE(x.sole_owner());
  {
    const Tensor row = x.rows(0, 1);
    EXPECT_FALSE(x.sole_owner());
  }
  EXPECT_TRUE(x.sole_owner());
  const Tensor moved = std::move(x);
  EXPECT_TRUE(moved.sole_owner());
  EXPECT_FALSE(static_cast<bool>(x));  // NOLINT: what a moved tensor is
}

TEST(Tensor, MayHoldNothing) {
  const Tensor x({0, 5});
  EXPECT_EQ(x.size(), 0);
  EXPECT_TRUE(static_cast<bool>(x));
  EXPECT_EQ((x.reshape({5, 0, 2}).rank()), 3);
  EXPECT_FALSE(static_cast<bool>(Tensor()));
}

TEST(Tensor, HoldsEveryPlainDtype) {
  const double numbers[] = {0.1, 0.2};
  EXPECT_EQ((Tensor::of(numbers, {2}).view<double, 1>()(1)), 0.2);
  EXPECT_EQ(Tensor({2}, DType::bf16).dtype(), DType::bf16);
  EXPECT_THROW(Tensor({32}, DType::q8_0), Error);
}

TEST(Tensor, RefusesShapesOutsideTheRules) {
  EXPECT_THROW(Tensor({}), Error);
  EXPECT_THROW(Tensor({1, 2, 3, 4, 5}), Error);
  EXPECT_THROW(Tensor({2, -1}), Error);
  EXPECT_THROW(Tensor({INT64_MAX, INT64_MAX}), Error);
  const Tensor x = counting(2, 3);
  EXPECT_THROW(x.reshape({4}), Error);
  EXPECT_THROW(x.rows(1, 2), Error);
  EXPECT_THROW(x.rows(-1, 1), Error);
  EXPECT_THROW((x.view<float, 3>()), Error);
  EXPECT_THROW((x.view<double, 2>()), Error);
}

TEST(Tensor, ReturnsItsStorageToTheArena) {
  { const Tensor warm({1000}); }
  const auto before = Arena::global().counts();
  for (int i = 0; i < 10; ++i) const Tensor again({1000});
  EXPECT_EQ(Arena::global().counts().system_calls, before.system_calls);
}

TEST(Pool, TheInnermostIsUsed) {
  EXPECT_EQ(current_pool().threads(), 1);
  ThreadPool two(2), three(3);
  {
    const UsePool outer(two);
    {
      const UsePool inner(three);
      EXPECT_EQ(&current_pool(), &three);
    }
    EXPECT_EQ(&current_pool(), &two);
  }
  EXPECT_EQ(current_pool().threads(), 1);
}

}  // namespace
}  // namespace regard
