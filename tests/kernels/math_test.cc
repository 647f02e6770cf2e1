// Elementary functions: their stated errors against f64, their special values, their bits.
#include "kernels/elementwise.h"
#include "simd/highway.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/math_test.cc"
#include <hwy/foreach_target.h>

#include "simd/math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace regard::HWY_NAMESPACE {

// n is a multiple of 16.
static void exp_nonpositive_array(const float* x, int64_t n, float* out) {
  for (int64_t i = 0; i < n; i += 16) store(exp_nonpositive(load(x + i)), out + i);
}

}  // namespace regard::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "kernels/bits.h"
#include "regard/error.h"
#include "simd/f64_math.h"
#include "simd/target.h"

namespace regard {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr float kTiniest = std::numeric_limits<float>::denorm_min();
constexpr float kLargest = std::numeric_limits<float>::max();

using Function = void (*)(const float*, int64_t, float*);

void run_exp_nonpositive(const float* x, int64_t n, float* out) {
  REGARD_DISPATCH(exp_nonpositive_array)(x, n, out);
}

struct Case {
  const char* name;
  Function function;
  double (*formula)(double);
  double ulps;  // the stated error
};

double exp_to_zero(double x) { return x < -126 * std::log(2.0) ? 0 : std::exp(x); }

const Case kCases[] = {
    {"exp", regard::exp, exp_to_zero, 0.9},
    {"tanh", regard::tanh, [](double x) { return std::tanh(x); }, 1.4},
    {"erf", regard::erf, [](double x) { return std::erf(x); }, 1.5},
    {"sin", regard::sin, [](double x) { return std::sin(x); }, 1.6},
    {"cos", regard::cos, [](double x) { return std::cos(x); }, 1.6},
    {"log", regard::log, [](double x) { return std::log(x); }, 0.9},
};

// Every 65,521st of all f32, the neighbourhoods where formulas change hands, and special values;
// a multiple of 16 in all.
std::vector<float> sweep() {
  std::vector<float> x{0.0f,
                       -0.0f,
                       kInf,
                       -kInf,
                       kNaN,
                       kTiniest,
                       -kTiniest,
                       kLargest,
                       -kLargest,
                       0x1p-126f,
                       1.0f,
                       -1.0f,
                       88.72283f,
                       88.72284f,
                       -87.33654f,
                       -87.33655f,
                       0x1p17f,
                       1e22f,
                       16367173.0f * 0x1p72f};
  for (uint64_t bits = 0; bits < uint64_t{1} << 32; bits += 65521) {
    x.push_back(std::bit_cast<float>(static_cast<uint32_t>(bits)));
  }
  for (const float edge : {0.625f, 0.921875f, 0.70710677f, 1.4142135f, 0.34657359f, 0.78539819f,
                           1.5707964f, 3.1415927f, 4.0f, 131072.0f, 1.0f, 2.3561945f, 9.0f}) {
    for (int step = -400; step <= 400; ++step) {
      const float near = std::bit_cast<float>(std::bit_cast<int32_t>(edge) + 97 * step);
      x.push_back(near);
      x.push_back(-near);
    }
  }
  for (int n = 1; n <= 83000; n += 7) x.push_back(static_cast<float>(n * 1.5707963267948966));
  while (x.size() % 16 != 0) x.push_back(0.5f);
  return x;
}

double ulp_of(double y) {
  int exponent = 0;
  std::frexp(y, &exponent);
  return std::ldexp(1.0, std::max(exponent, -125) - 24);
}

std::vector<float> evaluate(Function function, const std::vector<float>& x) {
  std::vector<float> y(x.size(), kNaN);
  function(x.data(), static_cast<int64_t>(x.size()), y.data());
  return y;
}

float evaluate(Function function, float x) {
  float y = kNaN;
  function(&x, 1, &y);
  return y;
}

TEST(Math, KeepsItsStatedErrorAndItsBits) {
  const std::vector<float> x = sweep();
  for (const Case& c : kCases) {
    SCOPED_TRACE(c.name);
    std::vector<float> definition;
    for (const Target target : available_targets()) {
      SCOPED_TRACE(name(target));
      const ScopedTarget forced(target);
      const std::vector<float> y = evaluate(c.function, x);
      if (target == Target::scalar) {
        definition = y;
        double worst = 0;
        float where = 0;
        for (std::size_t i = 0; i < x.size(); ++i) {
          const double exact = c.formula(x[i]);
          const auto rounded = static_cast<float>(exact);
          if (std::isnan(rounded) || std::isinf(rounded)) {
            EXPECT_TRUE(same_bits(y[i], rounded)) << x[i] << " gives " << y[i];
            continue;
          }
          const double error = std::abs(y[i] - exact) / ulp_of(rounded);
          if (!(error <= worst)) {
            worst = error;
            where = x[i];
          }
        }
        EXPECT_LE(worst, c.ulps) << "at " << where;
      }
      const int64_t differs = first_difference(y, definition);
      EXPECT_EQ(differs, -1) << "at x = "
                             << x[static_cast<std::size_t>(std::max<int64_t>(differs, 0))];
    }
  }
}

TEST(Math, KeepsTheSignOfZero) {
  for (const Target target : available_targets()) {
    const ScopedTarget forced(target);
    for (const Function function : {regard::tanh, regard::erf, regard::sin}) {
      EXPECT_TRUE(same_bits(evaluate(function, -0.0f), -0.0f));
      EXPECT_TRUE(same_bits(evaluate(function, 0.0f), 0.0f));
      EXPECT_TRUE(same_bits(evaluate(function, -kTiniest), -kTiniest));
    }
  }
}

TEST(Math, SpecialValues) {
  for (const Target target : available_targets()) {
    SCOPED_TRACE(name(target));
    const ScopedTarget forced(target);
    EXPECT_EQ(evaluate(regard::exp, 0.0f), 1.0f);
    EXPECT_EQ(evaluate(regard::exp, -0.0f), 1.0f);
    EXPECT_TRUE(same_bits(evaluate(regard::exp, -kInf), 0.0f));
    EXPECT_TRUE(same_bits(evaluate(regard::exp, -87.33655f), 0.0f));
    EXPECT_GT(evaluate(regard::exp, -87.33654f), 0.0f);
    EXPECT_EQ(evaluate(regard::exp, 89.0f), kInf);
    EXPECT_EQ(evaluate(regard::exp, kLargest), kInf);
    EXPECT_EQ(evaluate(regard::log, 1.0f), 0.0f);
    EXPECT_EQ(evaluate(regard::log, -0.0f), -kInf);
    EXPECT_EQ(evaluate(regard::log, kInf), kInf);
    EXPECT_TRUE(std::isnan(evaluate(regard::log, -kTiniest)));
    EXPECT_EQ(evaluate(regard::tanh, -kInf), -1.0f);
    EXPECT_EQ(evaluate(regard::erf, kInf), 1.0f);
    EXPECT_EQ(evaluate(regard::erf, 4.0f), 1.0f);
    EXPECT_TRUE(std::isnan(evaluate(regard::sin, kInf)));
    EXPECT_TRUE(std::isnan(evaluate(regard::cos, -kInf)));
    EXPECT_EQ(evaluate(regard::cos, kTiniest), 1.0f);
    for (const Case& c : kCases) EXPECT_TRUE(std::isnan(evaluate(c.function, kNaN))) << c.name;
  }
}

TEST(Math, EveryLengthTouchesOnlyItsOwn) {
  const std::vector<float> x = sweep();
  for (const Target target : available_targets()) {
    const ScopedTarget forced(target);
    for (const Case& c : kCases) {
      const std::vector<float> whole = evaluate(c.function, x);
      for (const int n : {0, 1, 8, 15, 16, 17, 31, 32, 33}) {
        std::vector<float> y(40, 77.0f);
        c.function(x.data() + 100, n, y.data());
        for (int i = 0; i < 40; ++i) {
          const float expected = i < n ? whole[static_cast<std::size_t>(100 + i)] : 77.0f;
          EXPECT_TRUE(same_bits(y[static_cast<std::size_t>(i)], expected)) << c.name << " " << n;
        }
      }
    }
  }
}

TEST(ExpNonpositive, KeepsItsStatedErrorAndItsBits) {
  std::vector<float> x{0.0f, -0.0f, -kTiniest, -kInf, kNaN, -kLargest, -87.33654f, -87.33655f};
  for (int64_t bits = 0x30000000; bits < 0x42b00000; bits += 1009) {
    x.push_back(-std::bit_cast<float>(static_cast<int32_t>(bits)));
  }
  while (x.size() % 16 != 0) x.push_back(-1.0f);
  std::vector<float> definition;
  for (const Target target : available_targets()) {
    SCOPED_TRACE(name(target));
    const ScopedTarget forced(target);
    const std::vector<float> y = evaluate(run_exp_nonpositive, x);
    if (target == Target::scalar) definition = y;
    EXPECT_EQ(first_difference(y, definition), -1);
    EXPECT_EQ(y[0], 1.0f);
    EXPECT_EQ(y[1], 1.0f);
    EXPECT_EQ(y[2], 1.0f);
    EXPECT_TRUE(same_bits(y[3], 0.0f));
    EXPECT_TRUE(std::isnan(y[4]));
    EXPECT_TRUE(same_bits(y[5], 0.0f));
    EXPECT_GE(y[6], 0x1p-126f);
    EXPECT_TRUE(same_bits(y[7], 0.0f));
    double worst = 0;
    double worst_near = 0;
    for (std::size_t i = 8; i < x.size(); ++i) {
      if (x[i] < -87.33654f) {
        ASSERT_TRUE(same_bits(y[i], 0.0f)) << x[i];
        continue;
      }
      const double error = std::abs(y[i] / std::exp(double{x[i]}) - 1);
      worst = std::max(worst, error);
      if (x[i] > -16) worst_near = std::max(worst_near, error);
    }
    EXPECT_LE(worst_near, 2.0e-7);
    EXPECT_LE(worst, 4.0e-7);
  }
}

// Against long double where it is wider than f64; its own error of libm is below 1 ulp of that.
TEST(F64Math, StaysBelowOneUlp) {
  std::mt19937_64 random(1);
  std::uniform_real_distribution<double> centred(-1, 1);
  const auto ulps = [](double y, long double exact) {
    int exponent = 0;
    std::frexp(static_cast<double>(exact), &exponent);
    return static_cast<double>(std::abs(y - exact)) /
           std::ldexp(1.0, std::max(exponent, -1021) - 53);
  };
  double worst = 0;
  for (int i = 0; i < 200000; ++i) {
    const double angle = centred(random) * std::ldexp(1.0, i % 32);
    const f64::SinCos at = f64::sin_cos(angle);
    const long double wide = angle;
    worst = std::max({worst, ulps(at.sin, std::sin(wide)), ulps(at.cos, std::cos(wide))});
    const double power = centred(random) * 700;
    worst = std::max(worst, ulps(f64::exp(power), std::exp(static_cast<long double>(power))));
    const double number = i % 2 == 0 ? std::exp(power) : 1 + 0.4 * centred(random);
    worst = std::max(worst, ulps(f64::log(number), std::log(static_cast<long double>(number))));
  }
  EXPECT_LE(worst, sizeof(long double) > sizeof(double) ? 1.0 : 2.0);
}

TEST(F64Math, SpecialValues) {
  constexpr double kWideInf = std::numeric_limits<double>::infinity();
  EXPECT_EQ(f64::exp(0), 1);
  EXPECT_EQ(f64::exp(-kWideInf), 0);
  EXPECT_EQ(f64::exp(1000), kWideInf);
  EXPECT_EQ(f64::exp(-745), 0x1p-1074);
  EXPECT_TRUE(std::isnan(f64::exp(std::nan(""))));
  EXPECT_EQ(f64::log(1), 0);
  EXPECT_EQ(f64::log(0), -kWideInf);
  EXPECT_EQ(f64::log(kWideInf), kWideInf);
  EXPECT_TRUE(std::isnan(f64::log(-1)));
  EXPECT_NEAR(f64::log(0x1p-1074), -1074 * std::log(2.0), 1e-12);
  EXPECT_EQ(f64::sin_cos(0).cos, 1);
  EXPECT_TRUE(std::isnan(f64::sin_cos(0x1p32).sin));
  EXPECT_TRUE(std::isnan(f64::sin_cos(kWideInf).cos));
}

TEST(F64Math, FallingPowersAreThoseOfTheBase) {
  for (const double base : {1.0, 3.7, 10000.0, 500000.0, 1e6, 1e30}) {
    for (const int64_t count : {1, 2, 3, 16, 32, 48, 64, 512}) {
      const std::vector<double> powers = f64::falling_powers(base, count);
      ASSERT_EQ(static_cast<int64_t>(powers.size()), count);
      for (int64_t i = 0; i < count; ++i) {
        const long double exponent = -static_cast<long double>(i) / count;
        const auto exact = static_cast<double>(std::pow(static_cast<long double>(base), exponent));
        EXPECT_NEAR(powers[static_cast<std::size_t>(i)] / exact, 1, 2.3e-16)
            << base << " " << i << "/" << count;
      }
    }
  }
  EXPECT_THROW(f64::falling_powers(0.5, 4), Error);
  EXPECT_THROW(f64::falling_powers(std::nan(""), 4), Error);
  EXPECT_THROW(f64::falling_powers(10, 0), Error);
}

}  // namespace
}  // namespace regard
#endif
