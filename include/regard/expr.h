// Expressions: a score, a mask or a weight written down as a formula.
//
// An expression is an immutable graph that shares its parts. It is built by operators from leaves,
// constants and captured arrays, and prints itself.
//
// Values are real (f32 in kernels), integer (int32, wraps around) or boolean. Mixing promotes:
// boolean to integer 0 or 1, integer to real; & | ^ ~ << >> take no real value, and a condition is
// boolean. The wrong kind throws Error naming the operation.
#pragma once

#include <array>
#include <concepts>
#include <cstdint>
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

  // Of booleans only. Both sides are computed, as with & and |: nothing is cut short.
  friend Expr operator&&(const Expr& a, const Expr& b) { return logical_and(a, b); }
  friend Expr operator||(const Expr& a, const Expr& b) { return logical_or(a, b); }
  friend Expr operator!(const Expr& a) { return logical_not(a); }

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
  static Expr logical_and(const Expr& a, const Expr& b);
  static Expr logical_or(const Expr& a, const Expr& b);
  static Expr logical_not(const Expr& a);
  static Expr shift_left(const Expr& a, const Expr& b);
  static Expr shift_right(const Expr& a, const Expr& b);
  static Expr apply(Function function, const Expr& a);

  std::shared_ptr<const program::Node> node_;
};

// What the parameters of a mask or score written as a function are.
using Index = Expr;  // integer
using Value = Expr;  // real

enum class ElementType : uint8_t {
  f32,
  i32,
  boolean
};  // boolean: one byte, anything but 0 is true

// A captured array: a name and a view of numbers that stay where they are and are read when the
// program runs. Two Arrays are the same if one is a copy of the other. Calling it with as many
// indices as it has axes is a gather: bias(head(), query(), key()). An index out of range is never
// read: a real value is NaN then, and an integer or boolean one makes the whole result NaN. What a
// score or weight would read for a masked key changes nothing.
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

  template <class... Indices>
  Expr operator()(const Indices&... index) const {
    const std::array<Expr, sizeof...(Indices)> all{Expr(index)...};
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

// ---- the leaves ----

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

}  // namespace program
}  // namespace regard
