#include "kernels/adam.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "base/check.h"
#include "simd/highway.h"

#ifndef REGARD_KERNELS_ADAM_
#define REGARD_KERNELS_ADAM_
namespace regard {

// What the formula multiplies with, rounded once from f64.
template <class T>
struct AdamFactors {
  T gradient_scale;
  T keep;          // 1 - learning_rate decay
  T beta1, rest1;  // and 1 - beta
  T beta2, rest2;
  T root_of_bias2;  // 1 / sqrt(1 - beta2^step)
  T epsilon;
  T rate;  // learning_rate / (1 - beta1^step)
};

}  // namespace regard
#endif

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/adam.cc"
#include <hwy/foreach_target.h>

#include "kernels/row-inl.h"

HWY_BEFORE_NAMESPACE();
namespace regard::HWY_NAMESPACE {

struct AdamVectors {
  F32x16 scale, keep, beta1, rest1, beta2, rest2, root_of_bias2, epsilon, rate;
};

REGARD_INLINE void adam_vector(const AdamVectors& a, const F32x16& gradient, F32x16& p, F32x16& m,
                               F32x16& v) {
  const F32x16 g = mul(gradient, a.scale);
  m = fma(m, a.beta1, mul(g, a.rest1));
  v = fma(v, a.beta2, mul(mul(g, g), a.rest2));
  const F32x16 root = fma(sqrt(v), a.root_of_bias2, a.epsilon);
  p = fnma(a.rate, div(m, root), mul(p, a.keep));
}

void adam_numbers(const AdamFactors<float>& f, int64_t count, float* p, const float* gradient,
                  float* m, float* v) {
  const AdamVectors a{broadcast(f.gradient_scale), broadcast(f.keep),    broadcast(f.beta1),
                      broadcast(f.rest1),          broadcast(f.beta2),   broadcast(f.rest2),
                      broadcast(f.root_of_bias2),  broadcast(f.epsilon), broadcast(f.rate)};
  int64_t i = 0;
  for (; i + 16 <= count; i += 16) {
    F32x16 at_p = load(p + i), at_m = load(m + i), at_v = load(v + i);
    adam_vector(a, load(gradient + i), at_p, at_m, at_v);
    store(at_p, p + i);
    store(at_m, m + i);
    store(at_v, v + i);
  }
  const int left = static_cast<int>(count - i);
  if (left == 0) return;
  F32x16 at_p = load_first(p + i, left), at_m = load_first(m + i, left);
  F32x16 at_v = load_first(v + i, left);
  adam_vector(a, load_first(gradient + i, left), at_p, at_m, at_v);
  store_first(at_p, p + i, left);
  store_first(at_m, m + i, left);
  store_first(at_v, v + i, left);
}

}  // namespace regard::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace regard {
namespace {

constexpr int64_t kBlock = 1 << 14;  // numbers of a task

// x^n by squaring: no libm function decides a number.
double power(double x, int64_t n) {
  double made = 1;
  for (; n > 0; n /= 2, x *= x) {
    if (n % 2 != 0) made *= x;
  }
  return made;
}

template <class T>
AdamFactors<T> factors(const AdamW& o) {
  const double beta1 = o.beta1, beta2 = o.beta2, rate = o.learning_rate;
  return {static_cast<T>(o.gradient_scale),
          static_cast<T>(1 - rate * double{o.decay}),
          static_cast<T>(beta1),
          static_cast<T>(1 - beta1),
          static_cast<T>(beta2),
          static_cast<T>(1 - beta2),
          static_cast<T>(1 / std::sqrt(1 - power(beta2, o.step))),
          static_cast<T>(o.epsilon),
          static_cast<T>(rate / (1 - power(beta1, o.step)))};
}

void check(const AdamW& options, std::size_t p, std::size_t gradient, std::size_t m,
           std::size_t v) {
  require(p == gradient && p == m && p == v,
          "adamw: {} parameters, {} gradients, {} and {} moments", p, gradient, m, v);
  require(options.step > 0, "adamw: step {} is not positive", options.step);
}

// ((0 + 8) + (4 + 12)) ..., as sum_lanes.
double sum_of_lanes(std::array<double, 16>& lanes) {
  for (std::size_t half = 8; half >= 1; half /= 2) {
    for (std::size_t i = 0; i < half; ++i) lanes[i] += lanes[i + half];
  }
  return lanes[0];
}

double sum_of_squares(std::span<const float> numbers) {
  std::array<double, 16> lanes{};
  const std::size_t whole = numbers.size() / 16 * 16;
  for (std::size_t i = 0; i < whole; i += 16) {
    for (std::size_t lane = 0; lane < 16; ++lane) {
      const double x = numbers[i + lane];
      lanes[lane] += x * x;
    }
  }
  for (std::size_t i = whole; i < numbers.size(); ++i) {
    lanes[i - whole] += double{numbers[i]} * numbers[i];
  }
  return sum_of_lanes(lanes);
}

}  // namespace

void adamw(const AdamW& options, std::span<float> p, std::span<const float> gradient,
           std::span<float> m, std::span<float> v, ThreadPool& pool) {
  check(options, p.size(), gradient.size(), m.size(), v.size());
  const AdamFactors<float> f = factors<float>(options);
  const auto kernel = REGARD_DISPATCH(adam_numbers);
  const int64_t count = std::ssize(p);
  pool.parallel_for((count + kBlock - 1) / kBlock, [&](int64_t block, int) {
    const int64_t first = block * kBlock;
    kernel(f, std::min(kBlock, count - first), p.data() + first, gradient.data() + first,
           m.data() + first, v.data() + first);
  });
}

void adamw(const AdamW& options, std::span<double> p, std::span<const double> gradient,
           std::span<double> m, std::span<double> v) {
  check(options, p.size(), gradient.size(), m.size(), v.size());
  const AdamFactors<double> f = factors<double>(options);
  for (std::size_t i = 0; i < p.size(); ++i) {
    const double g = gradient[i] * f.gradient_scale;
    m[i] = f.beta1 * m[i] + f.rest1 * g;
    v[i] = f.beta2 * v[i] + f.rest2 * g * g;
    p[i] = p[i] * f.keep - f.rate * m[i] / (std::sqrt(v[i]) * f.root_of_bias2 + f.epsilon);
  }
}

double global_norm(std::span<const std::span<const float>> gradients, ThreadPool& pool) {
  struct Part {
    std::size_t gradient, first;
  };
  std::vector<Part> parts;
  for (std::size_t g = 0; g < gradients.size(); ++g) {
    for (std::size_t first = 0; first < gradients[g].size(); first += kBlock) {
      parts.push_back({g, first});
    }
  }
  std::vector<double> sums(parts.size());
  pool.parallel_for(std::ssize(parts), [&](int64_t i, int) {
    const Part part = parts[static_cast<std::size_t>(i)];
    const std::span<const float> all = gradients[part.gradient].subspan(part.first);
    sums[static_cast<std::size_t>(i)] =
        sum_of_squares(all.first(std::min<std::size_t>(kBlock, all.size())));
  });
  double total = 0;
  for (const double sum : sums) total += sum;
  return std::sqrt(total);
}

}  // namespace regard
#endif  // HWY_ONCE
