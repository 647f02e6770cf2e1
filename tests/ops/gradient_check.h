// Gradients of the tape against central differences in f64, and f32 against f64.
//
//   EXPECT_TRUE(check_gradients([&](auto in) { return rms_norm(in[0], in[1], 1e-5f); }, {x,
//   gain}));
//
// A function takes tensors and gives one; what it captures has no gradient. Its result is weighed
// with random numbers (the cotangent), so that errors cannot cancel.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <random>
#include <span>
#include <vector>

#include "tensor/pool.h"
#include "tensor/tape.h"

namespace regard {

using TensorFunction = std::function<Tensor(std::span<const Tensor>)>;

// Normal numbers of f64; `size` is their standard deviation.
inline Tensor random_f64(Tensor::Shape shape, uint32_t seed, double size = 1) {
  Tensor made(shape, DType::f64);
  std::mt19937 random(seed);
  std::normal_distribution<double> normal(0, size);
  for (double& x : made.writable_numbers<double>()) x = normal(random);
  return made;
}
inline Tensor random_f64(Tensor::Extents shape, uint32_t seed, double size = 1) {
  return random_f64(Tensor::Shape(shape.begin(), shape.size()), seed, size);
}

namespace gradient_check {

inline Tensor to_f32(const Tensor& x) {
  Tensor made(x.shape(), DType::f32);
  std::ranges::transform(x.numbers<double>(), made.writable_numbers<float>().begin(),
                         [](double v) { return static_cast<float>(v); });
  return made;
}
inline Tensor to_f64(const Tensor& x) {
  Tensor made(x.shape(), DType::f64);
  std::ranges::copy(x.numbers<float>(), made.writable_numbers<double>().begin());
  return made;
}

// The result and the gradient of every input, each empty where nothing came.
struct Run {
  Tensor result;
  std::vector<Tensor> gradients;
};

inline Run run(const TensorFunction& function, std::vector<Tensor> inputs,
               const Tensor& cotangent) {
  for (Tensor& input : inputs) input.require_gradient();
  Run made{function(inputs), {}};
  backward(made.result, cotangent);
  for (const Tensor& input : inputs) made.gradients.push_back(input.gradient());
  return made;
}

inline bool same_numbers(const Tensor& a, const Tensor& b) {
  const auto bytes = [](const Tensor& x) {
    return x.dtype() == DType::f64 ? std::as_bytes(x.numbers<double>())
                                   : std::as_bytes(x.numbers<float>());
  };
  if (static_cast<bool>(a) != static_cast<bool>(b)) return false;
  return !a || (std::ranges::equal(a.shape(), b.shape()) && a.dtype() == b.dtype() &&
                std::ranges::equal(bytes(a), bytes(b)));
}

// Σ cotangent · function(inputs with element i of input k moved to x).
inline long double weighed(const TensorFunction& function, const std::vector<Tensor>& inputs,
                           std::size_t k, std::size_t i, double x, const Tensor& cotangent) {
  std::vector<Tensor> moved = inputs;
  moved[k] = Tensor::like(inputs[k]);
  std::ranges::copy(inputs[k].numbers<double>(), moved[k].writable_numbers<double>().begin());
  moved[k].writable_numbers<double>()[i] = x;
  const NoGradient quiet;
  const Tensor result = function(moved);
  long double sum = 0;
  for (std::size_t n = 0; n < result.numbers<double>().size(); ++n) {
    sum += static_cast<long double>(result.numbers<double>()[n]) * cotangent.numbers<double>()[n];
  }
  return sum;
}

// Five points: the error is (step^4 / 30) times the fifth derivative.
inline double difference(const TensorFunction& function, const std::vector<Tensor>& inputs,
                         std::size_t k, std::size_t i, const Tensor& cotangent) {
  const double x = inputs[k].numbers<double>()[i];
  const double step = 0x1p-10 * std::max(1.0, std::abs(x));
  const auto at = [&](double move) { return weighed(function, inputs, k, i, x + move, cotangent); };
  return static_cast<double>((8 * (at(step) - at(-step)) - (at(2 * step) - at(-2 * step))) /
                             (12 * step));
}

}  // namespace gradient_check

// Does every element of the gradient of every input (f64) agree with central differences? The
// error is relative to the largest element of that input's gradient. Also: the numbers must be the
// same recorded or not.
inline testing::AssertionResult check_gradients(const TensorFunction& function,
                                                std::vector<Tensor> inputs,
                                                double tolerance = 1e-6) {
  using namespace gradient_check;
  Tensor quiet;
  {
    const NoGradient nothing;
    quiet = function(inputs);
  }
  if (quiet.dtype() != DType::f64) {
    return testing::AssertionFailure() << "the result is " << quiet.describe() << ", not f64";
  }
  const Tensor cotangent = random_f64(quiet.shape(), 20261);
  const Run got = run(function, inputs, cotangent);
  if (!same_numbers(got.result, quiet)) {
    return testing::AssertionFailure() << "the result differs when it is recorded";
  }
  for (std::size_t k = 0; k < inputs.size(); ++k) {
    const auto count = static_cast<std::size_t>(inputs[k].size());
    std::vector<double> wanted(count);
    double largest = 0;
    for (std::size_t i = 0; i < count; ++i) {
      wanted[i] = difference(function, inputs, k, i, cotangent);
      largest = std::max(largest, std::abs(wanted[i]));
    }
    // Where nothing depends on an input the differences are rounding alone.
    const double allowed = tolerance * std::max(largest, 1e-5);
    for (std::size_t i = 0; i < count; ++i) {
      const Tensor& gradient = got.gradients[k];
      const double is = gradient ? gradient.numbers<double>()[i] : 0;
      if (!(std::abs(is - wanted[i]) <= allowed)) {
        return testing::AssertionFailure()
               << "input " << k << " element " << i << " of " << inputs[k].describe()
               << ": gradient " << is << (gradient ? "" : " (none came)")
               << ", central differences " << wanted[i] << ", largest " << largest;
      }
    }
  }
  return testing::AssertionSuccess();
}

// Do the result and the gradients in f32 agree with those in f64 on the same (rounded) inputs, each
// relative to its largest number; and are their bits the same on one, two and three threads?
inline testing::AssertionResult check_f32(const TensorFunction& function,
                                          const std::vector<Tensor>& inputs,
                                          double tolerance = 1e-5) {
  using namespace gradient_check;
  std::vector<Tensor> narrow, wide;
  for (const Tensor& input : inputs) {
    narrow.push_back(to_f32(input));
    wide.push_back(to_f64(narrow.back()));
  }
  const Tensor cotangent = to_f32(random_f64(function(wide).shape(), 20262));
  const Run exact = run(function, wide, to_f64(cotangent));
  Run first;
  for (const int threads : {1, 2, 3}) {
    ThreadPool pool(threads);
    const UsePool use(pool);
    const Run got = run(function, narrow, cotangent);
    const auto compare = [&](const std::string& what, const Tensor& is, const Tensor& one,
                             const Tensor& wanted) -> testing::AssertionResult {
      if (threads > 1) {
        if (same_numbers(is, one)) return testing::AssertionSuccess();
        return testing::AssertionFailure()
               << what << " has other bits on " << threads << " threads";
      }
      if (!is || !wanted) {
        if (!is && !wanted) return testing::AssertionSuccess();
        return testing::AssertionFailure() << what << " came in only one precision";
      }
      if (is.dtype() != DType::f32 || !std::ranges::equal(is.shape(), wanted.shape())) {
        return testing::AssertionFailure()
               << what << " is " << is.describe() << " for " << wanted.describe();
      }
      double largest = 0;
      for (const double x : wanted.numbers<double>()) largest = std::max(largest, std::abs(x));
      for (std::size_t i = 0; i < is.numbers<float>().size(); ++i) {
        const double a = is.numbers<float>()[i], b = wanted.numbers<double>()[i];
        if (!(std::abs(a - b) <= tolerance * largest)) {
          return testing::AssertionFailure() << what << " element " << i << ": " << a << " in f32, "
                                             << b << " in f64, largest " << largest;
        }
      }
      return testing::AssertionSuccess();
    };
    if (auto agreed = compare("the result", got.result, first.result, exact.result); !agreed) {
      return agreed;
    }
    for (std::size_t k = 0; k < inputs.size(); ++k) {
      const Tensor one = threads > 1 ? first.gradients[k] : Tensor();
      if (auto agreed = compare("the gradient of input " + std::to_string(k), got.gradients[k], one,
                                exact.gradients[k]);
          !agreed) {
        return agreed;
      }
    }
    if (threads == 1) first = got;
  }
  return testing::AssertionSuccess();
}

}  // namespace regard
