#include "program/interval_math.h"

#include <algorithm>
#include <bit>

namespace regard::program {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();
// Each f32 operation errs by less than 2^-21 of its result (simd/math-inl.h states at most 4.4e-7),
// or by 2^-125 near 0, and overflows from 2^128 on.
constexpr double kRelative = 0x1p-21, kAbsolute = 0x1p-125, kLargest = 0x1.ffffep127;
constexpr double kInt32Min = -0x1p31, kInt32Max = 0x1p31 - 1;

Interval everything() { return {}; }

// keeps_sign: what is exactly not below (above) 0 is not below (above) 0 when computed.
Interval widened(double lo, double hi, bool nan, bool keeps_sign = true) {
  if (std::isnan(lo) || std::isnan(hi)) return everything();
  double below = lo - std::abs(lo) * kRelative - kAbsolute;
  double above = hi + std::abs(hi) * kRelative + kAbsolute;
  if (std::isinf(lo)) below = lo;
  if (std::isinf(hi)) above = hi;
  if (keeps_sign && lo >= 0) below = std::max(below, 0.0);
  if (keeps_sign && hi <= 0) above = std::min(above, 0.0);
  // Beyond the largest f32 the computed value may be infinite, on whichever side.
  if (below < -kLargest) below = -kInf;
  if (above > kLargest) above = kInf;
  if (below > kLargest) below = kLargest;
  if (above < -kLargest) above = -kLargest;
  return {below, above, nan, false};
}

bool reaches_inf(const Interval& a) { return a.lo == -kInf || a.hi == kInf; }
bool holds_zero(const Interval& a) { return a.lo <= 0 && a.hi >= 0; }
double magnitude(const Interval& a) { return std::max(std::abs(a.lo), std::abs(a.hi)); }

Interval sum(const Interval& a, const Interval& b) {
  const bool nan =
      a.nan || b.nan || (a.hi == kInf && b.lo == -kInf) || (a.lo == -kInf && b.hi == kInf);
  double lo = a.lo + b.lo, hi = a.hi + b.hi;
  if (std::isnan(lo)) lo = -kInf;
  if (std::isnan(hi)) hi = kInf;
  return widened(lo, hi, nan);
}

Interval negative(const Interval& a) { return {-a.hi, -a.lo, a.nan, false}; }

Interval product(const Interval& a, const Interval& b) {
  const bool nan =
      a.nan || b.nan || (reaches_inf(a) && holds_zero(b)) || (reaches_inf(b) && holds_zero(a));
  double lo = kInf, hi = -kInf;
  for (const double x : {a.lo, a.hi}) {
    for (const double y : {b.lo, b.hi}) {
      const double z = x == 0 || y == 0 ? 0 : x * y;
      lo = std::min(lo, z);
      hi = std::max(hi, z);
    }
  }
  return widened(lo, hi, nan);
}

Interval quotient(const Interval& a, const Interval& b) {
  if (holds_zero(b)) {
    Interval any = everything();
    any.nan = a.nan || b.nan || holds_zero(a) || (reaches_inf(a) && reaches_inf(b));
    return any;
  }
  if (reaches_inf(a) && reaches_inf(b)) return everything();
  double lo = kInf, hi = -kInf;
  for (const double x : {a.lo, a.hi}) {
    for (const double y : {b.lo, b.hi}) {
      lo = std::min(lo, x / y);
      hi = std::max(hi, x / y);
    }
  }
  return widened(lo, hi, a.nan || b.nan);
}

Interval floored(const Interval& a) { return {std::floor(a.lo), std::floor(a.hi), a.nan, false}; }

Interval floor_quotient(const Interval& a, const Interval& b) {
  Interval q = floored(quotient(a, b));
  if (reaches_inf(b)) q.lo -= 1;  // -1 // inf is -1, though -1 / inf is -0
  return q;
}

// a - b ⌊a / b⌋ lies between 0 and b, up to the rounding of the product.
Interval remainder(const Interval& a, const Interval& b) {
  const double slack = (magnitude(a) + (reaches_inf(b) ? 0 : magnitude(b))) * kRelative + kAbsolute;
  const bool nan = a.nan || b.nan || holds_zero(b) || reaches_inf(a);
  // Where the quotient may overflow, its product with b is anything.
  const double nearest = holds_zero(b) ? 0 : std::min(std::abs(b.lo), std::abs(b.hi));
  if (!std::isfinite(slack) || magnitude(a) >= kLargest * nearest) return everything();
  return {std::min(b.lo, 0.0) - slack, std::max(b.hi, 0.0) + slack, nan, false};
}

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

Interval function(Op op, const Interval& a) {
  switch (op) {
    case Op::sqrt:
      if (a.hi < 0) return everything();
      return widened(std::sqrt(std::max(a.lo, 0.0)), std::sqrt(a.hi), a.nan || a.lo < 0);
    case Op::exp:
      return widened(std::exp(a.lo), std::exp(a.hi), a.nan);
    case Op::log:
      if (a.hi < 0) return everything();
      return widened(std::log(std::max(a.lo, 0.0)), std::log(a.hi), a.nan || a.lo < 0, false);
    case Op::tanh:
      return widened(std::tanh(a.lo), std::tanh(a.hi), a.nan);
    case Op::sigmoid:
      return widened(sigmoid(a.lo), sigmoid(a.hi), a.nan);
    default:  // sin, cos
      return widened(-1, 1, a.nan || reaches_inf(a));
  }
}

constexpr Interval truth(bool may_fail, bool may_hold) {
  return {may_fail ? 0.0 : 1.0, may_hold ? 1.0 : 0.0, false, false};
}

// Of reals (nan counts) and of integers and booleans (their nan does not).
Interval comparison(Op op, const Interval& a, const Interval& b, bool nan) {
  const bool apart = a.hi < b.lo || b.hi < a.lo;
  const bool same = a.lo == a.hi && b.lo == b.hi && a.lo == b.lo;
  switch (op) {
    case Op::less:
      return truth(nan || a.hi >= b.lo, a.lo < b.hi);
    case Op::less_equal:
      return truth(nan || a.hi > b.lo, a.lo <= b.hi);
    case Op::greater:
      return comparison(Op::less, b, a, nan);
    case Op::greater_equal:
      return comparison(Op::less_equal, b, a, nan);
    case Op::equal:
      return truth(nan || !same, !apart);
    default:  // not_equal, true of a NaN
      return truth(!apart, nan || !same);
  }
}

bool is_comparison(Op op) { return op >= Op::less && op <= Op::not_equal; }

// Exact bounds; the result wraps around if they leave 32 bits.
Interval wrapping(double lo, double hi) {
  if (lo < kInt32Min || hi > kInt32Max) return {kInt32Min, kInt32Max, false, false};
  return {lo, hi, false, false};
}

// The hull of what an operation gives where each operand is at one of a few values.
template <class Compute>
Interval hull(std::initializer_list<double> as, std::initializer_list<double> bs, Interval start,
              const Compute& value) {
  for (const double a : as) {
    for (const double b : bs) {
      const double z = value(a, b);
      start.lo = std::min(start.lo, z);
      start.hi = std::max(start.hi, z);
    }
  }
  return start;
}
constexpr Interval kNothing{kInf, -kInf, false, false};

// Which numbers mod 64 a set of integers may hold.
uint64_t residues_of(const Interval& a) {
  const double wide = a.hi - a.lo;
  if (wide >= 63) return a.residues;
  const auto first = static_cast<unsigned>(static_cast<int64_t>(a.lo) & 63);
  const uint64_t run = (uint64_t{1} << static_cast<unsigned>(wide + 1)) - 1;
  return a.residues & std::rotl(run, static_cast<int>(first));
}

Interval integer_floor_div(const Interval& a, const Interval& b) {
  if (b.lo == b.hi && b.lo > 0) {  // exact in f64: the operands have 32 bits
    return {std::floor(a.lo / b.lo), std::floor(a.hi / b.lo), false, false};
  }
  Interval q = holds_zero(b) ? Interval{0, 0, false, false} : kNothing;
  const auto divide = [](double x, double y) {
    return static_cast<double>(divide_floor(static_cast<int64_t>(x), static_cast<int64_t>(y)));
  };
  // Monotone in a, and in b on either side of 0.
  if (b.hi > 0) q = hull({a.lo, a.hi}, {std::max(b.lo, 1.0), b.hi}, q, divide);
  if (b.lo < 0) q = hull({a.lo, a.hi}, {b.lo, std::min(b.hi, -1.0)}, q, divide);
  return wrapping(q.lo, q.hi);
}

Interval integer_mod(const Interval& a, const Interval& b) {
  if (b.lo == b.hi && b.lo > 0) {
    const double first = std::floor(a.lo / b.lo);
    if (first == std::floor(a.hi / b.lo)) {  // within one period
      return {a.lo - first * b.lo, a.hi - first * b.lo, false, false};
    }
  }
  Interval r{0, 0, false, false};
  if (b.hi > 0) r.hi = a.lo >= 0 && b.lo > 0 ? std::min(a.hi, b.hi - 1) : b.hi - 1;
  if (b.lo < 0) r.lo = b.lo + 1;
  return r;
}

// Numbers of so many bits and a sign are closed under & | ^.
Interval bitwise(Op op, const Interval& a, const Interval& b) {
  double power = 1;
  while (std::min(a.lo, b.lo) < -power || std::max(a.hi, b.hi) > power - 1) power *= 2;
  Interval r{-power, power - 1, false, false};
  if (op == Op::bit_and) {
    if (a.lo >= 0 || b.lo >= 0) r.lo = 0;
    if (a.lo >= 0) r.hi = std::min(r.hi, a.hi);
    if (b.lo >= 0) r.hi = std::min(r.hi, b.hi);
  } else if (a.lo >= 0 && b.lo >= 0) {
    r.lo = op == Op::bit_or ? std::max(a.lo, b.lo) : 0;
  }
  return r;
}

Interval shifted(Op op, const Interval& a, const Interval& count) {
  const bool outside = count.lo < 0 || count.hi > 31;
  const double first = std::clamp(count.lo, 0.0, 31.0), last = std::clamp(count.hi, 0.0, 31.0);
  if (op == Op::shift_left) {
    const Interval start = outside ? Interval{0, 0, false, false} : kNothing;
    const Interval r = hull({a.lo, a.hi}, {first, last}, start,
                            [](double x, double c) { return std::ldexp(x, static_cast<int>(c)); });
    return wrapping(r.lo, r.hi);
  }
  return hull({a.lo, a.hi}, {first, last, outside ? 31.0 : last}, kNothing,
              [](double x, double c) { return std::floor(std::ldexp(x, -static_cast<int>(c))); });
}

}  // namespace

Interval real_constant_interval(double value) noexcept {
  if (std::isnan(value)) return everything();
  if (static_cast<double>(to_f32(value)) == value) return {value, value, false, false};
  return widened(value, value, false);
}

Interval real_of_integer(const Interval& a) noexcept {
  constexpr double kExact = 0x1p24;
  if (a.lo >= -kExact && a.hi <= kExact) return {a.lo, a.hi, false, false};
  return widened(a.lo, a.hi, false);
}

Interval real_interval(Op op, const Interval& a, const Interval& b) noexcept {
  if (is_comparison(op)) return comparison(op, a, b, a.nan || b.nan);
  switch (op) {
    case Op::add:
      return sum(a, b);
    case Op::sub:
      return sum(a, negative(b));
    case Op::mul:
      return product(a, b);
    case Op::div:
      return quotient(a, b);
    case Op::floor_div:
      return floor_quotient(a, b);
    case Op::mod:
      return remainder(a, b);
    case Op::min:
      return {std::min(a.lo, b.lo), std::min(a.hi, b.hi), a.nan || b.nan, false};
    case Op::max:
      return {std::max(a.lo, b.lo), std::max(a.hi, b.hi), a.nan || b.nan, false};
    case Op::neg:
      return negative(a);
    case Op::abs:
      return {holds_zero(a) ? 0 : std::min(std::abs(a.lo), std::abs(a.hi)), magnitude(a), a.nan,
              false};
    case Op::floor:
      return floored(a);
    default:
      return function(op, a);
  }
}

Interval integer_interval(Op op, ValueKind kind, const Interval& a, const Interval& b) noexcept {
  if (a.lo == a.hi && b.lo == b.hi) {
    const double exact = compute(op, kind, static_cast<int32_t>(a.lo), static_cast<int32_t>(b.lo));
    return {exact, exact, false, false};
  }
  if ((op == Op::equal || op == Op::not_equal) && (residues_of(a) & residues_of(b)) == 0) {
    return op == Op::equal ? truth(true, false) : truth(false, true);
  }
  if (is_comparison(op)) return comparison(op, a, b, false);
  switch (op) {
    case Op::add:
      return wrapping(a.lo + b.lo, a.hi + b.hi);
    case Op::sub:
      return wrapping(a.lo - b.hi, a.hi - b.lo);
    case Op::mul: {
      const Interval r =
          hull({a.lo, a.hi}, {b.lo, b.hi}, kNothing, [](double x, double y) { return x * y; });
      return wrapping(r.lo, r.hi);
    }
    case Op::floor_div:
      return integer_floor_div(a, b);
    case Op::mod:
      return integer_mod(a, b);
    case Op::min:
      return {std::min(a.lo, b.lo), std::min(a.hi, b.hi), false, false};
    case Op::max:
      return {std::max(a.lo, b.lo), std::max(a.hi, b.hi), false, false};
    case Op::bit_and:
    case Op::bit_or:
    case Op::bit_xor:
      if (kind != ValueKind::boolean) return bitwise(op, a, b);
      if (op == Op::bit_and) return {std::min(a.lo, b.lo), std::min(a.hi, b.hi), false, false};
      if (op == Op::bit_or) return {std::max(a.lo, b.lo), std::max(a.hi, b.hi), false, false};
      return {0, 1, false, false};
    case Op::shift_left:
    case Op::shift_right:
      return shifted(op, a, b);
    case Op::neg:
      return wrapping(-a.hi, -a.lo);
    case Op::bit_not:
      return kind == ValueKind::boolean ? Interval{1 - a.hi, 1 - a.lo, false, false}
                                        : Interval{-a.hi - 1, -a.lo - 1, false, false};
    case Op::abs:
      return wrapping(holds_zero(a) ? 0 : std::min(std::abs(a.lo), std::abs(a.hi)), magnitude(a));
    default:
      return {a.lo, a.hi, false, false};  // to_integer
  }
}

Interval select_interval(const Interval& condition, const Interval& yes,
                         const Interval& no) noexcept {
  if (condition.lo == 1) return yes;
  if (condition.hi == 0) return no;
  return {std::min(yes.lo, no.lo), std::max(yes.hi, no.hi), yes.nan || no.nan, false};
}

}  // namespace regard::program
