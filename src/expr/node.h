// A node of an expression, and what its operations mean: the one definition that folding,
// evaluation and bounds share.
#pragma once

#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>

#include "regard/program.h"

namespace regard::program {

// clang-format off
enum class Op : uint8_t {
  constant, score, batch, sequence, head, query, key, row,
  // of two values
  add, sub, mul, div, floor_div, mod, min, max,
  bit_and, bit_or, bit_xor, shift_left, shift_right,
  less, less_equal, greater, greater_equal, equal, not_equal,
  // of one
  neg, bit_not, abs, floor, sqrt, exp, log, tanh, sigmoid, sin, cos, to_real, to_integer,
  select, gather,
  xor_shift,  // a ^ (a >> b) as if a had no sign: no operator gives it, cheaper() does
};
// clang-format on

struct ArrayRecord {
  std::string name;
  ElementType type = ElementType::f32;
  const void* data = nullptr;
  int rank = 0;
  std::array<int64_t, Array::kMaxRank> shape{}, strides{};
  bool differentiable = false;
  std::shared_ptr<const void> owner;
};

using NodePtr = std::shared_ptr<const Node>;

inline constexpr int kMaxDepth = 1000;  // so that walking and freeing may recurse

struct Node {
  Op op = Op::constant;
  ValueKind kind = ValueKind::real;
  int count = 0;  // of args
  std::array<NodePtr, 4> args;
  double number = 0;    // of a real constant
  int32_t integer = 0;  // of an integer constant; of a boolean one 0 or 1
  std::shared_ptr<const ArrayRecord> array;

  // Facts of the whole expression below:
  int depth = 1;
  int need = 1;  // slots it takes to compute, heaviest operand first (Sethi and Ullman 1970)
  double tree_size = 1;     // operations if nothing were shared
  bool may_poison = false;  // an integer or boolean gather: it must not be optimised away
};

inline int32_t wrap(int64_t value) noexcept {
  return static_cast<int32_t>(static_cast<uint32_t>(static_cast<uint64_t>(value)));
}
inline int64_t divide_floor(int64_t a, int64_t b) noexcept {
  if (b == 0) return 0;
  return a / b - (a % b != 0 && (a < 0) != (b < 0));
}

// Of integers and booleans (0 or 1). kind: of the result.
inline int32_t compute(Op op, ValueKind kind, int32_t a, int32_t b = 0, int32_t c = 0) noexcept {
  const int64_t x = a, y = b;
  switch (op) {
    case Op::add:
      return wrap(x + y);
    case Op::sub:
      return wrap(x - y);
    case Op::mul:
      return wrap(x * y);
    case Op::floor_div:
      return wrap(divide_floor(x, y));
    case Op::mod:
      return y == 0 ? 0 : wrap(x - divide_floor(x, y) * y);
    case Op::min:
      return a < b ? a : b;
    case Op::max:
      return a > b ? a : b;
    case Op::bit_and:
      return a & b;
    case Op::bit_or:
      return a | b;
    case Op::bit_xor:
      return a ^ b;
    case Op::shift_left:
      return b < 0 || b > 31 ? 0 : wrap(static_cast<int64_t>(static_cast<uint64_t>(x) << b));
    case Op::shift_right:
      return a >> (b < 0 || b > 31 ? 31 : b);
    case Op::less:
      return a < b;
    case Op::less_equal:
      return a <= b;
    case Op::greater:
      return a > b;
    case Op::greater_equal:
      return a >= b;
    case Op::equal:
      return a == b;
    case Op::not_equal:
      return a != b;
    case Op::neg:
      return wrap(-x);
    case Op::abs:
      return x < 0 ? wrap(-x) : a;
    case Op::bit_not:
      return kind == ValueKind::boolean ? 1 - a : ~a;
    case Op::select:
      return a != 0 ? b : c;
    case Op::xor_shift:
      return b < 0 || b > 31 ? a : wrap(a ^ (static_cast<uint32_t>(a) >> b));
    default:
      return a;  // floor, to_integer
  }
}

// Of reals, in double precision; a comparison gives 1 or 0.
double real_value(Op op, double a, double b = 0, double c = 0);

// An f32 as the kernels make it of a constant: rounded to nearest, inf beyond.
inline float to_f32(double value) noexcept {
  constexpr double kFirstInf = 0x1.ffffffp127;
  if (value >= kFirstInf) return std::numeric_limits<float>::infinity();
  if (value <= -kFirstInf) return -std::numeric_limits<float>::infinity();
  return static_cast<float>(value);
}

}  // namespace regard::program
