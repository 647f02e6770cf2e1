// Gradients of the operations that compute: against central differences in f64, f32 against f64
// with the same bits on one to three threads. Shapes reach past one task and one block of sums.
#include <gtest/gtest.h>

#include <vector>

#include "ops/gradient_check.h"
#include "ops/ops.h"
#include "simd/target.h"

namespace regard {
namespace {

// Away from 0, where relu has no slope.
Tensor away_from_zero(Tensor x) {
  for (double& v : x.writable_numbers<double>()) v += v < 0 ? -0.01 : 0.01;
  return x;
}

// Small in f64, where every number is moved; large in f32, where rows are shared out.
const std::vector<int64_t> kSmall{3, 5}, kLarge{150, 133};

TEST(Arithmetic, HasGradients) {
  const TensorFunction sum = [](auto in) { return in[0] + in[1]; };
  const TensorFunction difference = [](auto in) { return in[0] - in[1]; };
  const TensorFunction product = [](auto in) { return in[0] * in[1]; };
  for (const TensorFunction& f : {sum, difference, product}) {
    for (const auto& other : {std::vector<int64_t>{3, 5}, {5}, {1}}) {
      EXPECT_TRUE(check_gradients(f, {random_f64(kSmall, 1), random_f64(other, 2)}));
    }
    for (const auto& other : {kLarge, {133}, {1}}) {
      EXPECT_TRUE(check_f32(f, {random_f64(kLarge, 1), random_f64(other, 2)}));
    }
  }
  // The smaller may come first where the order does not matter.
  EXPECT_TRUE(check_gradients(sum, {random_f64({5}, 2), random_f64({3, 5}, 1)}));
  EXPECT_TRUE(check_gradients(product, {random_f64({1}, 2), random_f64({2, 3, 5}, 1)}));
  // One tensor in both places.
  EXPECT_TRUE(check_gradients([](auto in) { return in[0] * in[0] - in[0]; }, {random_f64({7}, 1)}));
  EXPECT_TRUE(check_gradients([](auto in) { return scale(in[0], -1.5f); }, {random_f64({7}, 1)}));
  EXPECT_TRUE(check_f32([](auto in) { return scale(in[0], -1.5f); }, {random_f64(kLarge, 1)}));
}

TEST(Arithmetic, RefusesWhatDoesNotFit) {
  const Tensor x = random_f64({3, 5}, 1);
  for (const auto& shape : {std::vector<int64_t>{3}, {1, 5}, {3, 1}, {5, 3}, {2}}) {
    EXPECT_THROW(add(x, random_f64(shape, 2)), Error);
    EXPECT_THROW(sub(x, random_f64(shape, 2)), Error);
    EXPECT_THROW(mul(x, random_f64(shape, 2)), Error);
  }
  EXPECT_THROW(sub(random_f64({5}, 2), x), Error);
  EXPECT_THROW(add(x, gradient_check::to_f32(x)), Error);  // one precision
  EXPECT_THROW(add(Tensor({3, 5}, DType::bf16), Tensor({3, 5}, DType::bf16)), Error);
  EXPECT_THROW(add(Tensor(), Tensor()), Error);
}

TEST(Activations, HaveGradients) {
  for (const Activation function :
       {Activation::silu, Activation::gelu_tanh, Activation::gelu_erf, Activation::relu,
        Activation::tanh, Activation::sigmoid, Activation::identity}) {
    SCOPED_TRACE(static_cast<int>(function));
    const TensorFunction plain = [=](auto in) { return activate(function, in[0]); };
    const TensorFunction gated = [=](auto in) { return activate_gated(function, in[0], in[1]); };
    const Tensor small = away_from_zero(random_f64(kSmall, 1, 2));
    EXPECT_TRUE(check_gradients(plain, {small}));
    EXPECT_TRUE(check_gradients(gated, {small, random_f64(kSmall, 2)}));
    const Tensor large = random_f64(kLarge, 1, 2);
    EXPECT_TRUE(check_f32(plain, {large}));
    EXPECT_TRUE(check_f32(gated, {large, random_f64(kLarge, 2)}));
  }
  const TensorFunction capped = [](auto in) { return softcap(in[0], 3.0f); };
  EXPECT_TRUE(check_gradients(capped, {random_f64(kSmall, 1, 3)}));
  EXPECT_TRUE(check_f32(capped, {random_f64(kLarge, 1, 3)}));
}

TEST(Norms, HaveGradients) {
  const TensorFunction rms = [](auto in) { return rms_norm(in[0], in[1], 1e-3f); };
  const TensorFunction layer = [](auto in) { return layer_norm(in[0], in[1], in[2], 1e-3f); };
  const TensorFunction bare = [](auto in) { return layer_norm(in[0], in[1], {}, 1e-3f); };
  for (const TensorFunction& f : {rms, bare}) {
    EXPECT_TRUE(check_gradients(f, {random_f64(kSmall, 1), random_f64({5}, 2)}));
    EXPECT_TRUE(check_f32(f, {random_f64(kLarge, 1), random_f64({133}, 2)}));
  }
  EXPECT_TRUE(
      check_gradients(layer, {random_f64({2, 3, 5}, 1), random_f64({5}, 2), random_f64({5}, 3)}));
  EXPECT_TRUE(
      check_f32(layer, {random_f64(kLarge, 1), random_f64({133}, 2), random_f64({133}, 3)}));
  EXPECT_TRUE(check_f32(rms, {random_f64({700, 16}, 1), random_f64({16}, 2)}));
}

TEST(Softmax, HasGradients) {
  const TensorFunction plain = [](auto in) { return softmax(in[0]); };
  const TensorFunction log = [](auto in) { return log_softmax(in[0]); };
  const TensorFunction whole = [](auto in) { return log_sum_exp(in[0]); };
  for (const TensorFunction& f : {plain, log, whole}) {
    EXPECT_TRUE(check_gradients(f, {random_f64(kSmall, 1, 2)}));
    EXPECT_TRUE(check_f32(f, {random_f64(kLarge, 1, 2)}));
  }
}

TEST(Rope, HasGradients) {
  RopeTable table(4, 100, {}, 1.0, 1.3);
  table.reserve(400);
  const std::vector<int32_t> few{3, 0, 9};
  std::vector<int32_t> many;
  for (int i = 0; i < 300; ++i) many.push_back(i);
  for (const RopeLayout layout : {RopeLayout::halves, RopeLayout::pairs}) {
    EXPECT_TRUE(check_gradients([&](auto in) { return rope(in[0], table, few, layout); },
                                {random_f64({3, 2, 6}, 1)}));
    EXPECT_TRUE(check_f32([&](auto in) { return rope(in[0], table, many, layout); },
                          {random_f64({300, 5, 7}, 1)}));
  }
}

// Two passes over 64 rows each give gains, shifts and rows the bits of one pass over 128.
TEST(SumsOverRows, AddUpOverPassesToTheBitsOfOne) {
  const Tensor x = gradient_check::to_f32(random_f64({128, 40}, 1));
  const Tensor cotangent = gradient_check::to_f32(random_f64({128, 40}, 2));
  const auto run = [&](int64_t rows_of_a_pass) {
    std::vector<Tensor> leaves;
    for (uint32_t seed = 3; seed < 6; ++seed) {
      leaves.push_back(gradient_check::to_f32(random_f64({40}, seed)));
      leaves.back().require_gradient();
    }
    for (int64_t first = 0; first < 128; first += rows_of_a_pass) {
      const Tensor some = x.rows(first, rows_of_a_pass);
      backward(layer_norm(some, leaves[0], leaves[1], 1e-5f) + mul(some, leaves[2]),
               cotangent.rows(first, rows_of_a_pass));
    }
    return std::vector{leaves[0].gradient(), leaves[1].gradient(), leaves[2].gradient()};
  };
  const auto whole = run(128), parts = run(64);
  for (std::size_t i = 0; i < whole.size(); ++i) {
    EXPECT_TRUE(gradient_check::same_numbers(whole[i], parts[i])) << i;
  }
}

// What is computed and every gradient of it, on each target of this machine.
TEST(Gradients, HaveTheSameBitsOnEveryTarget) {
  const Tensor x = gradient_check::to_f32(random_f64({70, 45}, 1));
  const Tensor cotangent = gradient_check::to_f32(random_f64({70, 45}, 2));
  const TensorFunction f = [](auto in) {
    Tensor y = layer_norm(in[0], in[1], in[2], 1e-5f);
    y = activate_gated(Activation::gelu_erf, y, rms_norm(in[0], in[2], 1e-5f));
    y = mul(softmax(activate(Activation::silu, y)), in[1]) - log_softmax(softcap(y, 2));
    return activate(Activation::gelu_tanh, std::move(y)) + in[0];
  };
  std::vector<Tensor> inputs{x};
  for (uint32_t seed = 3; seed < 5; ++seed) {
    inputs.push_back(gradient_check::to_f32(random_f64({45}, seed)));
  }
  gradient_check::Run definition;
  {
    const ScopedTarget forced(Target::scalar);
    definition = gradient_check::run(f, inputs, cotangent);
  }
  for (const Target target : available_targets()) {
    SCOPED_TRACE(name(target));
    const ScopedTarget forced(target);
    const gradient_check::Run got = gradient_check::run(f, inputs, cotangent);
    EXPECT_TRUE(gradient_check::same_numbers(got.result, definition.result));
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      EXPECT_TRUE(gradient_check::same_numbers(got.gradients[i], definition.gradients[i])) << i;
    }
  }
}

// Storage is taken only where nothing is recorded: what a gradient needs is still there.
TEST(Recording, LeavesMovedTensorsWhole) {
  EXPECT_TRUE(check_gradients(
      [](auto in) {
        Tensor x = scale(in[0], 2);
        x = activate(Activation::tanh, std::move(x));
        x = softmax(std::move(x));
        x = softcap(std::move(x), 2);
        return add(in[0], std::move(x));
      },
      {random_f64(kSmall, 1)}));
}

}  // namespace
}  // namespace regard
