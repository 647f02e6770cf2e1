// An expression as text: Python's notation and precedence, so that what is printed can be pasted
// there; comparisons bind more loosely than & and |, unlike in C++.
#include <fmt/format.h>

#include <cmath>
#include <unordered_map>

#include "base/check.h"
#include "expr/node.h"

namespace regard {
namespace program {
namespace {

struct Notation {
  const char* text;
  int precedence;  // of an infix operator; 0: a function
};
constexpr int kCompare = 1, kUnary = 8, kAtom = 9;

Notation notation(Op op) {
  switch (op) {
    case Op::score:
      return {"s", kAtom};
    case Op::batch:
      return {"batch", kAtom};
    case Op::sequence:
      return {"sequence", kAtom};
    case Op::head:
      return {"head", kAtom};
    case Op::query:
      return {"i", kAtom};
    case Op::key:
      return {"j", kAtom};
    case Op::row:
      return {"row", kAtom};
    case Op::less:
      return {"<", kCompare};
    case Op::less_equal:
      return {"<=", kCompare};
    case Op::greater:
      return {">", kCompare};
    case Op::greater_equal:
      return {">=", kCompare};
    case Op::equal:
      return {"==", kCompare};
    case Op::not_equal:
      return {"!=", kCompare};
    case Op::bit_or:
      return {"|", 2};
    case Op::bit_xor:
      return {"^", 3};
    case Op::bit_and:
      return {"&", 4};
    case Op::shift_left:
      return {"<<", 5};
    case Op::shift_right:
      return {">>", 5};
    case Op::add:
      return {"+", 6};
    case Op::sub:
      return {"-", 6};
    case Op::mul:
      return {"*", 7};
    case Op::div:
      return {"/", 7};
    case Op::floor_div:
      return {"//", 7};
    case Op::mod:
      return {"%", 7};
    case Op::neg:
      return {"-", kUnary};
    case Op::bit_not:
      return {"~", kUnary};
    case Op::min:
      return {"min", 0};
    case Op::max:
      return {"max", 0};
    case Op::abs:
      return {"abs", 0};
    case Op::floor:
      return {"floor", 0};
    case Op::sqrt:
      return {"sqrt", 0};
    case Op::exp:
      return {"exp", 0};
    case Op::log:
      return {"log", 0};
    case Op::tanh:
      return {"tanh", 0};
    case Op::sigmoid:
      return {"sigmoid", 0};
    case Op::sin:
      return {"sin", 0};
    case Op::cos:
      return {"cos", 0};
    case Op::to_real:
      return {"to_real", 0};
    case Op::to_integer:
      return {"to_integer", 0};
    case Op::select:
      return {"where", 0};
    case Op::constant:
    case Op::gather:
    case Op::xor_shift:
      break;
  }
  return {"", kAtom};
}

bool is_whole(const Node& node) {
  return node.op == Op::constant && std::isfinite(node.number) &&
         node.number == std::floor(node.number) && std::abs(node.number) < 1e15;
}
// Seen to be real without knowing more: an integer beside it is promoted.
bool looks_real(const Node& node) {
  return node.kind == ValueKind::real && node.op != Op::to_real && !is_whole(node);
}

class Printing {
 public:
  explicit Printing(bool names) : names_(names) {}

  // The parts that are named, each followed by "; ".
  std::string definitions(const NodePtr& root) {
    count(root.get());
    define(root.get(), root.get());
    return definitions_;
  }

  // promoted: what stands around it makes an integer real.
  std::string print(const Node& node, int outside, bool promoted) const {
    if (const auto named = name_of_.find(&node); named != name_of_.end()) return named->second;
    return print_whole(node, outside, promoted);
  }

 private:
  std::string print_whole(const Node& node, int outside, bool promoted) const {
    const Notation n = notation(node.op);
    if (node.op == Op::constant) return constant(node, outside, promoted);
    if (node.op == Op::gather) {
      return fmt::format("{}[{}]", node.array->name, list(node, false));
    }
    if (n.precedence == kAtom) return n.text;
    if (node.op == Op::to_real && promoted) return print(*node.args[0], outside, false);
    if (n.precedence == 0) {
      const bool real_function = node.kind == ValueKind::real && node.count == 1 &&
                                 node.op != Op::to_real && node.op != Op::abs &&
                                 node.op != Op::floor;
      return fmt::format("{}({})", n.text, list(node, real_function || one_looks_real(node)));
    }
    std::string text;
    if (n.precedence == kUnary) {
      text = fmt::format("{}{}", n.text, print(*node.args[0], kUnary, promoted));
    } else {
      const bool promotes = node.op == Op::div || one_looks_real(node);
      const int left = n.precedence == kCompare ? kCompare + 1 : n.precedence;
      text = fmt::format("{} {} {}", print(*node.args[0], left, promotes), n.text,
                         print(*node.args[1], n.precedence + 1, promotes));
    }
    return n.precedence < outside ? fmt::format("({})", text) : text;
  }

  static bool one_looks_real(const Node& node) {
    for (int k = node.op == Op::select ? 1 : 0; k < node.count; ++k) {
      if (looks_real(*node.args[k])) return true;
    }
    return false;
  }

  std::string list(const Node& node, bool promoted) const {
    std::string text;
    for (int k = 0; k < node.count; ++k) {
      if (k > 0) text += ", ";
      text += print(*node.args[k], 0, promoted);
    }
    return text;
  }

  static std::string constant(const Node& node, int outside, bool promoted) {
    if (node.kind == ValueKind::boolean) return node.integer != 0 ? "True" : "False";
    std::string text = node.kind == ValueKind::integer ? fmt::format("{}", node.integer)
                                                       : fmt::format("{}", node.number);
    const bool bare = text.find_first_not_of("-0123456789") == std::string::npos;
    if (node.kind == ValueKind::real && bare && !promoted) text += ".0";
    return text[0] == '-' && outside > kUnary ? fmt::format("({})", text) : text;
  }

  void count(const Node* node) {
    if (++uses_[node] > 1) return;
    for (int k = 0; k < node->count; ++k) count(node->args[k].get());
  }

  void define(const Node* node, const Node* root) {
    if (done_[node]) return;
    done_[node] = true;
    for (int k = 0; k < node->count; ++k) define(node->args[k].get(), root);
    if (!names_ || node == root || node->count == 0 || uses_[node] < 2) return;
    const std::string name = fmt::format("t{}", name_of_.size() + 1);
    definitions_ += fmt::format("{} = {}; ", name, print_whole(*node, 0, false));
    name_of_[node] = name;
  }

  bool names_;
  std::unordered_map<const Node*, int> uses_;
  std::unordered_map<const Node*, bool> done_;
  std::unordered_map<const Node*, std::string> name_of_;
  std::string definitions_;
};

constexpr double kNamesFrom = 300;  // operations, were nothing shared

}  // namespace
}  // namespace program

std::string to_string(const Expr& expr) {
  if (expr.empty()) return "";
  program::Printing printing(expr.node()->tree_size > program::kNamesFrom);
  const std::string definitions = printing.definitions(expr.node());
  return fmt::format("{}{}", definitions, printing.print(*expr.node(), 0, false));
}

}  // namespace regard
