// The checker of gradients: right ones pass, each kind of wrong one is found and named.
#include "ops/gradient_check.h"

#include <string>

namespace regard {
namespace {

// x² + factor · x, whose gradient is said to be 2 x + claimed.
template <class T>
Tensor parabola_of(const Tensor& x, double factor, double claimed) {
  Tensor made = Tensor::like(x);
  for (std::size_t i = 0; i < x.numbers<T>().size(); ++i) {
    const T v = x.numbers<T>()[i];
    made.writable_numbers<T>()[i] = v * v + static_cast<T>(factor) * v;
  }
  if (!recording({&x})) return made;
  return record(std::move(made), {&x}, [x = x.detach(), claimed](const Tensor& g, auto& to) {
    Tensor back = Tensor::like(x);
    for (std::size_t i = 0; i < x.numbers<T>().size(); ++i) {
      back.template writable_numbers<T>()[i] =
          g.numbers<T>()[i] * (2 * x.numbers<T>()[i] + static_cast<T>(claimed));
    }
    to.add(0, std::move(back));
  });
}

Tensor parabola(const Tensor& x, double factor, double claimed) {
  return x.dtype() == DType::f64 ? parabola_of<double>(x, factor, claimed)
                                 : parabola_of<float>(x, factor, claimed);
}

TEST(GradientCheck, PassesTheRightGradient) {
  const Tensor x = random_f64({3, 4}, 1);
  EXPECT_TRUE(check_gradients([](auto in) { return parabola(in[0], 3, 3); }, {x}));
  EXPECT_TRUE(check_f32([](auto in) { return parabola(in[0], 3, 3); }, {x}));
}

TEST(GradientCheck, FindsAWrongGradientAndNamesIt) {
  const Tensor x = random_f64({3, 4}, 1), y = random_f64({5}, 2);
  const auto wrong = check_gradients([](auto in) { return parabola(in[1], 3, 3.0001); }, {y, x});
  EXPECT_FALSE(wrong);
  EXPECT_NE(std::string(wrong.message()).find("input 1 element 0"), std::string::npos)
      << wrong.message();
  EXPECT_FALSE(check_gradients([](auto in) { return parabola(in[0], 3, 3.00001); }, {x}));
}

TEST(GradientCheck, FindsAGradientThatNeverCame) {
  const Tensor x = random_f64({4}, 1), y = random_f64({4}, 2);
  const TensorFunction forgetful = [](auto in) {
    Tensor sum = Tensor::like(in[0]);
    for (std::size_t i = 0; i < 4; ++i) {
      sum.template writable_numbers<double>()[i] =
          in[0].template numbers<double>()[i] + in[1].template numbers<double>()[i];
    }
    if (!recording({&in[0]})) return sum;
    return record(std::move(sum), {&in[0]},
                  [](const Tensor& g, InputGradients& to) { to.add(0, g); });
  };
  const auto wrong = check_gradients(forgetful, {x, y});
  EXPECT_FALSE(wrong);
  EXPECT_NE(std::string(wrong.message()).find("input 1"), std::string::npos);
  EXPECT_NE(std::string(wrong.message()).find("none came"), std::string::npos);
}

TEST(GradientCheck, FindsNumbersThatChangeWhenRecorded) {
  const Tensor x = random_f64({4}, 1);
  const auto wrong = check_gradients(
      [](auto in) { return parabola(in[0], recording({&in[0]}) ? 3 : 3.5, 3); }, {x});
  EXPECT_FALSE(wrong);
}

TEST(GradientCheck, FindsF32ThatIsNotTheFormulaAndBitsThatFollowThreads) {
  const Tensor x = random_f64({4}, 1);
  EXPECT_FALSE(check_f32(
      [](auto in) {
        const double off = in[0].dtype() == DType::f32 ? 1e-4 : 0;
        return parabola(in[0], 3, 3 + off);
      },
      {x}));
  EXPECT_FALSE(check_f32(
      [](auto in) { return parabola(in[0], 3, 3 + 1e-6 * current_pool().threads()); }, {x}, 1e-3));
}

}  // namespace
}  // namespace regard
