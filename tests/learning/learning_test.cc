// Dropout, BatchNorm and casts.
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "learning/batch_norm.h"
#include "learning/cast.h"
#include "learning/dropout.h"
#include "learning/mask.h"
#include "ops/gradient_check.h"
#include "ops/ops.h"
#include "simd/target.h"

namespace regard {
namespace {

using gradient_check::same_numbers;
using gradient_check::to_f32;

TEST(Dropout, HasGradients) {
  const TensorFunction f = [](auto in) { return dropout(in[0], 0.3f, {.seed = 5, .key = 7}); };
  EXPECT_TRUE(check_gradients(f, {random_f64({5, 7}, 1)}));
  EXPECT_TRUE(check_f32(f, {random_f64({130, 171}, 1)}));
}

TEST(Dropout, LeavesOutItsShareAndScalesTheRest) {
  const Tensor ones = Tensor::of(std::vector<float>(100'003, 1.0f).data(), {100'003});
  for (const float rate : {0.1f, 0.5f, 0.9f}) {
    int64_t left_out = 0;
    for (const float x : dropout(ones, rate, {1, 2}).numbers<float>()) {
      if (x == 0) {
        ++left_out;
      } else {
        EXPECT_FLOAT_EQ(x, 1 / (1 - rate));
      }
    }
    EXPECT_NEAR(static_cast<double>(left_out) / 100'003, rate, 0.005);
  }
  EXPECT_TRUE(same_numbers(dropout(ones, 0, {1, 2}), ones));
  EXPECT_THROW(dropout(ones, 1, {1, 2}), Error);
  EXPECT_THROW(dropout(ones, -0.1f, {1, 2}), Error);
}

// One draw, one mask; each of seed and key makes another. An element's fate is that of its index.
TEST(Dropout, IsNamedBySeedKeyAndElement) {
  const Tensor x = to_f32(random_f64({4096 * 3 + 5}, 1));
  const Tensor first = dropout(x, 0.5f, {1, 2});
  EXPECT_TRUE(same_numbers(dropout(x, 0.5f, {1, 2}), first));
  EXPECT_TRUE(same_numbers(dropout(x.rows(0, 4099), 0.5f, {1, 2}), first.rows(0, 4099)));
  for (const Draw other :
       {Draw{2, 2}, Draw{1, 3}, Draw{uint64_t{1} << 32 | 1, 2}, Draw{1, uint64_t{1} << 32 | 2}}) {
    int64_t same = 0;
    const Tensor made = dropout(x, 0.5f, other);
    for (int64_t i = 0; i < x.size(); ++i) {
      same += (made.numbers<float>()[i] == 0) == (first.numbers<float>()[i] == 0);
    }
    EXPECT_NEAR(static_cast<double>(same) / static_cast<double>(x.size()), 0.5, 0.03);
  }
}

// Every target draws the words that the scalar definition gives, at every edge of a vector.
TEST(Dropout, DrawsTheSameOnEveryTarget) {
  const Mask mask{.first = 0x9E3779B9u, .second = 77, .threshold = 0x60000000u, .kept = 1.5f};
  for (const int64_t count : {0, 1, 15, 16, 17, 33, 4096}) {
    for (const uint32_t element : {0u, 5u, ~0u - 20}) {
      std::vector<float> x(static_cast<std::size_t>(count));
      for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i) - 7.5f;
      for (const Target target : available_targets()) {
        SCOPED_TRACE(name(target));
        const ScopedTarget forced(target);
        std::vector<float> out(x.size() + 16, -3.0f);
        mask_numbers(x.data(), element, count, mask, out.data());
        for (std::size_t i = 0; i < x.size(); ++i) {
          const bool left_out = mask.word(element + static_cast<uint32_t>(i)) < mask.threshold;
          ASSERT_EQ(out[i], left_out ? 0.0f : 1.5f * x[i]) << i;
        }
        for (std::size_t i = x.size(); i < out.size(); ++i) ASSERT_EQ(out[i], -3.0f);
      }
    }
  }
}

// Neighbours, and elements a power of two apart, fall out independently of each other.
TEST(Dropout, ShowsNoPattern) {
  const int64_t count = 1 << 18;
  const Tensor ones = Tensor::of(std::vector<float>(count, 1.0f).data(), {count});
  const Tensor made = dropout(ones, 0.5f, {11, 12});
  const auto out = made.numbers<float>();
  for (int64_t apart = 1; apart < count / 2; apart *= 2) {
    int64_t both = 0;
    for (int64_t i = 0; i + apart < count; ++i) {
      both +=
          out[static_cast<std::size_t>(i)] == 0 && out[static_cast<std::size_t>(i + apart)] == 0;
    }
    EXPECT_NEAR(static_cast<double>(both) / static_cast<double>(count - apart), 0.25, 0.006)
        << apart;
  }
}

// The second pass of a checkpoint meets the mask of the first.
TEST(Dropout, IsTheSameInACheckpoint) {
  const auto f = [](std::span<const Tensor> in) {
    return mul(dropout(in[0], 0.5f, {3, 4}), in[0]);
  };
  const auto gradient = [&](bool checkpoint) {
    Tensor x = random_f64({9, 11}, 1);
    x.require_gradient();
    const Tensor inputs[] = {x};
    backward(checkpoint ? checkpointed(f, inputs) : f(inputs), random_f64({9, 11}, 2));
    return x.gradient();
  };
  EXPECT_TRUE(same_numbers(gradient(true), gradient(false)));
}

TEST(BatchNorm, HasGradients) {
  for (const Phase phase : {Phase::train, Phase::eval}) {
    SCOPED_TRACE(static_cast<int>(phase));
    const TensorFunction f = [=](auto in) {
      RunningStatistics running =
          RunningStatistics::of_width(in[0].shape(in[0].rank() - 1), in[0].dtype());
      return batch_norm(in[0], in[1], in[2], running, 1e-3f, phase);
    };
    EXPECT_TRUE(
        check_gradients(f, {random_f64({3, 2, 4}, 1), random_f64({4}, 2), random_f64({4}, 3)}));
    EXPECT_TRUE(check_f32(
        f, {random_f64({300, 130}, 1), random_f64({130}, 2), random_f64({130}, 3)}, 2e-5));
  }
}

TEST(BatchNorm, NormalisesColumnsAndRemembersThem) {
  Tensor x = Tensor::of(std::vector<double>{1, 10, 3, 10, 5, 40}.data(), {3, 2});
  x.require_gradient();
  const Tensor gain = Tensor::of(std::vector<double>{1, 2}.data(), {2});
  const Tensor shift = Tensor::of(std::vector<double>{0, 5}.data(), {2});
  RunningStatistics running = RunningStatistics::of_width(2, DType::f64);
  running.momentum = 0.25f;
  const Tensor y = batch_norm(x, gain, shift, running, 0, Phase::train);
  EXPECT_NEAR(y.numbers<double>()[0], -2 / std::sqrt(8.0 / 3), 1e-12);
  EXPECT_NEAR(y.numbers<double>()[5], 2 * 20 / std::sqrt(200.0) + 5, 1e-12);
  EXPECT_DOUBLE_EQ(running.mean.numbers<double>()[1], 0.25 * 20);
  EXPECT_DOUBLE_EQ(running.variance.numbers<double>()[1], 0.75 + 0.25 * 300);  // unbiased
  // Nothing moves where nothing is recorded, nor in evaluation, which uses what was remembered.
  {
    const NoGradient quiet;
    batch_norm(x, gain, shift, running, 0, Phase::train);
  }
  const Tensor late = batch_norm(x, gain, shift, running, 0, Phase::eval);
  EXPECT_DOUBLE_EQ(running.mean.numbers<double>()[1], 0.25 * 20);
  EXPECT_NEAR(late.numbers<double>()[1], 2 * (10 - 5) / std::sqrt(75.75) + 5, 1e-12);
  // A checkpoint computes twice and moves once.
  const Tensor inputs[] = {x};
  backward(checkpointed(
               [&](std::span<const Tensor> in) {
                 return batch_norm(in[0], gain, shift, running, 0, Phase::train);
               },
               inputs),
           random_f64({3, 2}, 1));
  EXPECT_DOUBLE_EQ(running.mean.numbers<double>()[1], 0.75 * 5 + 0.25 * 20);
}

TEST(BatchNorm, RefusesWhatHasNoVariance) {
  const Tensor gain = random_f64({4}, 1), shift = random_f64({4}, 2);
  RunningStatistics running = RunningStatistics::of_width(4, DType::f64);
  EXPECT_THROW(batch_norm(random_f64({1, 4}, 3), gain, shift, running, 1e-5f, Phase::train), Error);
  EXPECT_NO_THROW(batch_norm(random_f64({1, 4}, 3), gain, shift, running, 1e-5f, Phase::eval));
  EXPECT_THROW(batch_norm(random_f64({3, 5}, 3), gain, shift, running, 1e-5f, Phase::eval), Error);
  RunningStatistics narrow = RunningStatistics::of_width(4);
  EXPECT_THROW(batch_norm(random_f64({3, 4}, 3), gain, shift, narrow, 1e-5f, Phase::eval), Error);
}

TEST(Cast, RoundsOnceAndPassesGradientsStraight) {
  Tensor x = to_f32(random_f64({70, 130}, 1));
  x.require_gradient();
  for (const DType narrow : {DType::bf16, DType::f16}) {
    const Tensor stored = cast(x, narrow);
    EXPECT_EQ(stored.dtype(), narrow);
    const Tensor back = cast(stored, DType::f32);
    for (int64_t i = 0; i < x.size(); ++i) {
      const float v = x.numbers<float>()[i];
      const float wanted = narrow == DType::bf16 ? to_f32(to_bf16(v)) : to_f32(to_f16(v));
      ASSERT_EQ(back.numbers<float>()[i], wanted);
    }
    x.set_gradient({});
    const Tensor cotangent = to_f32(random_f64({70, 130}, 2));
    backward(back, cotangent);
    EXPECT_TRUE(same_numbers(x.gradient(), cotangent));
  }
  // A leaf that is stored narrow has a gradient of f32.
  Tensor leaf = cast(x.detach(), DType::bf16);
  leaf.require_gradient();
  backward(scale(cast(leaf, DType::f32), 2), to_f32(random_f64({70, 130}, 2)));
  EXPECT_EQ(leaf.gradient().dtype(), DType::f32);
  EXPECT_TRUE(same_numbers(cast(x, DType::f32), x));
  EXPECT_THROW(cast(x, DType::i8), Error);
  EXPECT_THROW(cast(Tensor(), DType::f32), Error);
  Tensor wide = random_f64({3}, 1);
  wide.require_gradient();
  backward(cast(wide, DType::f32), to_f32(random_f64({3}, 2)));
  EXPECT_TRUE(same_numbers(to_f32(wide.gradient()), to_f32(random_f64({3}, 2))));
}

}  // namespace
}  // namespace regard
