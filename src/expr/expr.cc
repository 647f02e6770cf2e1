// Building expressions: every operator checks the kinds of its operands, promotes them and makes a
// node, unless what it would compute is already known. An identity is used only where it changes
// no bit, drops no NaN and drops no gather that could leave its array.
#include <algorithm>

#include "base/check.h"
#include "expr/node.h"

namespace regard {
namespace program {
namespace {

const char* name(ValueKind kind) {
  return kind == ValueKind::real ? "real" : kind == ValueKind::integer ? "integer" : "boolean";
}

bool is_constant(const Expr& e) { return e.node()->op == Op::constant; }
bool is_integer(const Expr& e, int32_t value) {
  return is_constant(e) && e.kind() != ValueKind::real && e.node()->integer == value;
}
bool is_real(const Expr& e, double value) {
  return is_constant(e) && e.kind() == ValueKind::real && e.node()->number == value &&
         std::signbit(e.node()->number) == std::signbit(value);
}

// A value that is the same in f32: computing with it in f64 and rounding is computing in f32.
bool is_f32(double value) {
  return std::isnan(value) || static_cast<double>(to_f32(value)) == value;
}

Expr integer_like(ValueKind kind, int32_t value) {
  return kind == ValueKind::boolean ? Expr(value != 0) : Expr(value);
}

// Gives a node its operands and what follows from them.
void take(Node& node, std::span<const Expr> args) {
  for (const Expr& arg : args) {
    const NodePtr& below = arg.node();
    node.args[node.count++] = below;
    node.depth = std::max(node.depth, below->depth + 1);
    node.tree_size += below->tree_size;
    node.may_poison |= below->may_poison;
  }
  require(node.depth <= kMaxDepth, "program: more than {} operations inside one another",
          kMaxDepth);
  for (int k = 0; k < node.count; ++k) {  // the k-th heaviest is computed while k values wait
    int heavier = 0;
    for (int other = 0; other < node.count; ++other) {
      const int difference = node.args[other]->need - node.args[k]->need;
      heavier += difference > 0 || (difference == 0 && other < k) ? 1 : 0;
    }
    node.need = std::max(node.need, node.args[k]->need + heavier);
  }
}

Expr make(Op op, ValueKind kind, std::initializer_list<Expr> args) {
  auto node = std::make_shared<Node>();
  node->op = op;
  node->kind = kind;
  take(*node, std::span(args.begin(), args.size()));
  return Expr(std::move(node));
}

Expr fold_reals(Op op, ValueKind kind, double a, double b) {
  switch (op) {
    case Op::add:
    case Op::sub:
    case Op::mul:
    case Op::div:
    case Op::min:
    case Op::max:
    case Op::less:
    case Op::less_equal:
    case Op::greater:
    case Op::greater_equal:
    case Op::equal:
    case Op::not_equal:
    case Op::neg:
    case Op::abs:
    case Op::floor:
      break;
    default:
      return {};
  }
  const double value = real_value(op, a, b);
  if (kind == ValueKind::boolean) return Expr(value != 0);
  return op == Op::neg || op == Op::abs || is_f32(value) ? Expr(value) : Expr();
}

// What an operation on constants gives, or nothing.
Expr folded(Op op, ValueKind kind, const Expr& a, const Expr& b) {
  const Node& x = *a.node();
  if (!is_constant(a) || (!b.empty() && !is_constant(b))) return {};
  if (x.kind != ValueKind::real) {
    if (kind == ValueKind::real) {  // to_real, / of integers having made reals of them first
      return is_f32(x.integer) ? Expr(static_cast<double>(x.integer)) : Expr();
    }
    return integer_like(kind, compute(op, kind, x.integer, b.empty() ? 0 : b.node()->integer));
  }
  const double y = b.empty() ? 0 : b.node()->number;
  const bool exact = is_f32(x.number) && is_f32(y);
  return exact || op == Op::neg || op == Op::abs ? fold_reals(op, kind, x.number, y) : Expr();
}

Expr unary(Op op, ValueKind kind, const Expr& a) {
  const Expr known = folded(op, kind, a, {});
  if (!known.empty()) return known;
  const Node& x = *a.node();
  if ((op == Op::neg || op == Op::bit_not) && x.op == op) return Expr(x.args[0]);
  if ((op == Op::floor || op == Op::abs) && x.op == op) return a;
  return make(op, kind, {a});
}

Expr binary(Op op, ValueKind kind, const Expr& a, const Expr& b) {
  const Expr known = folded(op, kind, a, b);
  if (!known.empty()) return known;
  const bool logical = kind == ValueKind::boolean;
  switch (op) {
    case Op::add:  // not of reals: -0 + 0 is +0
      if (is_integer(a, 0)) return b;
      if (is_integer(b, 0)) return a;
      break;
    case Op::sub:
      if (is_integer(b, 0) || is_real(b, 0.0)) return a;
      break;
    case Op::mul:
      if (is_integer(a, 1) || is_real(a, 1)) return b;
      if (is_integer(b, 1) || is_real(b, 1)) return a;
      if (is_integer(a, 0) && !b.node()->may_poison) return a;
      if (is_integer(b, 0) && !a.node()->may_poison) return b;
      break;
    case Op::div:
      if (is_real(b, 1)) return a;
      break;
    case Op::floor_div:
      if (is_integer(b, 1)) return a;
      break;
    case Op::bit_and:
      if (logical && is_integer(a, 1)) return b;
      if (logical && is_integer(b, 1)) return a;
      if (is_integer(a, 0) && !b.node()->may_poison) return a;
      if (is_integer(b, 0) && !a.node()->may_poison) return b;
      break;
    case Op::bit_or:
      if (is_integer(a, 0)) return b;
      if (is_integer(b, 0)) return a;
      if (logical && is_integer(a, 1) && !b.node()->may_poison) return a;
      if (logical && is_integer(b, 1) && !a.node()->may_poison) return b;
      break;
    case Op::bit_xor:
    case Op::shift_left:
    case Op::shift_right:
      if (is_integer(b, 0)) return a;
      if (op == Op::bit_xor && is_integer(a, 0)) return b;
      break;
    default:
      break;
  }
  return make(op, kind, {a, b});
}

void check(const Expr& e, const char* operation) {
  require(!e.empty(), "program: {} of an empty expression", operation);
}

Expr as_real(const Expr& e) {
  if (e.kind() == ValueKind::real) return e;
  const Expr integer =
      e.kind() == ValueKind::boolean ? unary(Op::to_integer, ValueKind::integer, e) : e;
  return unary(Op::to_real, ValueKind::real, integer);
}
Expr as_integer(const Expr& e) {
  return e.kind() == ValueKind::boolean ? unary(Op::to_integer, ValueKind::integer, e) : e;
}

ValueKind common(const Expr& a, const Expr& b) {
  return a.kind() == ValueKind::real || b.kind() == ValueKind::real ? ValueKind::real
                                                                    : ValueKind::integer;
}
Expr as(ValueKind kind, const Expr& e) {
  return kind == ValueKind::real ? as_real(e) : kind == ValueKind::integer ? as_integer(e) : e;
}

Expr arithmetic(Op op, const char* symbol, const Expr& a, const Expr& b) {
  check(a, symbol);
  check(b, symbol);
  const ValueKind kind = op == Op::div ? ValueKind::real : common(a, b);
  return binary(op, kind, as(kind, a), as(kind, b));
}

Expr comparison(Op op, const char* symbol, const Expr& a, const Expr& b) {
  check(a, symbol);
  check(b, symbol);
  const bool booleans = a.kind() == ValueKind::boolean && b.kind() == ValueKind::boolean;
  const ValueKind kind =
      booleans && (op == Op::equal || op == Op::not_equal) ? ValueKind::boolean : common(a, b);
  return binary(op, ValueKind::boolean, as(kind, a), as(kind, b));
}

Expr bits(Op op, const char* symbol, const Expr& a, const Expr& b) {
  check(a, symbol);
  check(b, symbol);
  require(a.kind() != ValueKind::real && b.kind() != ValueKind::real,
          "program: {} takes integers or booleans, not {} and {}", symbol, name(a.kind()),
          name(b.kind()));
  const bool shift = op == Op::shift_left || op == Op::shift_right;
  const bool logical = a.kind() == ValueKind::boolean && b.kind() == ValueKind::boolean && !shift;
  const ValueKind kind = logical ? ValueKind::boolean : ValueKind::integer;
  return binary(op, kind, as(kind, a), as(kind, b));
}

Expr leaf(Op op, ValueKind kind) { return make(op, kind, {}); }

}  // namespace

Expr score() { return leaf(Op::score, ValueKind::real); }
Expr weight() { return score(); }
Expr batch() { return leaf(Op::batch, ValueKind::integer); }
Expr head() { return leaf(Op::head, ValueKind::integer); }
Expr query() { return leaf(Op::query, ValueKind::integer); }
Expr key() { return leaf(Op::key, ValueKind::integer); }
Expr row() { return leaf(Op::row, ValueKind::integer); }
Expr sequence() { return leaf(Op::sequence, ValueKind::integer); }

}  // namespace program

using program::Op;

ValueKind Expr::kind() const {
  require(node_ != nullptr, "program: an empty expression has no kind");
  return node_->kind;
}

Expr Expr::real_constant(double value) {
  auto node = std::make_shared<program::Node>();
  node->number = value;
  return Expr(std::move(node));
}
Expr Expr::integer_constant(int64_t value) {
  require(value >= INT32_MIN && value <= INT32_MAX, "program: the constant {} does not fit 32 bits",
          value);
  auto node = std::make_shared<program::Node>();
  node->kind = ValueKind::integer;
  node->integer = static_cast<int32_t>(value);
  return Expr(std::move(node));
}
Expr Expr::boolean_constant(bool value) {
  auto node = std::make_shared<program::Node>();
  node->kind = ValueKind::boolean;
  node->integer = value ? 1 : 0;
  return Expr(std::move(node));
}

Expr Expr::add(const Expr& a, const Expr& b) { return program::arithmetic(Op::add, "+", a, b); }
Expr Expr::subtract(const Expr& a, const Expr& b) {
  return program::arithmetic(Op::sub, "-", a, b);
}
Expr Expr::multiply(const Expr& a, const Expr& b) {
  return program::arithmetic(Op::mul, "*", a, b);
}
Expr Expr::divide(const Expr& a, const Expr& b) { return program::arithmetic(Op::div, "/", a, b); }
Expr Expr::floor_divide(const Expr& a, const Expr& b) {
  return program::arithmetic(Op::floor_div, "//", a, b);
}
Expr Expr::modulo(const Expr& a, const Expr& b) { return program::arithmetic(Op::mod, "%", a, b); }
Expr Expr::smaller(const Expr& a, const Expr& b) {
  return program::arithmetic(Op::min, "min", a, b);
}
Expr Expr::larger(const Expr& a, const Expr& b) {
  return program::arithmetic(Op::max, "max", a, b);
}

Expr Expr::less(const Expr& a, const Expr& b) { return program::comparison(Op::less, "<", a, b); }
Expr Expr::less_equal(const Expr& a, const Expr& b) {
  return program::comparison(Op::less_equal, "<=", a, b);
}
Expr Expr::greater(const Expr& a, const Expr& b) {
  return program::comparison(Op::greater, ">", a, b);
}
Expr Expr::greater_equal(const Expr& a, const Expr& b) {
  return program::comparison(Op::greater_equal, ">=", a, b);
}
Expr Expr::equal(const Expr& a, const Expr& b) {
  return program::comparison(Op::equal, "==", a, b);
}
Expr Expr::not_equal(const Expr& a, const Expr& b) {
  return program::comparison(Op::not_equal, "!=", a, b);
}

Expr Expr::bit_and(const Expr& a, const Expr& b) { return program::bits(Op::bit_and, "&", a, b); }
Expr Expr::bit_or(const Expr& a, const Expr& b) { return program::bits(Op::bit_or, "|", a, b); }
Expr Expr::bit_xor(const Expr& a, const Expr& b) { return program::bits(Op::bit_xor, "^", a, b); }
Expr Expr::shift_left(const Expr& a, const Expr& b) {
  return program::bits(Op::shift_left, "<<", a, b);
}
Expr Expr::shift_right(const Expr& a, const Expr& b) {
  return program::bits(Op::shift_right, ">>", a, b);
}

namespace program {
namespace {

void check_boolean(const char* symbol, const Expr& a) {
  check(a, symbol);
  require(a.kind() == ValueKind::boolean, "program: {} takes booleans, not {}", symbol,
          name(a.kind()));
}

}  // namespace
}  // namespace program

Expr Expr::logical_and(const Expr& a, const Expr& b) {
  for (const Expr* e : {&a, &b}) program::check_boolean("&&", *e);
  return bit_and(a, b);
}
Expr Expr::logical_or(const Expr& a, const Expr& b) {
  for (const Expr* e : {&a, &b}) program::check_boolean("||", *e);
  return bit_or(a, b);
}
Expr Expr::logical_not(const Expr& a) {
  program::check_boolean("!", a);
  return bit_not(a);
}

Expr Expr::bit_not(const Expr& a) {
  program::check(a, "~");
  require(a.kind() != ValueKind::real, "program: ~ takes an integer or boolean, not real");
  return program::unary(Op::bit_not, a.kind(), a);
}

Expr Expr::negate(const Expr& a) {
  program::check(a, "-");
  const Expr value = program::as(program::common(a, a), a);
  return program::unary(Op::neg, value.kind(), value);
}

Expr Expr::select(const Expr& condition, const Expr& yes, const Expr& no) {
  for (const Expr* e : {&condition, &yes, &no}) program::check(*e, "where");
  require(condition.kind() == ValueKind::boolean,
          "program: where takes a boolean condition, not {}", program::name(condition.kind()));
  const bool booleans = yes.kind() == ValueKind::boolean && no.kind() == ValueKind::boolean;
  const ValueKind kind = booleans ? ValueKind::boolean : program::common(yes, no);
  const Expr a = program::as(kind, yes), b = program::as(kind, no);
  if (program::is_integer(condition, 1) && !b.node()->may_poison) return a;
  if (program::is_integer(condition, 0) && !a.node()->may_poison) return b;
  return program::make(Op::select, kind, {condition, a, b});
}

Expr Expr::apply(Function function, const Expr& a) {
  using program::as_integer;
  using program::as_real;
  using program::unary;
  struct Entry {
    Op op;
    const char* name;
  };
  static constexpr Entry kEntries[] = {
      {Op::tanh, "tanh"},
      {Op::exp, "exp"},
      {Op::log, "log"},
      {Op::sigmoid, "sigmoid"},
      {Op::sqrt, "sqrt"},
      {Op::sin, "sin"},
      {Op::cos, "cos"},
      {Op::floor, "floor"},
      {Op::abs, "abs"},
      {Op::to_real, "to_real"},
      {Op::to_integer, "to_integer"},
  };
  const Entry& entry = kEntries[static_cast<int>(function)];
  program::check(a, entry.name);
  switch (entry.op) {
    case Op::to_real:
      return as_real(a);
    case Op::to_integer:
      require(a.kind() != ValueKind::real, "program: to_integer takes an integer or boolean");
      return as_integer(a);
    case Op::floor:
      return a.kind() == ValueKind::real ? unary(entry.op, a.kind(), a) : as_integer(a);
    case Op::abs: {
      const Expr value = program::as(program::common(a, a), a);
      return unary(entry.op, value.kind(), value);
    }
    default:
      return unary(entry.op, ValueKind::real, as_real(a));
  }
}

Expr Array::gather(std::span<const Expr> index) const {
  const program::ArrayRecord& array = *record_;
  require(static_cast<int>(index.size()) == array.rank,
          "program: {} has {} axes and is given {} indices", array.name, array.rank, index.size());
  auto node = std::make_shared<program::Node>();
  node->op = Op::gather;
  node->kind = array.type == ElementType::f32   ? ValueKind::real
               : array.type == ElementType::i32 ? ValueKind::integer
                                                : ValueKind::boolean;
  node->array = record_;
  node->may_poison = array.type != ElementType::f32;
  for (const Expr& e : index) {
    program::check(e, "an index");
    require(e.kind() == ValueKind::integer, "program: an index of {} is {}, not integer",
            array.name, program::name(e.kind()));
  }
  program::take(*node, index);
  return Expr(std::move(node));
}

}  // namespace regard
