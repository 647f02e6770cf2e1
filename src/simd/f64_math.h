// f64 functions of our own, for tables made in setup code: libm's bits differ between systems.
// Error below 1 ulp.
#pragma once

#include <cstdint>
#include <vector>

namespace regard::f64 {

struct SinCos {
  double sin;
  double cos;
};
// |angle| <= 2^31; NaN beyond, at inf and NaN.
SinCos sin_cos(double angle) noexcept;

double exp(double x) noexcept;  // inf and 0 where f64 ends
double log(double x) noexcept;  // -inf at 0, NaN below

// base^(-i/count) for i in [0, count), each correctly rounded but for ties closer than 2^-40 ulp.
// Throws Error unless count >= 1 and 1 <= base <= 1e30.
std::vector<double> falling_powers(double base, int64_t count);

}  // namespace regard::f64
