// Evaluating a program at one point in double precision: what the oracle does to a score.
#include <cmath>

#include "base/check.h"
#include "expr/graph.h"

namespace regard {
namespace program {

struct EvaluatorPlan {
  Graph graph;
};

namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

// Python's // and %: the remainder is exact and has b's sign, and the quotient agrees with it.
double modulo(double a, double b) {
  const double rest = std::fmod(a, b);
  return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}
double divide_floor(double a, double b) {
  if (b == 0 || std::isinf(a)) return a / b;
  double rest = std::fmod(a, b);
  double quotient = (a - rest) / b;
  if (rest != 0 && (rest < 0) != (b < 0)) quotient -= 1;
  const double whole = std::floor(quotient);
  return quotient - whole > 0.5 ? whole + 1 : whole;
}

}  // namespace

double real_value(Op op, double a, double b, double c) {
  switch (op) {
    case Op::add:
      return a + b;
    case Op::sub:
      return a - b;
    case Op::mul:
      return a * b;
    case Op::div:
      return a / b;
    case Op::floor_div:
      return divide_floor(a, b);
    case Op::mod:
      return modulo(a, b);
    case Op::min:
      return std::isnan(a) || a < b ? a : b;
    case Op::max:
      return std::isnan(a) || a > b ? a : b;
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
      return -a;
    case Op::abs:
      return std::abs(a);
    case Op::floor:
      return std::floor(a);
    case Op::sqrt:
      return std::sqrt(a);
    case Op::exp:
      return std::exp(a);
    case Op::log:
      return std::log(a);
    case Op::tanh:
      return std::tanh(a);
    case Op::sigmoid:
      return 1 / (1 + std::exp(-a));
    case Op::sin:
      return std::sin(a);
    case Op::cos:
      return std::cos(a);
    case Op::select:
      return a != 0 ? b : c;
    default:
      return a;  // to_real
  }
}

namespace {

// The element at integer indices; false if there is none.
bool read(const ArrayRecord& array, const double* index, double& value) {
  int64_t offset = 0;
  for (int axis = 0; axis < array.rank; ++axis) {
    const auto at = static_cast<int64_t>(index[axis]);
    if (at < 0 || at >= array.shape[axis]) return false;
    offset += at * array.strides[axis];
  }
  switch (array.type) {
    case ElementType::f32:
      value = static_cast<const float*>(array.data)[offset];
      break;
    case ElementType::i32:
      value = static_cast<const int32_t*>(array.data)[offset];
      break;
    case ElementType::boolean:
      value = static_cast<const uint8_t*>(array.data)[offset] != 0 ? 1 : 0;
      break;
  }
  return true;
}

double position(int64_t value, const char* name) {
  require(value >= INT32_MIN && value <= INT32_MAX, "evaluate: {} = {} does not fit 32 bits", name,
          value);
  return static_cast<double>(value);
}

}  // namespace
}  // namespace program

Evaluator::Evaluator(const Expr& expr) {
  require(!expr.empty(), "evaluate: the expression is empty");
  plan_ = std::make_shared<program::EvaluatorPlan>(
      program::EvaluatorPlan{program::flatten({&expr, 1})});
  values_.resize(plan_->graph.nodes.size());
}

double Evaluator::operator()(const Point& point) {
  using program::Op;
  const program::Graph& graph = plan_->graph;
  bool poisoned = false;
  for (std::size_t n = 0; n < graph.nodes.size(); ++n) {
    const program::GraphNode& node = graph.nodes[n];
    double arg[4] = {};
    for (int k = 0; k < node.count; ++k) arg[k] = values_[node.args[k]];
    double& value = values_[n];
    switch (node.op) {
      case Op::constant:
        value = node.kind == ValueKind::real ? node.number : node.integer;
        break;
      case Op::score:
        value = point.s;
        break;
      case Op::batch:
        value = program::position(point.batch, "batch");
        break;
      case Op::sequence:
        value = program::position(point.sequence, "sequence");
        break;
      case Op::head:
        value = program::position(point.head, "head");
        break;
      case Op::query:
        value = program::position(point.i, "i");
        break;
      case Op::key:
        value = program::position(point.j, "j");
        break;
      case Op::row:
        value = program::position(point.row, "row");
        break;
      case Op::gather:
        if (!program::read(*graph.arrays[node.array].record(), arg, value)) {
          value = node.kind == ValueKind::real ? program::kNaN : 0;
          poisoned |= node.kind != ValueKind::real;
        }
        break;
      default:
        if (node.kind == ValueKind::real || graph.nodes[node.args[0]].kind == ValueKind::real) {
          value = program::real_value(node.op, arg[0], arg[1], arg[2]);
        } else {
          value = program::compute(node.op, node.kind, static_cast<int32_t>(arg[0]),
                                   static_cast<int32_t>(arg[1]), static_cast<int32_t>(arg[2]));
        }
    }
  }
  return poisoned ? program::kNaN : values_[graph.roots[0]];
}

double evaluate(const Expr& expr, const Point& point) { return Evaluator(expr)(point); }

}  // namespace regard
