#include "expr/graph.h"

#include <algorithm>
#include <bit>
#include <map>
#include <tuple>
#include <unordered_map>

namespace regard::program {
namespace {

class Flattening {
 public:
  explicit Flattening(Graph& graph) : graph_(graph) {}

  int visit(const Node* node) {
    if (const auto seen = position_.find(node); seen != position_.end()) return seen->second;
    GraphNode flat{.op = node->op, .kind = node->kind, .count = node->count};
    // The operand that takes most slots goes first, so that few others wait meanwhile.
    std::array<int, 4> order{0, 1, 2, 3};
    std::stable_sort(order.begin(), order.begin() + node->count,
                     [&](int a, int b) { return node->args[a]->need > node->args[b]->need; });
    for (int k = 0; k < node->count; ++k) flat.args[order[k]] = visit(node->args[order[k]].get());
    if (flat.op == Op::greater || flat.op == Op::greater_equal) {
      flat.op = flat.op == Op::greater ? Op::less : Op::less_equal;
      std::swap(flat.args[0], flat.args[1]);
    }
    flat.number = node->number;
    flat.integer = node->integer;
    if (node->array != nullptr) flat.array = array(node->array);
    const Key key{flat.op,      flat.kind, flat.args, std::bit_cast<uint64_t>(flat.number),
                  flat.integer, flat.array};
    const auto [entry, fresh] = number_.emplace(key, static_cast<int>(graph_.nodes.size()));
    if (fresh) graph_.nodes.push_back(flat);
    position_[node] = entry->second;
    return entry->second;
  }

 private:
  using Key = std::tuple<Op, ValueKind, std::array<int, 4>, uint64_t, int32_t, int>;

  int array(const std::shared_ptr<const ArrayRecord>& record) {
    const Array wanted(record);
    const auto found = std::find(graph_.arrays.begin(), graph_.arrays.end(), wanted);
    const int index = static_cast<int>(found - graph_.arrays.begin());
    if (found == graph_.arrays.end()) graph_.arrays.push_back(wanted);
    return index;
  }

  Graph& graph_;
  std::unordered_map<const Node*, int> position_;
  std::map<Key, int> number_;
};

}  // namespace

Graph flatten(std::span<const Expr> expressions) {
  Graph graph;
  Flattening flattening(graph);
  for (const Expr& e : expressions) {
    graph.roots.push_back(e.empty() ? -1 : flattening.visit(e.node().get()));
  }
  return graph;
}

}  // namespace regard::program
