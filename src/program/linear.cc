#include "program/linear.h"

#include <algorithm>

#include "expr/graph.h"

namespace regard::program {
namespace {

// How a value depends on s: not at all, as c · s, as both (it is 0), or in another way.
enum class Form : uint8_t { fixed, multiple, zero, other };

bool may_be_multiple(Form form) { return form == Form::multiple || form == Form::zero; }
bool may_be_fixed(Form form) { return form == Form::fixed || form == Form::zero; }

Form form_of(const GraphNode& node, const std::vector<Form>& forms) {
  const auto arg = [&](int k) { return forms[static_cast<std::size_t>(node.args[k])]; };
  const auto args = node.args.begin();
  const bool all_fixed = std::all_of(args, args + node.count, [&](int a) {
    return may_be_fixed(forms[static_cast<std::size_t>(a)]);
  });
  if (node.op == Op::score) return Form::multiple;
  if (node.op == Op::constant) {
    const bool zero = node.kind == ValueKind::real && node.number == 0;
    return zero ? Form::zero : Form::fixed;
  }
  // Nothing but a constant is known to be 0: 0 · inf is not.
  if (all_fixed) return Form::fixed;
  switch (node.op) {
    case Op::add:
    case Op::sub:
      return may_be_multiple(arg(0)) && may_be_multiple(arg(1)) ? Form::multiple : Form::other;
    case Op::mul:
      return (arg(0) == Form::multiple && may_be_fixed(arg(1))) ||
                     (may_be_fixed(arg(0)) && arg(1) == Form::multiple)
                 ? Form::multiple
                 : Form::other;
    case Op::div:
      return arg(0) == Form::multiple && may_be_fixed(arg(1)) ? Form::multiple : Form::other;
    case Op::neg:
      return arg(0);
    case Op::select:
      return may_be_fixed(arg(0)) && may_be_multiple(arg(1)) && may_be_multiple(arg(2))
                 ? Form::multiple
                 : Form::other;
    default:
      return Form::other;
  }
}

}  // namespace

bool is_linear_weight(const Expr& weight) {
  if (weight.empty()) return true;
  const Graph graph = flatten({&weight, 1});
  std::vector<Form> forms;
  for (const GraphNode& node : graph.nodes) forms.push_back(form_of(node, forms));
  return may_be_multiple(forms[static_cast<std::size_t>(graph.roots[0])]);
}

}  // namespace regard::program
