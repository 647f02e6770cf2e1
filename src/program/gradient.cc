#include "program/gradient.h"

#include <algorithm>

#include "expr/node.h"
#include "program/lower.h"

namespace regard::program {
namespace {

bool is_one(const Expr& e) {
  const Node& node = *e.node();
  return node.op == Op::constant && node.kind == ValueKind::real && node.number == 1;
}

}  // namespace

GradientProgram lower_gradient(const Expr& score, const Expr& mask, std::span<const Array> wanted) {
  GradientProgram result;
  std::vector<Expr> outputs;
  const auto output = [&](const Expr& e) {
    outputs.push_back(e);
    return static_cast<int>(outputs.size()) - 1;
  };
  if (!score.empty()) {
    const Expr by_score = derivative(score);
    if (!is_one(by_score)) result.derivative = output(by_score);
    for (const ArrayDerivative& found : array_derivatives(score)) {
      if (std::find(wanted.begin(), wanted.end(), found.array) == wanted.end()) continue;
      GradientProgram::Element element{.array = found.array};
      for (std::size_t axis = 0; axis < found.index.size(); ++axis) {
        element.index[axis] = output(found.index[axis]);
      }
      element.derivative = output(found.derivative);
      result.elements.push_back(element);
    }
  }
  result.program = lower(score, mask, outputs);
  prepare_tile_program(result.program);
  return result;
}

}  // namespace regard::program
