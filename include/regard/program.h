// Programs: what is done to a score and which keys are allowed, written down as a formula.
//
//   out = normalise(score(scale · q kᵀ) where mask) v
//
//   using namespace regard::program;
//   const Expr score_program = tanh(score() / 30) * 30;                         // a softcap
//   const Expr mask_program = causal_mask() & (query() - key() < 256);          // a window
//
// An expression is an immutable graph that shares its parts. It is built by operators, prints
// itself, is evaluated at one point in double precision, bounded over ranges (so that a tile is
// proved empty or full without a stored mask) and differentiated symbolically. The kernels run it
// as a list of vector instructions, a tile at a time; there is no compiler.
//
// Values are real (f32 in kernels), integer (int32, wraps around) or boolean. Mixing promotes:
// boolean to integer 0 or 1, integer to real; & | ^ ~ << >> take no real value, and a condition is
// boolean. The wrong kind throws Error naming the operation.
#pragma once

#include <array>
#include <concepts>
#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "regard/view.h"

namespace regard {

namespace program {
struct Node;         // one operation of an expression
struct ArrayRecord;  // what an Array is a handle of
struct BoundsPlan;
struct EvaluatorPlan;
}  // namespace program

enum class ValueKind : uint8_t { real, integer, boolean };

class Expr {
 public:
  Expr() = default;  // no expression: scores stay as they are, every key is allowed
  template <std::floating_point T>
  Expr(T value) : Expr(real_constant(static_cast<double>(value))) {}  // NOLINT: implicit by design
  template <std::integral T>
  Expr(T value)  // NOLINT: implicit by design
      : Expr(std::is_same_v<T, bool> ? boolean_constant(value != 0)
                                     : integer_constant(static_cast<int64_t>(value))) {}
  explicit Expr(std::shared_ptr<const program::Node> node) : node_(std::move(node)) {}

  bool empty() const noexcept { return node_ == nullptr; }
  ValueKind kind() const;  // throws Error when empty
  const std::shared_ptr<const program::Node>& node() const noexcept { return node_; }

  // Of two integers + - * are integer, / is real as in Python.
  friend Expr operator+(const Expr& a, const Expr& b) { return add(a, b); }
  friend Expr operator-(const Expr& a, const Expr& b) { return subtract(a, b); }
  friend Expr operator*(const Expr& a, const Expr& b) { return multiply(a, b); }
  friend Expr operator/(const Expr& a, const Expr& b) { return divide(a, b); }
  friend Expr operator-(const Expr& a) { return negate(a); }
  // ⌊a / b⌋ and a - b ⌊a / b⌋, as Python's // and %: mod has b's sign. Integers by 0 give 0, reals
  // by 0 what IEEE division gives, and mod NaN.
  friend Expr floor_div(const Expr& a, const Expr& b) { return floor_divide(a, b); }
  friend Expr mod(const Expr& a, const Expr& b) { return modulo(a, b); }
  friend Expr operator%(const Expr& a, const Expr& b) { return modulo(a, b); }
  // NaN if either is NaN.
  friend Expr min(const Expr& a, const Expr& b) { return smaller(a, b); }
  friend Expr max(const Expr& a, const Expr& b) { return larger(a, b); }

  // With a NaN all are false but !=.
  friend Expr operator<(const Expr& a, const Expr& b) { return less(a, b); }
  friend Expr operator<=(const Expr& a, const Expr& b) { return less_equal(a, b); }
  friend Expr operator>(const Expr& a, const Expr& b) { return greater(a, b); }
  friend Expr operator>=(const Expr& a, const Expr& b) { return greater_equal(a, b); }
  friend Expr operator==(const Expr& a, const Expr& b) { return equal(a, b); }
  friend Expr operator!=(const Expr& a, const Expr& b) { return not_equal(a, b); }
  // condition ? yes : no. Both sides are computed; the side not taken is not used, NaN or not.
  friend Expr where(const Expr& condition, const Expr& yes, const Expr& no) {
    return select(condition, yes, no);
  }

  // Of booleans logical, of integers bit by bit. Shift counts outside 0 .. 31 leave 0, or with >>
  // the sign.
  friend Expr operator&(const Expr& a, const Expr& b) { return bit_and(a, b); }
  friend Expr operator|(const Expr& a, const Expr& b) { return bit_or(a, b); }
  friend Expr operator^(const Expr& a, const Expr& b) { return bit_xor(a, b); }
  friend Expr operator~(const Expr& a) { return bit_not(a); }
  friend Expr operator<<(const Expr& a, const Expr& b) { return shift_left(a, b); }
  friend Expr operator>>(const Expr& a, const Expr& b) { return shift_right(a, b); }

  friend Expr tanh(const Expr& a) { return apply(Function::tanh, a); }
  friend Expr exp(const Expr& a) { return apply(Function::exp, a); }
  friend Expr log(const Expr& a) { return apply(Function::log, a); }
  friend Expr sigmoid(const Expr& a) { return apply(Function::sigmoid, a); }
  friend Expr sqrt(const Expr& a) { return apply(Function::sqrt, a); }
  friend Expr sin(const Expr& a) { return apply(Function::sin, a); }
  friend Expr cos(const Expr& a) { return apply(Function::cos, a); }
  // Of integers integer.
  friend Expr floor(const Expr& a) { return apply(Function::floor, a); }
  friend Expr abs(const Expr& a) { return apply(Function::abs, a); }
  // Integers and booleans as real, booleans as 0 or 1.
  friend Expr to_real(const Expr& a) { return apply(Function::to_real, a); }
  friend Expr to_integer(const Expr& a) { return apply(Function::to_integer, a); }

 private:
  enum class Function : uint8_t {
    tanh,
    exp,
    log,
    sigmoid,
    sqrt,
    sin,
    cos,
    floor,
    abs,
    to_real,
    to_integer
  };
  static Expr real_constant(double value);
  static Expr integer_constant(int64_t value);
  static Expr boolean_constant(bool value);
  static Expr add(const Expr& a, const Expr& b);
  static Expr subtract(const Expr& a, const Expr& b);
  static Expr multiply(const Expr& a, const Expr& b);
  static Expr divide(const Expr& a, const Expr& b);
  static Expr negate(const Expr& a);
  static Expr floor_divide(const Expr& a, const Expr& b);
  static Expr modulo(const Expr& a, const Expr& b);
  static Expr smaller(const Expr& a, const Expr& b);
  static Expr larger(const Expr& a, const Expr& b);
  static Expr less(const Expr& a, const Expr& b);
  static Expr less_equal(const Expr& a, const Expr& b);
  static Expr greater(const Expr& a, const Expr& b);
  static Expr greater_equal(const Expr& a, const Expr& b);
  static Expr equal(const Expr& a, const Expr& b);
  static Expr not_equal(const Expr& a, const Expr& b);
  static Expr select(const Expr& condition, const Expr& yes, const Expr& no);
  static Expr bit_and(const Expr& a, const Expr& b);
  static Expr bit_or(const Expr& a, const Expr& b);
  static Expr bit_xor(const Expr& a, const Expr& b);
  static Expr bit_not(const Expr& a);
  static Expr shift_left(const Expr& a, const Expr& b);
  static Expr shift_right(const Expr& a, const Expr& b);
  static Expr apply(Function function, const Expr& a);

  std::shared_ptr<const program::Node> node_;
};

enum class ElementType : uint8_t {
  f32,
  i32,
  boolean
};  // boolean: one byte, anything but 0 is true

// A captured array: a name and a view of numbers that stay where they are and are read when the
// program runs. Two Arrays are the same if one is a copy of the other. Calling it with as many
// indices as it has axes is a gather: bias(head(), query(), key()). An index out of range is never
// read: a real value is NaN then, and an integer or boolean one makes the whole result NaN.
class Array {
 public:
  static constexpr int kMaxRank = 4;

  // element: float, int32_t, uint8_t or bool. A differentiable array (real only) gets a gradient.
  template <class T, int Rank>
  Array(std::string name, View<T, Rank> view, bool differentiable = false)
      : Array(std::move(name), type_of<std::remove_const_t<T>>(), view.data, view.shape,
              view.strides, differentiable) {
    static_assert(Rank <= kMaxRank);
  }
  // owner, if any, keeps the numbers alive.
  Array(std::string name, ElementType type, const void* data, std::span<const int64_t> shape,
        std::span<const int64_t> strides, bool differentiable = false,
        std::shared_ptr<const void> owner = nullptr);
  // An array that holds its numbers itself, row-major. shape empty: one axis.
  static Array of(std::string name, std::vector<float> numbers, std::vector<int64_t> shape = {},
                  bool differentiable = false);
  static Array of(std::string name, std::vector<int32_t> numbers, std::vector<int64_t> shape = {});

  template <class... Index>
  Expr operator()(const Index&... index) const {
    const std::array<Expr, sizeof...(Index)> all{Expr(index)...};
    return gather(all);
  }
  Expr gather(std::span<const Expr> index) const;  // integer expressions, one an axis

  const std::string& name() const noexcept;
  ElementType type() const noexcept;
  int rank() const noexcept;
  int64_t shape(int axis) const noexcept;
  int64_t stride(int axis) const noexcept;  // elements
  const void* data() const noexcept;
  bool differentiable() const noexcept;
  friend bool operator==(const Array& a, const Array& b) noexcept { return a.record_ == b.record_; }

  explicit Array(std::shared_ptr<const program::ArrayRecord> record) : record_(std::move(record)) {}
  const std::shared_ptr<const program::ArrayRecord>& record() const noexcept { return record_; }

 private:
  template <class T>
  static constexpr ElementType type_of() {
    if constexpr (std::is_same_v<T, float>) return ElementType::f32;
    if constexpr (std::is_same_v<T, int32_t>) return ElementType::i32;
    static_assert(std::is_same_v<T, float> || std::is_same_v<T, int32_t> ||
                      std::is_same_v<T, uint8_t> || std::is_same_v<T, bool>,
                  "an Array holds float, int32_t, uint8_t or bool");
    return ElementType::boolean;
  }

  std::shared_ptr<const program::ArrayRecord> record_;
};

// The formula, in Python's notation and precedence with no parenthesis too many. Parts that occur
// often in a very large expression are named first: "t1 = ...; t2 = ...; t1 * t2".
std::string to_string(const Expr& expr);

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

  bool always_true() const noexcept { return lo == 1 && !nan; }
  bool always_false() const noexcept { return hi == 0 && !nan; }
};

struct Span {  // inclusive at both ends
  int64_t first = 0, last = 0;
};

struct Ranges {
  Interval s = {};
  Span batch = {}, head = {}, i = {}, j = {}, row = {}, sequence = {};
};

// Interval arithmetic (Moore 1966), rounded outward so far that the kernels' f32 result lies
// inside as the f64 one does: what is proved of the interval holds for both.
class Bounds {
 public:
  explicit Bounds(const Expr& expr);
  // Summarises the captured integer and boolean arrays: smallest and largest element of every
  // block of 16 (of 16 × 16 over the last two axes). Before it, their elements may be anything.
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

// ---- the leaves, and programs from papers ----

namespace program {

Expr score();   // s: the scaled similarity
Expr weight();  // in a weight program: the normalised weight p. The same leaf, and printed as s too
Expr batch();
Expr head();
Expr query();  // i: the query's position among its sequence's keys
Expr key();    // j: the key's position in the sequence
Expr row();    // the query's index in this call
// The segment's sequence id, by default its index: what random numbers are keyed on, so that they
// do not depend on the sequence's place in the batch.
Expr sequence();

// Masks: true where the key is allowed. They compose with & | ~.

Expr causal_mask();                                // j <= i
Expr window(const Expr& left, const Expr& right);  // -left <= j - i <= right
Expr prefix(const Expr& n);  // j < n; causal_mask() | prefix(n) is a prefix LM (Raffel et al. 2020)
Expr documents(const Array& ids);      // id[i] == id[j]; ids integer, [keys] or [batch, keys]
Expr lengths(const Array& keys);       // j < keys[batch]; integer, [batch]
Expr left_padding(const Array& pads);  // j >= pads[batch]; integer, [batch]
// allowed[..., row, j], boolean, the last of the axes [batch, heads, rows, keys]; an axis of
// extent 1 is broadcast.
Expr allowed(const Array& mask);
// blocks[..., ⌊i / block_q⌋, ⌊j / block_k⌋], boolean, the last of [batch, heads, q blocks, k
// blocks] (Child et al. 2019).
Expr block_sparse(const Array& blocks, int block_q, int block_k);
// Tree decoding (Miao et al. 2023): the keys from position first on are a tree of drafts, and row r
// sees draft t if bit t mod 32 of bits[r, ⌊t / 32⌋] is set. Keys before first are allowed. The
// default first is the call's first row: i - row. bits integer, [rows, words].
Expr tree_bits(const Array& bits);
Expr tree_bits(const Array& bits, const Expr& first);
Expr chunk(const Expr& n);       // ⌊i / n⌋ == ⌊j / n⌋
Expr dilated(const Expr& step);  // (i - j) mod step == 0
// Neighbourhood attention (Hassani et al. 2023; dilated 2022): the `kernel` keys nearest to the
// query, at the borders moved inwards, among those whose position agrees mod dilation. length, or
// height · width row-major, is the number of positions; kernel · dilation may not exceed it.
Expr natten(int length, int kernel, int dilation = 1);
Expr natten_2d(int height, int width, int kernel_y, int kernel_x, int dilation = 1);

// Scores: s with something done to it. To chain them, give the first as the second's s.

// s + slopes[h] (j - i), slopes real [heads] (Press et al. 2022).
Expr alibi(const Array& slopes, const Expr& s = score());
// 2^(-8 k / heads), k = 1 .. heads; if heads is no power of two, those of the next lower power p
// and then every other one of 2 p, as the paper's own code does.
std::vector<float> alibi_slopes(int heads);
// s + table[bucket(j - i), h], table real [buckets, heads] (Raffel et al. 2020). Distances below
// half the buckets (of a direction) have one each, longer ones share them logarithmically up to
// max_distance.
Expr t5_bias(const Array& table, int buckets, int max_distance, bool bidirectional,
             const Expr& s = score());
// The bucket of every distance j - i from -max_distance to max_distance.
std::vector<int32_t> t5_buckets(int buckets, int max_distance, bool bidirectional);
// s + table[h, clamp(i - j, -m, m) + m], table real [heads, 2 m + 1] or [2 m + 1] (Shaw et al.
// 2018).
Expr relative_position(const Array& table, const Expr& s = score());
Expr softcap(const Expr& cap, const Expr& s = score());  // tanh(s / cap) cap (Gemma 2, 2024)
// s + bias[..., row, j], the last of the axes [batch, heads, rows, keys]; an axis of extent 1 is
// broadcast.
Expr additive_bias(const Array& bias, const Expr& s = score());

// Random numbers by counting: each score has its own, a hash of (seed, sequence, head, i, j), the
// same on every machine, whatever is computed beside it. Integer operations only, so exact.

// In [0, 1): 24 random bits times 2^-24.
Expr uniform(uint64_t seed);
// -log(-log(u)) with u in (0, 1), and of its own: independent of uniform(seed) (Gumbel 1954). The
// key with the largest s + gumbel_noise(seed) is a draw from softmax(s).
Expr gumbel_noise(uint64_t seed);

}  // namespace program
}  // namespace regard
