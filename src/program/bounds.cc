// Bounds: interval arithmetic over a whole program.
#include "base/check.h"
#include "expr/graph.h"
#include "program/interval_math.h"
#include "program/summary.h"

namespace regard {
namespace program {

struct BoundsPlan {
  Graph graph;
  std::vector<int> summary_of;  // of an array; -1: real numbers may be anything
  std::vector<Summary> summaries;
};

namespace {

Interval position_interval(const Span& span, const char* name) {
  require(span.first <= span.last && span.first >= INT32_MIN && span.last <= INT32_MAX,
          "bound: {} from {} to {} is no range of 32-bit positions", name, span.first, span.last);
  return {static_cast<double>(span.first), static_cast<double>(span.last), false, false};
}

Interval unknown(ValueKind kind) {
  if (kind == ValueKind::real) return {};
  if (kind == ValueKind::boolean) return {0, 1, false, false};
  return {-0x1p31, 0x1p31 - 1, false, false};
}

// inside: whether no index can leave the array.
Interval gather_interval(const BoundsPlan& plan, const GraphNode& node,
                         std::span<const Interval> values, bool& inside) {
  const Array& array = plan.graph.arrays[node.array];
  int64_t first[Array::kMaxRank], last[Array::kMaxRank];
  bool none = false;
  inside = true;
  for (int axis = 0; axis < node.count; ++axis) {
    const Interval& index = values[node.args[axis]];
    const auto end = static_cast<double>(array.shape(axis) - 1);
    inside &= index.lo >= 0 && index.hi <= end;
    none |= index.hi < 0 || index.lo > end || end < 0;
    first[axis] = static_cast<int64_t>(std::max(index.lo, 0.0));
    last[axis] = static_cast<int64_t>(std::min(index.hi, end));
  }
  const int summary = plan.summary_of[node.array];
  Interval found = unknown(node.kind);
  if (summary < 0) return found;
  // What a gather outside reads is 0, beside the poison.
  if (none) return {0, 0, false, false, 1};
  if (plan.summaries[summary].is_read()) {
    const Extremes extremes = plan.summaries[summary].of(first, last);
    found.lo = extremes.lo;
    found.hi = extremes.hi;
    found.residues = extremes.residues;
    if (!inside) {
      found.residues |= 1;
      found.lo = std::min(found.lo, 0.0);
      found.hi = std::max(found.hi, 0.0);
    }
  }
  return found;
}

// i - row or row - i, where they go together.
bool known_difference(const Graph& graph, const GraphNode& node, int64_t i_minus_row,
                      Interval& value) {
  const auto op = [&](int k) { return graph.nodes[static_cast<std::size_t>(node.args[k])].op; };
  const bool forth = op(0) == Op::query && op(1) == Op::row;
  const bool back = op(0) == Op::row && op(1) == Op::query;
  if (!forth && !back) return false;
  const auto difference = static_cast<double>(wrap(forth ? i_minus_row : -i_minus_row));
  value = {difference, difference, false, false};
  return true;
}

}  // namespace
}  // namespace program

Bounds::Bounds(const Expr& expr) {
  require(!expr.empty(), "bound: the expression is empty");
  plan_ = std::make_shared<program::BoundsPlan>();
  plan_->graph = program::flatten({&expr, 1});
  for (const Array& array : plan_->graph.arrays) {
    const bool whole = array.type() != ElementType::f32;
    plan_->summary_of.push_back(whole ? static_cast<int>(plan_->summaries.size()) : -1);
    if (whole) plan_->summaries.emplace_back(array);
  }
}

void Bounds::read_arrays() {
  for (program::Summary& summary : plan_->summaries) summary.read();
}

std::size_t Bounds::scratch_size() const noexcept { return plan_->graph.nodes.size(); }

Interval Bounds::operator()(const Ranges& ranges, std::span<Interval> scratch) const {
  using program::GraphNode;
  using program::Op;
  const program::Graph& graph = plan_->graph;
  require(scratch.size() >= graph.nodes.size(), "bound: scratch for {} values, not {}",
          scratch.size(), graph.nodes.size());
  bool poison = false;
  for (std::size_t n = 0; n < graph.nodes.size(); ++n) {
    const GraphNode& node = graph.nodes[n];
    Interval& value = scratch[n];
    const auto arg = [&](int k) -> const Interval& { return scratch[node.args[k]]; };
    switch (node.op) {
      case Op::constant: {
        const auto whole = static_cast<double>(node.integer);
        value = node.kind == ValueKind::real ? program::real_constant_interval(node.number)
                                             : Interval{whole, whole, false, false};
        break;
      }
      case Op::score:
        value = {ranges.s.lo, ranges.s.hi, ranges.s.nan, false};
        break;
      case Op::batch:
        value = program::position_interval(ranges.batch, "batch");
        break;
      case Op::sequence:
        value = program::position_interval(ranges.sequence, "sequence");
        break;
      case Op::head:
        value = program::position_interval(ranges.head, "head");
        break;
      case Op::query:
        value = program::position_interval(ranges.i, "i");
        break;
      case Op::key:
        value = program::position_interval(ranges.j, "j");
        break;
      case Op::row:
        value = program::position_interval(ranges.row, "row");
        break;
      case Op::gather: {
        bool inside = true;
        value = program::gather_interval(*plan_, node, scratch, inside);
        poison |= !inside && node.kind != ValueKind::real;
        break;
      }
      case Op::select:
        value = program::select_interval(arg(0), arg(1), arg(2));
        break;
      case Op::to_real:
        value = program::real_of_integer(arg(0));
        break;
      case Op::sub:
        if (ranges.i_minus_row &&
            program::known_difference(graph, node, *ranges.i_minus_row, value))
          break;
        [[fallthrough]];
      default: {
        const Interval& a = arg(0);
        const Interval& b = arg(node.count > 1 ? 1 : 0);
        value = graph.nodes[node.args[0]].kind == ValueKind::real
                    ? program::real_interval(node.op, a, b)
                    : program::integer_interval(node.op, node.kind, a, b);
      }
    }
  }
  Interval result = scratch[graph.roots[0]];
  result.nan |= poison;
  result.poison = poison;
  return result;
}

Interval Bounds::operator()(const Ranges& ranges) const {
  std::vector<Interval> scratch(scratch_size());
  return (*this)(ranges, scratch);
}

Interval bound(const Expr& expr, const Ranges& ranges) {
  Bounds bounds(expr);
  bounds.read_arrays();
  return bounds(ranges);
}

}  // namespace regard
