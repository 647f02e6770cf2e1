// Interval arithmetic for the operations of a program, a value of each operand anywhere in its
// interval. Real results are rounded outward far enough to hold what f32 arithmetic gives.
#pragma once

#include <span>

#include "expr/node.h"

namespace regard::program {

Interval real_constant_interval(double value) noexcept;
// An integer as f32: rounded beyond 2^24.
Interval real_of_integer(const Interval& a) noexcept;

// Real arguments; real or boolean result.
Interval real_interval(Op op, const Interval& a, const Interval& b) noexcept;
// Integer or boolean arguments and results. kind: of the result.
Interval integer_interval(Op op, ValueKind kind, const Interval& a, const Interval& b) noexcept;
// condition ? yes : no
Interval select_interval(const Interval& condition, const Interval& yes,
                         const Interval& no) noexcept;

}  // namespace regard::program
