// Two ideas: argument reduction by constants split into exact parts, then short series; and pairs
// of f64 (Dekker 1971) where one f64 is not enough.
#include "simd/f64_math.h"

#include <bit>
#include <limits>

#include "base/check.h"

namespace regard::f64 {
namespace {

constexpr double kNotANumber = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kToInteger = 0x1.8p52;  // x + this - this is the nearest integer of x

// high + low, |low| at most half an ulp of high: 106 bits.
struct Pair {
  double high;
  double low;
};

Pair sum(double a, double b) noexcept {
  const double high = a + b;
  const double b_kept = high - a;
  return {high, (a - (high - b_kept)) + (b - b_kept)};
}

Pair product(double a, double b) noexcept {
  constexpr double kSplit = 0x1p27 + 1;  // halves of 26 bits, whose products are exact
  const double a_high = a * kSplit - (a * kSplit - a);
  const double b_high = b * kSplit - (b * kSplit - b);
  const double a_low = a - a_high;
  const double b_low = b - b_high;
  const double high = a * b;
  return {high, ((a_high * b_high - high) + a_high * b_low + a_low * b_high) + a_low * b_low};
}

Pair operator+(Pair a, Pair b) noexcept {
  const Pair high = sum(a.high, b.high);
  return sum(high.high, high.low + (a.low + b.low));
}

Pair operator*(Pair a, Pair b) noexcept {
  const Pair high = product(a.high, b.high);
  return sum(high.high, high.low + (a.high * b.low + a.low * b.high));
}

template <class Number>
Number power(Number x, int64_t n) noexcept {
  Number result = x;  // n >= 1
  for (int bit = std::bit_width(static_cast<uint64_t>(n)) - 2; bit >= 0; --bit) {
    result = result * result;
    if (n >> bit & 1) result = result * x;
  }
  return result;
}

double two_to(int64_t n) noexcept {  // -1022 <= n <= 1023
  return std::bit_cast<double>(static_cast<uint64_t>(n + 1023) << 52);
}

}  // namespace

SinCos sin_cos(double angle) noexcept {
  if (!(angle >= -0x1p31 && angle <= 0x1p31)) return {kNotANumber, kNotANumber};
  const double n = (angle * 0x1.45f306dc9c883p-1 + kToInteger) - kToInteger;
  // angle - n π/2 with π/2 in three f64
  const Pair first = product(-n, 0x1.921fb54442d18p+0);
  const Pair second = product(-n, 0x1.1a62633145c07p-54);
  const Pair rest = Pair{angle, 0} + first + second + Pair{n * 0x1.f1976b7ed8fbcp-110, 0};
  const double r = rest.high;
  const double square = r * r;
  // Taylor series: at π/4 the first term left out is below 2^-60 of the result.
  double s = 1.0 / 355687428096000;
  s = s * square - 1.0 / 1307674368000;
  s = s * square + 1.0 / 6227020800;
  s = s * square - 1.0 / 39916800;
  s = s * square + 1.0 / 362880;
  s = s * square - 1.0 / 5040;
  s = s * square + 1.0 / 120;
  s = s * square - 1.0 / 6;
  s = r + (r * square * s + rest.low * (1 - square / 2));
  double c = 1.0 / 20922789888000;
  c = c * square - 1.0 / 87178291200;
  c = c * square + 1.0 / 479001600;
  c = c * square - 1.0 / 3628800;
  c = c * square + 1.0 / 40320;
  c = c * square - 1.0 / 720;
  c = c * square + 1.0 / 24;
  const double most = 1 - square / 2;
  c = most + (((1 - most) - square / 2) + (square * square * c - r * rest.low));
  switch (static_cast<int64_t>(n) & 3) {
    case 0:
      return {s, c};
    case 1:
      return {c, -s};
    case 2:
      return {-s, -c};
    default:
      return {-c, s};
  }
}

double exp(double x) noexcept {
  if (x != x) return x;
  if (x > 710) return kInfinity;
  if (x < -746) return 0;
  const double n = (x * 0x1.71547652b82fep+0 + kToInteger) - kToInteger;
  // ln 2 in a part of 33 bits, whose product with n is exact, and the rest
  const double high = x - n * 0x1.62e42feep-1;
  const double low = n * 0x1.a39ef35793c76p-33;
  const double r = high - low;
  double p = 1.0 / 6227020800;
  for (const double term : {1.0 / 479001600, 1.0 / 39916800, 1.0 / 3628800, 1.0 / 362880,
                            1.0 / 40320, 1.0 / 5040, 1.0 / 720, 1.0 / 120, 1.0 / 24, 1.0 / 6}) {
    p = p * r + term;
  }
  const double y = 1 + (high + ((r * r * (0.5 + r * p)) - low));
  const int64_t half = static_cast<int64_t>(n) / 2;
  return y * two_to(half) * two_to(static_cast<int64_t>(n) - half);
}

double log(double x) noexcept {
  if (!(x >= 0)) return kNotANumber;
  if (x == 0) return -kInfinity;
  if (x == kInfinity) return x;
  const bool tiny = x < 0x1p-1022;
  const uint64_t bits = std::bit_cast<uint64_t>(tiny ? x * 0x1p54 : x);
  // x = 2^e m with m in [√½, √2)
  const int64_t e =
      static_cast<int64_t>(bits - std::bit_cast<uint64_t>(0x1.6a09e667f3bcdp-1)) >> 52;
  const double f = std::bit_cast<double>(bits - (static_cast<uint64_t>(e) << 52)) - 1;
  const double n = static_cast<double>(e - (tiny ? 54 : 0));
  // ln(1 + f) = 2 artanh(s), s = f / (2 + f), written as f - f²/2 + s (f²/2 + R)
  const double s = f / (2 + f);
  const double square = s * s;
  double series = 2.0 / 23;
  for (const double odd : {21.0, 19.0, 17.0, 15.0, 13.0, 11.0, 9.0, 7.0, 5.0, 3.0}) {
    series = series * square + 2 / odd;
  }
  const double half_square = 0.5 * f * f;
  const double low = s * (half_square + square * series) + n * 0x1.a39ef35793c76p-33;
  return n * 0x1.62e42feep-1 - ((half_square - low) - f);
}

std::vector<double> falling_powers(double base, int64_t count) {
  require(count >= 1, "falling_powers: count ({}) is not positive", count);
  require(base >= 1 && base <= 1e30, "falling_powers: base ({}) is not in [1, 1e30]", base);
  // The root of root^count · base = 1: bisection to f64, then Newton's steps on a pair.
  double below = 0;
  double above = 1;
  for (int step = 0; step < 64; ++step) {
    const double middle = 0.5 * (below + above);
    (power(middle, count) * base < 1 ? below : above) = middle;
  }
  Pair root{above, 0};
  for (int step = 0; step < 3; ++step) {
    const Pair excess = power(root, count) * Pair{base, 0} + Pair{-1, 0};
    root = root + Pair{-root.high * excess.high / static_cast<double>(count), 0};
  }
  std::vector<double> powers(static_cast<std::size_t>(count));
  Pair next{1, 0};
  for (double& power_i : powers) {
    power_i = next.high;
    next = next * root;
  }
  return powers;
}

}  // namespace regard::f64
