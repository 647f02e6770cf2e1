// The tape on operations made for the test: sums, order, memory, checkpoints, what it refuses.
#include "tensor/tape.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "regard/error.h"

namespace regard {
namespace {

Tensor numbers(std::vector<double> values) {
  return Tensor::of(values.data(), {std::ssize(values)});
}

std::vector<double> all(const Tensor& x) {
  const auto values = x.numbers<double>();
  return {values.begin(), values.end()};
}

Tensor leaf(std::vector<double> values) {
  Tensor made = numbers(std::move(values));
  made.require_gradient();
  return made;
}

// a · b, element by element.
Tensor multiply(const Tensor& a, const Tensor& b) {
  Tensor made = Tensor::like(a);
  for (int64_t i = 0; i < a.size(); ++i) {
    const auto at = static_cast<std::size_t>(i);
    made.writable_numbers<double>()[at] = a.numbers<double>()[at] * b.numbers<double>()[at];
  }
  if (!recording({&a, &b})) return made;
  return record(std::move(made), {&a, &b},
                [a = a.detach(), b = b.detach()](const Tensor& gradient, InputGradients& to) {
                  to.add(0, multiply(gradient, b));
                  to.add(1, multiply(gradient, a));
                });
}

TEST(Tape, ProductsPassGradientsToBoth) {
  const Tensor a = leaf({2, 3}), b = leaf({5, 7});
  backward(multiply(a, b), numbers({1, 10}));
  EXPECT_EQ(all(a.gradient()), (std::vector<double>{5, 70}));
  EXPECT_EQ(all(b.gradient()), (std::vector<double>{2, 30}));
}

TEST(Tape, UsesOfOneTensorAddUp) {
  const Tensor a = leaf({3});
  const Tensor square = multiply(a, a);
  backward(multiply(square, square));  // a^4
  EXPECT_EQ(all(a.gradient()), std::vector<double>{4 * 27});
}

TEST(Tape, BackwardAddsToWhatLeavesHave) {
  Tensor a = leaf({3});
  backward(multiply(a, a));
  backward(multiply(a, a));
  EXPECT_EQ(all(a.gradient()), std::vector<double>{12});
  a.set_gradient({});
  EXPECT_FALSE(a.gradient());
}

// Two leaves that were given one gradient do not share what is added to one of them later.
TEST(Tape, GradientsThatShareStorageStayApart) {
  const Tensor a = leaf({1}), b = leaf({1});
  const Tensor made = record(numbers({2}), {&a, &b}, [](const Tensor& g, InputGradients& to) {
    to.add(0, g);
    to.add(1, g);
  });
  backward(made);
  backward(multiply(a, a));
  EXPECT_EQ(all(a.gradient()), std::vector<double>{3});
  EXPECT_EQ(all(b.gradient()), std::vector<double>{1});
}

TEST(Tape, NothingIsRecordedWhereNoGradientIsWanted) {
  const Tensor a = numbers({2}), b = leaf({2});
  EXPECT_FALSE(multiply(a, a).tracked());
  {
    const NoGradient quiet;
    EXPECT_FALSE(multiply(b, b).tracked());
  }
  EXPECT_TRUE(multiply(b, a).tracked());
  EXPECT_FALSE(b.detach().tracked());
}

TEST(Tape, ReshapesAndRowsPassGradients) {
  Tensor a = Tensor::of(std::vector<double>{1, 2, 3, 4, 5, 6}.data(), {3, 2});
  a.require_gradient();
  const Tensor part = a.rows(1, 2).reshape({4});
  EXPECT_EQ(all(part), (std::vector<double>{3, 4, 5, 6}));
  backward(part, numbers({1, 2, 3, 4}));
  EXPECT_EQ(a.gradient().shape(0), 3);
  EXPECT_EQ(all(a.gradient()), (std::vector<double>{0, 0, 1, 2, 3, 4}));
}

TEST(Tape, ALongChainEndsWithoutRecursion) {
  Tensor a = leaf({1});
  for (const bool run : {false, true}) {
    Tensor x = multiply(a, a);
    for (int i = 0; i < 200'000; ++i) x = multiply(x, a);
    if (run) backward(x);
  }
  EXPECT_EQ(all(a.gradient()), std::vector<double>{200'002});
}

TEST(Tape, ACheckpointGivesTheSameGradientsAndKeepsNothing) {
  const Tensor a = leaf({1.5}), captured = leaf({3});
  int runs = 0;
  const auto cube = [&](std::span<const Tensor> in) {
    ++runs;
    return multiply(multiply(in[0], in[0]), captured);
  };
  const Tensor inputs[] = {a};
  const Tensor made = checkpointed(cube, inputs);
  EXPECT_EQ(runs, 1);
  EXPECT_EQ(made.node()->inputs.size(), 1u);
  backward(multiply(made, made));  // 9 a^4
  EXPECT_EQ(runs, 2);
  EXPECT_DOUBLE_EQ(all(a.gradient())[0], 36 * std::pow(1.5, 3));
  EXPECT_DOUBLE_EQ(all(captured.gradient())[0], 2 * 3 * std::pow(1.5, 4));
}

TEST(Tape, RefusesWhatHasNoGradient) {
  const Tensor a = leaf({2, 3});
  EXPECT_THROW(backward(a), Error);                             // not one number
  EXPECT_THROW(backward(numbers({1})), Error);                  // nothing recorded
  EXPECT_THROW(backward(multiply(a, a), numbers({1})), Error);  // another shape
  EXPECT_THROW(multiply(a, a).require_gradient(), Error);       // not a leaf
  EXPECT_THROW(multiply(a, a).gradient(), Error);
  const Tensor once = multiply(a, a);
  backward(once, numbers({1, 1}));
  EXPECT_THROW(backward(once, numbers({1, 1})), Error);  // used up
  Tensor wrong = leaf({1});
  EXPECT_THROW(wrong.set_gradient(numbers({1, 2})), Error);
}

TEST(Tape, WritesToALeafAreCounted) {
  Tensor a = leaf({1});
  const uint64_t before = a.node()->version;
  a.writable_numbers<double>()[0] = 2;
  EXPECT_GT(a.node()->version, before);
}

}  // namespace
}  // namespace regard
