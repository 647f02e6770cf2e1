// The three products of a linear layer, and matmul: gradients against central differences, f32
// against f64, and the promises about bits: threads, targets, packed or not, summed in how many
// calls.
#include <gtest/gtest.h>

#include <vector>

#include "ops/gradient_check.h"
#include "ops/ops.h"
#include "simd/target.h"

namespace regard {
namespace {

using gradient_check::same_numbers;
using gradient_check::to_f32;

Tensor random_f32(Tensor::Extents shape, uint32_t seed) { return to_f32(random_f64(shape, seed)); }

Tensor leaf(Tensor x) {
  x.require_gradient();
  return x;
}

template <class T>
Tensor narrow(const Tensor& x) {
  Tensor made(x.shape(), kDTypeOf<T>);
  for (std::size_t i = 0; i < x.numbers<float>().size(); ++i) {
    const float from = x.numbers<float>()[i];
    if constexpr (std::is_same_v<T, f16>) {
      made.writable_numbers<T>()[i] = to_f16(from);
    } else {
      made.writable_numbers<T>()[i] = to_bf16(from);
    }
  }
  return made;
}

template <class T>
Tensor widen(const Tensor& x) {
  Tensor made(x.shape());
  for (std::size_t i = 0; i < x.numbers<T>().size(); ++i) {
    made.writable_numbers<float>()[i] = to_f32(x.numbers<T>()[i]);
  }
  return made;
}

TEST(Linear, GradientsAreThoseOfTheFormula) {
  const auto layer = [](std::span<const Tensor> in) {
    return linear(in[0], {nullptr, &in[1], in.size() > 2 ? &in[2] : nullptr});
  };
  EXPECT_TRUE(check_gradients(layer, {random_f64({5, 4}, 1), random_f64({3, 4}, 2)}));
  EXPECT_TRUE(
      check_gradients(layer, {random_f64({5, 4}, 1), random_f64({3, 4}, 2), random_f64({3}, 3)}));
  // Around whole tiles, panels and blocks, and a single row.
  for (const auto& [rows, inputs, outputs] :
       std::vector<std::array<int64_t, 3>>{{1, 5, 1}, {2, 300, 17}, {300, 33, 40}, {130, 70, 50}}) {
    EXPECT_TRUE(check_f32(layer, {random_f64({rows, inputs}, 1), random_f64({outputs, inputs}, 2),
                                  random_f64({outputs}, 3)}))
        << rows << " x " << inputs << " -> " << outputs;
  }
}

TEST(Linear, FusedGradientsAreThoseOfTheFormula) {
  // x is used three times, and its gradient is one sum.
  const auto fused = [](std::span<const Tensor> in) {
    const auto [q, k, v] = linear_fused(in[0], Weight{nullptr, &in[1]},
                                        Weight{nullptr, &in[2], &in[3]}, Weight{nullptr, &in[1]});
    return matmul(linear(q, {nullptr, &k}), v);
  };
  const std::vector<Tensor> in{random_f64({4, 5}, 1), random_f64({3, 5}, 2), random_f64({3, 5}, 3),
                               random_f64({3}, 4)};
  EXPECT_TRUE(check_gradients(fused, in));
  EXPECT_TRUE(check_f32(fused, in));
}

TEST(Linear, WantsOnlyWhatIsWanted) {
  const Tensor x = random_f32({6, 20}, 1), w = random_f32({7, 20}, 2), bias = random_f32({7}, 3);
  const Tensor dy = random_f32({6, 7}, 4);
  Tensor x_leaf = leaf(x.detach()), w_leaf = leaf(w.detach()), bias_leaf = leaf(bias.detach());
  backward(linear(x_leaf, {nullptr, &w_leaf, &bias_leaf}), dy);
  const Tensor dx = x_leaf.gradient(), dw = w_leaf.gradient(), dbias = bias_leaf.gradient();
  for (Tensor* const one : {&x_leaf, &w_leaf, &bias_leaf}) one->set_gradient({});
  const auto only = [&](const Tensor& a, const Tensor& b, const Tensor& c, const Tensor& wanting,
                        const Tensor& wanted) {
    backward(linear(a, {nullptr, &b, &c}), dy);
    EXPECT_TRUE(same_numbers(wanting.gradient(), wanted));
  };
  only(x_leaf, w, bias, x_leaf, dx);
  only(x, w_leaf, bias, w_leaf, dw);
  only(x, w, bias_leaf, bias_leaf, dbias);
  // A packed matrix wants nothing, its x may.
  ThreadPool pool(1);
  const PackedMatrix packed =
      PackedMatrix::pack(DType::f32, std::as_bytes(w.numbers<float>()), 7, 20, pool);
  x_leaf.set_gradient({});
  backward(linear(x_leaf, {&packed, nullptr, &bias}), dy);
  EXPECT_TRUE(same_numbers(x_leaf.gradient(), dx));
}

TEST(Linear, GradientsHaveTheSameBitsOnEveryTarget) {
  for (const int64_t rows : {3, 300}) {
    const Tensor x = random_f32({rows, 90}, 1), w = random_f32({50, 90}, 2);
    const Tensor bias = random_f32({50}, 3), dy = random_f32({rows, 50}, 4);
    std::vector<Tensor> first;
    for (const Target target : available_targets()) {
      const ScopedTarget forced(target);
      Tensor a = leaf(x.detach()), b = leaf(w.detach()), c = leaf(bias.detach());
      const Tensor y = linear(a, {nullptr, &b, &c});
      backward(y, dy);
      const std::vector<Tensor> got{y.detach(), a.gradient(), b.gradient(), c.gradient()};
      if (first.empty()) first = got;
      for (std::size_t i = 0; i < got.size(); ++i) {
        EXPECT_TRUE(same_numbers(got[i], first[i])) << name(target) << " " << i;
      }
    }
  }
}

// Blocks of 256 tokens are added to what is there: two calls are one, and it does not matter who
// else holds the sum.
TEST(Linear, TwoBackwardCallsAreOne) {
  const int64_t rows = 512, inputs = 40, outputs = 30;
  const Tensor x = random_f32({rows, inputs}, 1), dy = random_f32({rows, outputs}, 2);
  for (const bool held : {false, true}) {
    Tensor one = leaf(random_f32({outputs, inputs}, 3)), one_bias = leaf(random_f32({outputs}, 4));
    backward(linear(x, {nullptr, &one, &one_bias}), dy);
    Tensor two = leaf(random_f32({outputs, inputs}, 3)), two_bias = leaf(random_f32({outputs}, 4));
    Tensor before, before_bias;
    for (const int64_t first : {0, 256}) {
      if (held) before = two.gradient(), before_bias = two_bias.gradient();
      backward(linear(x.rows(first, 256), {nullptr, &two, &two_bias}), dy.rows(first, 256));
    }
    EXPECT_TRUE(same_numbers(one.gradient(), two.gradient()));
    EXPECT_TRUE(same_numbers(one_bias.gradient(), two_bias.gradient()));
    if (held) {  // what was handed out before is as it was
      EXPECT_FALSE(same_numbers(before, two.gradient()));
      Tensor half = leaf(random_f32({outputs, inputs}, 3));
      backward(linear(x.rows(0, 256), {nullptr, &half}), dy.rows(0, 256));
      EXPECT_TRUE(same_numbers(before, half.gradient()));
    }
  }
}

// The second use of the same numbers is through panels; a write makes them void.
TEST(Linear, PanelsFollowTheNumbers) {
  const Tensor x = random_f32({5, 70}, 1);
  Tensor w = leaf(random_f32({37, 70}, 2));
  const auto plain = [&] {
    const NoGradient quiet;
    const Tensor apart = w.detach();
    return linear(x, {nullptr, &apart});
  };
  const Tensor first = linear(x, {nullptr, &w});
  for (int use = 0; use < 3; ++use) {
    EXPECT_TRUE(same_numbers(linear(x, {nullptr, &w}).detach(), first.detach()));
  }
  EXPECT_TRUE(same_numbers(first.detach(), plain()));
  for (float& number : w.writable_numbers<float>()) number += 1;
  for (int use = 0; use < 3; ++use) {
    const Tensor y = linear(x, {nullptr, &w}).detach();
    EXPECT_FALSE(same_numbers(y, first.detach()));
    EXPECT_TRUE(same_numbers(y, plain()));
  }
}

template <class T>
void expect_narrow_weights_work() {
  const Tensor x = random_f32({9, 50}, 1), dy = random_f32({9, 40}, 2);
  Tensor w = leaf(narrow<T>(random_f32({40, 50}, 3)));
  Tensor wide = leaf(widen<T>(w.detach()));
  Tensor a = leaf(x.detach()), b = leaf(x.detach());
  for (int use = 0; use < 3; ++use) {  // as it lies, and packed
    const Tensor y = linear(a, {nullptr, &w}), z = linear(b, {nullptr, &wide});
    EXPECT_TRUE(same_numbers(y.detach(), z.detach()));
    backward(y, dy);
    backward(z, dy);
  }
  EXPECT_EQ(w.gradient().dtype(), DType::f32);
  EXPECT_TRUE(same_numbers(w.gradient(), wide.gradient()));
  EXPECT_TRUE(same_numbers(a.gradient(), b.gradient()));
}

TEST(Linear, NarrowWeightsEqualTheirWideNumbers) {
  expect_narrow_weights_work<f16>();
  expect_narrow_weights_work<bf16>();
}

TEST(Linear, RefusesABiasOfAnotherLength) {
  const Tensor x = random_f32({2, 3}, 1), w = random_f32({4, 3}, 2), bias = random_f32({5}, 3);
  EXPECT_THROW(linear(x, {nullptr, &w, &bias}), Error);
  const Tensor other = random_f32({4, 2}, 2);
  EXPECT_THROW(linear(x, {nullptr, &other}), Error);
}

TEST(Matmul, GradientsAreThoseOfTheFormula) {
  const auto product = [](std::span<const Tensor> in) { return matmul(in[0], in[1]); };
  EXPECT_TRUE(check_gradients(product, {random_f64({4, 3}, 1), random_f64({3, 5}, 2)}));
  EXPECT_TRUE(check_gradients(product, {random_f64({2, 4, 3}, 1), random_f64({2, 3, 5}, 2)}));
  EXPECT_TRUE(check_f32(product, {random_f64({70, 300}, 1), random_f64({300, 50}, 2)}));
  EXPECT_TRUE(check_f32(product, {random_f64({11, 20, 30}, 1), random_f64({11, 30, 9}, 2)}));
}

TEST(Matmul, RefusesShapesThatDisagree) {
  EXPECT_THROW(matmul(random_f32({2, 3}, 1), random_f32({2, 3}, 2)), Error);
  EXPECT_THROW(matmul(random_f32({1, 2, 3}, 1), random_f32({3, 3}, 2)), Error);
  EXPECT_THROW(matmul(random_f32({2, 2, 3}, 1), random_f32({3, 3, 3}, 2)), Error);
  EXPECT_THROW(matmul(random_f32({2, 3}, 1), random_f64({3, 3}, 2)), Error);
}

}  // namespace
}  // namespace regard
