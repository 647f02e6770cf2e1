#include "program/cheaper.h"

#include <algorithm>
#include <bit>

namespace regard::program {
namespace {

class Rewriting {
 public:
  explicit Rewriting(const Graph& from) { graph_.arrays = from.arrays; }

  void add(GraphNode node) {
    for (int k = 0; k < node.count; ++k) node.args[k] = place_[index(node.args[k])];
    place_.push_back(rewritten(node));
  }

  Graph finish(const std::vector<int>& roots) {
    for (const int root : roots) graph_.roots.push_back(root < 0 ? root : place_[index(root)]);
    return without_the_dead();
  }

 private:
  static std::size_t index(int n) { return static_cast<std::size_t>(n); }
  const GraphNode& at(int n) const { return graph_.nodes[index(n)]; }

  bool is_constant(int n, int32_t& value) const {
    value = at(n).integer;
    return at(n).op == Op::constant && at(n).kind == ValueKind::integer;
  }
  int append(const GraphNode& node) {
    graph_.nodes.push_back(node);
    return static_cast<int>(graph_.nodes.size()) - 1;
  }
  int constant(int32_t value) {
    int32_t other;
    for (int n = 0; n < static_cast<int>(graph_.nodes.size()); ++n) {
      if (is_constant(n, other) && other == value) return n;
    }
    return append({.op = Op::constant, .kind = ValueKind::integer, .integer = value});
  }

  int rewritten(GraphNode node) {
    int32_t value;
    const bool whole = node.kind == ValueKind::integer;
    if (whole && (node.op == Op::floor_div || node.op == Op::mod) &&
        is_constant(node.args[1], value) && value > 0 && (value & (value - 1)) == 0) {
      const bool divides = node.op == Op::floor_div;
      const int shift = std::countr_zero(static_cast<uint32_t>(value));
      node.op = divides ? Op::shift_right : Op::bit_and;
      node.args[1] = constant(divides ? shift : value - 1);
    }
    if (whole && node.op == Op::bit_xor) {
      for (int k = 0; k < 2; ++k) {
        const int shift = unsigned_shift(node.args[index(1 - k)], node.args[index(k)]);
        if (shift < 0) continue;
        node.op = Op::xor_shift;
        node.args = {node.args[index(k)], shift};
        break;
      }
    }
    return append(node);
  }

  // The count, where n is x >> count & the bits that were there before; else -1.
  int unsigned_shift(int n, int x) const {
    const GraphNode& masked = at(n);
    if (masked.op != Op::bit_and || masked.kind != ValueKind::integer) return -1;
    for (int k = 0; k < 2; ++k) {
      int32_t bits, count;
      const GraphNode& shifted = at(masked.args[index(k)]);
      if (!is_constant(masked.args[index(1 - k)], bits) || shifted.op != Op::shift_right ||
          shifted.args[0] != x || !is_constant(shifted.args[1], count) || count < 1 || count > 31) {
        continue;
      }
      if (static_cast<uint32_t>(bits) == 0xffffffffu >> count) return shifted.args[1];
    }
    return -1;
  }

  Graph without_the_dead() {
    std::vector<bool> needed(graph_.nodes.size());
    for (const int root : graph_.roots) {
      if (root >= 0) needed[index(root)] = true;
    }
    for (int n = static_cast<int>(graph_.nodes.size()) - 1; n >= 0; --n) {
      for (int k = 0; needed[index(n)] && k < at(n).count; ++k) needed[index(at(n).args[k])] = true;
    }
    Graph result{{}, graph_.arrays, graph_.roots};
    std::vector<int> moved(graph_.nodes.size());
    for (std::size_t n = 0; n < graph_.nodes.size(); ++n) {
      if (!needed[n]) continue;
      GraphNode node = graph_.nodes[n];
      for (int k = 0; k < node.count; ++k) node.args[k] = moved[index(node.args[k])];
      moved[n] = static_cast<int>(result.nodes.size());
      result.nodes.push_back(node);
    }
    for (int& root : result.roots) root = root < 0 ? root : moved[index(root)];
    return result;
  }

  Graph graph_;
  std::vector<int> place_;  // of the nodes given
};

}  // namespace

Graph cheaper(const Graph& graph) {
  Rewriting rewriting(graph);
  for (const GraphNode& node : graph.nodes) rewriting.add(node);
  return rewriting.finish(graph.roots);
}

}  // namespace regard::program
