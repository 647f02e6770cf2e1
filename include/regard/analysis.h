// What is known of an expression without running it on tiles: its value at a point, its
// derivatives, its bounds over ranges.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "regard/expr.h"

namespace regard {

namespace program {
struct BoundsPlan;
struct EvaluatorPlan;
}  // namespace program

// ---- one point, in double precision ----

struct Point {
  double s = 0;
  int64_t batch = 0, head = 0;
  int64_t i = 0;         // the query's position among its sequence's keys
  int64_t j = 0;         // the key's position in the sequence
  int64_t row = 0;       // the query's index in this call
  int64_t sequence = 0;  // what random numbers are keyed on besides head, i and j
};

// The value; of a boolean 1 or 0. NaN if an integer or boolean gather left its array.
double evaluate(const Expr& expr, const Point& point);

// The same for many points: the graph is walked once.
class Evaluator {
 public:
  explicit Evaluator(const Expr& expr);
  double operator()(const Point& point);  // not from several threads at once

 private:
  std::shared_ptr<const program::EvaluatorPlan> plan_;
  std::vector<double> values_;
};

// ---- derivatives ----

// ∂expr/∂s. Where a function has no derivative, one of its limits or 0 is taken: of equals, min and
// max take the first operand's; |x| has 0 at 0; floor, floor_div and comparisons have 0
// everywhere, mod(a, b) = a - b floor_div(a, b) accordingly; where() has that of the side it takes,
// and nothing of the side it does not take, NaN or not, reaches the result.
Expr derivative(const Expr& expr);

// expr depends on array(index...) by ∂expr/∂array(index...) = derivative. One for each distinct
// gather of a differentiable array; those with derivative 0 are left out.
struct ArrayDerivative {
  Array array;
  std::vector<Expr> index;
  Expr derivative;
};
std::vector<ArrayDerivative> array_derivatives(const Expr& expr);

// ---- bounds over ranges: a tile is proved empty or full ----

// Every value in [lo, hi], or NaN if nan; a boolean is 0 or 1. poison: an integer or boolean gather
// may leave its array, which makes any result NaN and a masked key allowed; it implies nan.
struct Interval {
  double lo = -std::numeric_limits<double>::infinity();
  double hi = std::numeric_limits<double>::infinity();
  bool nan = true;
  bool poison = false;
  uint64_t residues = ~uint64_t{0};  // bit r: an integer that is r mod 64 may be among them

  bool always_true() const noexcept { return lo == 1 && !nan; }
  bool always_false() const noexcept { return hi == 0 && !nan; }
};

struct Span {  // inclusive at both ends
  int64_t first = 0, last = 0;
};

struct Ranges {
  Interval s = {};
  Span batch = {}, head = {}, i = {}, j = {}, row = {}, sequence = {};
  // i - row, where it is the same for every row, as in one sequence: the two do not range freely.
  std::optional<int64_t> i_minus_row = {};
};

// Interval arithmetic (Moore 1966), rounded outward so far that the kernels' f32 result lies
// inside as the f64 one does: what is proved of the interval holds for both.
class Bounds {
 public:
  explicit Bounds(const Expr& expr);
  // Summarises the captured integer and boolean arrays as they are now. Before it, their elements
  // may be anything.
  // Allocates nothing after the first time.
  void read_arrays();
  // What operator() needs to compute in.
  std::size_t scratch_size() const noexcept;
  Interval operator()(const Ranges& ranges, std::span<Interval> scratch) const;
  Interval operator()(const Ranges& ranges) const;  // brings its own scratch

 private:
  std::shared_ptr<program::BoundsPlan> plan_;
};

// Bounds once, captured arrays read for it.
Interval bound(const Expr& expr, const Ranges& ranges);

}  // namespace regard
