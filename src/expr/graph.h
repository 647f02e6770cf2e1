// Graph: expressions laid out in the order of computing, every distinct value once. What evaluates,
// bounds or lowers an expression walks over this list.
#pragma once

#include <span>
#include <vector>

#include "expr/node.h"

namespace regard::program {

// greater and greater_equal are gone: their operands are exchanged instead.
struct GraphNode {
  Op op;
  ValueKind kind;
  int count = 0;
  std::array<int, 4> args{};  // positions in Graph::nodes, all smaller than the node's own
  double number = 0;
  int32_t integer = 0;
  int array = -1;  // position in Graph::arrays
};

struct Graph {
  std::vector<GraphNode> nodes;
  std::vector<Array> arrays;
  std::vector<int> roots;  // one for each expression given; -1 of an empty one
};

Graph flatten(std::span<const Expr> expressions);

}  // namespace regard::program
