// Derivatives by the chain rule, forwards: the tangent of every value from those of its operands.
// Forwards, because a tangent that where() does not take is then dropped by a where() outside it;
// backwards it would be multiplied by 0, and 0 · inf is NaN.
#include <vector>

#include "base/check.h"
#include "expr/graph.h"

namespace regard {
namespace program {
namespace {

// Makes an expression of every value of a graph, and its tangent along one of them. An empty
// tangent is zero: nothing is ever multiplied by it, so no 0 · NaN appears.
class Tangents {
 public:
  explicit Tangents(const Graph& graph) : graph_(graph) {
    for (const GraphNode& node : graph.nodes) values_.push_back(rebuild(node));
  }

  const Expr& value(int n) const { return values_[n]; }

  Expr along(int wanted) const {
    std::vector<Expr> tangents(graph_.nodes.size());
    for (std::size_t n = 0; n < graph_.nodes.size(); ++n) {
      const GraphNode& node = graph_.nodes[n];
      if (static_cast<int>(n) == wanted) {
        tangents[n] = Expr(1.0);
      } else if (node.kind == ValueKind::real && node.op != Op::gather) {
        tangents[n] = tangent(node, values_[n], tangents);
      }
    }
    return tangents[graph_.roots[0]];
  }

 private:
  Expr rebuild(const GraphNode& node) const {
    const auto arg = [&](int k) -> const Expr& { return values_[node.args[k]]; };
    switch (node.op) {
      case Op::constant:
        return node.kind == ValueKind::real      ? Expr(node.number)
               : node.kind == ValueKind::integer ? Expr(node.integer)
                                                 : Expr(node.integer != 0);
      case Op::score:
        return score();
      case Op::batch:
        return batch();
      case Op::sequence:
        return sequence();
      case Op::head:
        return head();
      case Op::query:
        return query();
      case Op::key:
        return key();
      case Op::row:
        return row();
      case Op::add:
        return arg(0) + arg(1);
      case Op::sub:
        return arg(0) - arg(1);
      case Op::mul:
        return arg(0) * arg(1);
      case Op::div:
        return arg(0) / arg(1);
      case Op::floor_div:
        return floor_div(arg(0), arg(1));
      case Op::mod:
        return mod(arg(0), arg(1));
      case Op::min:
        return min(arg(0), arg(1));
      case Op::max:
        return max(arg(0), arg(1));
      case Op::bit_and:
        return arg(0) & arg(1);
      case Op::bit_or:
        return arg(0) | arg(1);
      case Op::bit_xor:
        return arg(0) ^ arg(1);
      case Op::shift_left:
        return arg(0) << arg(1);
      case Op::shift_right:
        return arg(0) >> arg(1);
      case Op::less:
        return arg(0) < arg(1);
      case Op::less_equal:
        return arg(0) <= arg(1);
      case Op::greater:
        return arg(0) > arg(1);
      case Op::greater_equal:
        return arg(0) >= arg(1);
      case Op::equal:
        return arg(0) == arg(1);
      case Op::not_equal:
        return arg(0) != arg(1);
      case Op::neg:
        return -arg(0);
      case Op::bit_not:
        return ~arg(0);
      case Op::abs:
        return abs(arg(0));
      case Op::floor:
        return floor(arg(0));
      case Op::sqrt:
        return sqrt(arg(0));
      case Op::exp:
        return exp(arg(0));
      case Op::log:
        return log(arg(0));
      case Op::tanh:
        return tanh(arg(0));
      case Op::sigmoid:
        return sigmoid(arg(0));
      case Op::sin:
        return sin(arg(0));
      case Op::cos:
        return cos(arg(0));
      case Op::to_real:
        return to_real(arg(0));
      case Op::to_integer:
        return to_integer(arg(0));
      case Op::select:
        return where(arg(0), arg(1), arg(2));
      case Op::gather:
      case Op::xor_shift:
        break;
    }
    std::vector<Expr> index;
    for (int k = 0; k < node.count; ++k) index.push_back(arg(k));
    return graph_.arrays[node.array].gather(index);
  }

  static Expr sum(const Expr& a, const Expr& b) {
    if (a.empty()) return b;
    return b.empty() ? a : a + b;
  }
  static Expr minus(const Expr& a) { return a.empty() ? a : -a; }
  static Expr times(const Expr& a, const Expr& factor) { return a.empty() ? a : a * factor; }
  static Expr choose(const Expr& condition, const Expr& yes, const Expr& no) {
    if (yes.empty() && no.empty()) return {};
    return where(condition, yes.empty() ? Expr(0.0) : yes, no.empty() ? Expr(0.0) : no);
  }

  Expr tangent(const GraphNode& node, const Expr& f, const std::vector<Expr>& tangents) const {
    if (node.count == 0) return {};
    const Expr a = values_[node.args[0]];
    const Expr b = node.count > 1 ? values_[node.args[1]] : Expr();
    const Expr da = tangents[node.args[0]];
    const Expr db = node.count > 1 ? tangents[node.args[1]] : Expr();
    switch (node.op) {
      case Op::add:
        return sum(da, db);
      case Op::sub:
        if (da.empty()) return minus(db);
        return db.empty() ? da : da - db;
      case Op::mul:
        return sum(times(da, b), times(db, a));
      case Op::div: {
        const Expr by_a = da.empty() ? da : da / b;
        if (db.empty()) return by_a;
        const Expr by_b = f * db / b;
        return by_a.empty() ? -by_b : by_a - by_b;
      }
      case Op::mod:
        if (db.empty()) return da;
        return da.empty() ? -(floor_div(a, b) * db) : da - floor_div(a, b) * db;
      case Op::min:
        return choose(a <= b, da, db);
      case Op::max:
        return choose(a >= b, da, db);
      case Op::neg:
        return minus(da);
      case Op::abs:
        return da.empty() ? da : where(a > 0, da, where(a < 0, -da, 0.0));
      case Op::sqrt:
        return da.empty() ? da : da / (2 * f);
      case Op::exp:
        return times(da, f);
      case Op::log:
        return da.empty() ? da : da / a;
      case Op::tanh:
        return da.empty() ? da : da * (1 - f * f);
      case Op::sigmoid:
        return da.empty() ? da : da * (f * (1 - f));
      case Op::sin:
        return da.empty() ? da : da * cos(a);
      case Op::cos:
        return da.empty() ? da : -(da * sin(a));
      case Op::select:
        return choose(a, db, tangents[node.args[2]]);
      default:
        return {};  // floor, floor_div, to_real of an integer
    }
  }

  const Graph& graph_;
  std::vector<Expr> values_;
};

Graph real_graph(const Expr& expr) {
  require(!expr.empty(), "derivative: the expression is empty");
  require(expr.kind() != ValueKind::boolean, "derivative: the expression is boolean");
  return flatten({&expr, 1});
}

}  // namespace
}  // namespace program

Expr derivative(const Expr& expr) {
  const program::Graph graph = program::real_graph(expr);
  for (std::size_t n = 0; n < graph.nodes.size(); ++n) {
    if (graph.nodes[n].op != program::Op::score) continue;
    const Expr result = program::Tangents(graph).along(static_cast<int>(n));
    return result.empty() ? Expr(0.0) : result;
  }
  return 0.0;
}

std::vector<ArrayDerivative> array_derivatives(const Expr& expr) {
  const program::Graph graph = program::real_graph(expr);
  const program::Tangents tangents(graph);
  std::vector<ArrayDerivative> found;
  for (std::size_t n = 0; n < graph.nodes.size(); ++n) {
    const program::GraphNode& node = graph.nodes[n];
    if (node.op != program::Op::gather || !graph.arrays[node.array].differentiable()) continue;
    const Expr result = tangents.along(static_cast<int>(n));
    if (result.empty()) continue;
    std::vector<Expr> index;
    for (int k = 0; k < node.count; ++k) index.push_back(tangents.value(node.args[k]));
    found.push_back({graph.arrays[node.array], std::move(index), result});
  }
  return found;
}

}  // namespace regard
