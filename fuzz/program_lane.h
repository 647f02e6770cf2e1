// What an expression is worth at one point, worked out node by node: in f32 as the kernels promise
// it, and in f64 with its tangent along the score.
#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

#include "bytes.h"
#include "expr/graph.h"
#include "kernels/elementwise.h"
#include "regard/analysis.h"

namespace regard {

// known: every real operation on the way rounds once, or is a function that the kernels offer for
// arrays, too. poisoned: an integer or boolean gather on the way left its array.
struct Lane {
  double value = 0;
  bool known = true, poisoned = false;
};

// A leaf, or an element of an array; false: an element that is not there.
inline bool read_leaf(const program::Graph& graph, const program::GraphNode& node, const Point& p,
                      const double* arg, double& value) {
  using program::Op;
  if (node.op == Op::gather) {
    const program::ArrayRecord& array = *graph.arrays[node.array].record();
    int64_t offset = 0;
    for (int axis = 0; axis < array.rank; ++axis) {
      const auto at = static_cast<int64_t>(arg[axis]);
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
    }
    return true;
  }
  const int64_t places[] = {p.batch, p.sequence, p.head, p.i, p.j, p.row};
  value =
      node.op == Op::constant
          ? (node.kind == ValueKind::real ? node.number : static_cast<double>(node.integer))
      : node.op == Op::score
          ? p.s
          : static_cast<double>(places[static_cast<int>(node.op) - static_cast<int>(Op::batch)]);
  return true;
}

inline float of_array(void (*function)(const float*, int64_t, float*), double x) {
  const auto in = static_cast<float>(x);
  float out = 0;
  function(&in, 1, &out);
  return out;
}

// Every node of a graph in f32.
inline std::vector<Lane> lanes_of(const program::Graph& graph, const Point& p) {
  using program::Op;
  std::vector<Lane> lanes;
  for (const program::GraphNode& node : graph.nodes) {
    Lane lane;
    double arg[4] = {};
    for (int k = 0; k < node.count; ++k) {
      const Lane& from = lanes[node.args[k]];
      arg[k] = from.value;
      lane.known = lane.known && from.known;
      lane.poisoned = lane.poisoned || from.poisoned;
    }
    const bool of_reals = node.count > 0 && node.op != Op::gather &&
                          graph.nodes[node.args[0]].kind == ValueKind::real;
    if (node.count == 0 || node.op == Op::gather) {
      if (!read_leaf(graph, node, p, arg, lane.value)) {
        lane.value = node.kind == ValueKind::real ? NAN : 0;
        lane.poisoned = lane.poisoned || node.kind != ValueKind::real;
      }
    } else if (node.op == Op::select) {
      lane.value = arg[0] != 0 ? arg[1] : arg[2];
    } else if (!of_reals) {
      lane.value = node.op == Op::to_real
                       ? arg[0]
                       : compute(node.op, node.kind, static_cast<int32_t>(arg[0]),
                                 static_cast<int32_t>(arg[1]), static_cast<int32_t>(arg[2]));
    } else if (node.op == Op::exp) {
      lane.value = of_array(exp, arg[0]);
    } else if (node.op == Op::log) {
      lane.value = of_array(log, arg[0]);
    } else if (node.op == Op::tanh) {
      lane.value = of_array(tanh, arg[0]);
    } else if (node.op == Op::sin) {
      lane.value = of_array(sin, arg[0]);
    } else if (node.op == Op::cos) {
      lane.value = of_array(cos, arg[0]);
    } else {
      lane.value = program::real_value(node.op, arg[0], arg[1]);
      if (node.op == Op::sigmoid || node.op == Op::floor_div || node.op == Op::mod) {
        lane.known = false;
      }
    }
    if (node.kind == ValueKind::real) lane.value = static_cast<float>(lane.value);
    lanes.push_back(lane);
  }
  return lanes;
}

// f64, and the tangent along the score with the sum of the sizes that went into it.
struct Tangent {
  double value = 0, along = 0, size = 0;
};

inline Tangent tangent_of(const program::Graph& graph, const Point& p) {
  using program::Op;
  std::vector<Tangent> all;
  for (const program::GraphNode& node : graph.nodes) {
    Tangent t;
    double arg[4] = {};
    for (int k = 0; k < node.count; ++k) arg[k] = all[node.args[k]].value;
    const auto from = [&](int k) -> const Tangent& { return all[node.args[k]]; };
    const auto take = [&](int k, double factor, double size) {
      if (from(k).size == 0) return;  // constant along the score: nothing is multiplied
      t.along += from(k).along * factor;
      t.size += from(k).size * std::abs(size);
    };
    const double a = arg[0], b = arg[1];
    if (node.count == 0 || node.op == Op::gather) {
      if (!read_leaf(graph, node, p, arg, t.value)) {
        t.value = node.kind == ValueKind::real ? NAN : 0;
      }
      if (node.op == Op::score) t.along = t.size = 1;
      all.push_back(t);
      continue;
    }
    const bool of_reals = graph.nodes[node.args[0]].kind == ValueKind::real;
    if (node.op == Op::select) {
      t = a != 0 ? from(1) : from(2);
    } else if (!of_reals) {
      t.value = node.op == Op::to_real
                    ? a
                    : compute(node.op, node.kind, static_cast<int32_t>(a), static_cast<int32_t>(b),
                              static_cast<int32_t>(arg[2]));
    } else {
      const double f = t.value = program::real_value(node.op, a, b);
      switch (node.op) {
        case Op::add:
          take(0, 1, 1), take(1, 1, 1);
          break;
        case Op::sub:
          take(0, 1, 1), take(1, -1, 1);
          break;
        case Op::mul:
          take(0, b, b), take(1, a, a);
          break;
        case Op::div:
          take(0, 1 / b, 1 / b), take(1, -f / b, f / b);
          break;
        case Op::mod: {
          const double q = program::real_value(Op::floor_div, a, b);
          take(0, 1, 1), take(1, -q, q);
          break;
        }
        case Op::min:
          take(a <= b ? 0 : 1, 1, 1);
          break;
        case Op::max:
          take(a >= b ? 0 : 1, 1, 1);
          break;
        case Op::neg:
          take(0, -1, 1);
          break;
        case Op::abs:
          take(0, a > 0 ? 1 : a < 0 ? -1 : 0, 1);
          break;
        case Op::sqrt:
          take(0, 1 / (2 * f), 1 / (2 * f));
          break;
        case Op::exp:
          take(0, f, f);
          break;
        case Op::log:
          take(0, 1 / a, 1 / a);
          break;
        case Op::tanh:
          take(0, 1 - f * f, 1);
          break;
        case Op::sigmoid:
          take(0, f * (1 - f), 1);
          break;
        case Op::sin:
          take(0, std::cos(a), 1);
          break;
        case Op::cos:
          take(0, -std::sin(a), 1);
          break;
        default:
          break;  // floor, floor_div and comparisons have none
      }
    }
    all.push_back(t);
  }
  return all[graph.roots[0]];
}

}  // namespace regard
