#include "program/band.h"

#include <optional>

#include "expr/node.h"

namespace regard::program {
namespace {

// key · j + query · i + row · r + constant, of integers that cannot wrap around.
struct Linear {
  int64_t key = 0, query = 0, row = 0, constant = 0;
};

constexpr int64_t kMostConstant = int64_t{1} << 30;

Linear plus(const Linear& a, const Linear& b, int64_t sign) {
  return {a.key + sign * b.key, a.query + sign * b.query, a.row + sign * b.row,
          a.constant + sign * b.constant};
}

std::optional<Linear> linear(const Node& node) {
  switch (node.op) {
    case Op::key:
      return Linear{.key = 1};
    case Op::query:
      return Linear{.query = 1};
    case Op::row:
      return Linear{.row = 1};
    case Op::constant:
      if (node.kind != ValueKind::integer) return {};
      return Linear{.constant = node.integer};
    case Op::add:
    case Op::sub: {
      if (node.kind != ValueKind::integer) return {};
      const auto a = linear(*node.args[0]), b = linear(*node.args[1]);
      if (!a || !b) return {};
      return plus(*a, *b, node.op == Op::add ? 1 : -1);
    }
    case Op::neg: {
      if (node.kind != ValueKind::integer) return {};
      const auto a = linear(*node.args[0]);
      if (!a) return {};
      return plus({}, *a, -1);
    }
    default:
      return {};
  }
}

// Takes difference >= 0 into the band, if it bounds the key.
bool take(const Linear& difference, Band& band) {
  const auto& [key, query, row, constant] = difference;
  if (std::abs(constant) > kMostConstant) return false;
  if (key == -1) {  // j <= query · i + row · r + constant
    int64_t* const bound = query == 0 && row == 0   ? &band.to
                           : query == 1 && row == 0 ? &band.to_query
                           : query == 0 && row == 1 ? &band.to_row
                                                    : nullptr;
    if (bound != nullptr) *bound = std::min(*bound, constant + 1);
    return bound != nullptr;
  }
  if (key == 1) {  // j >= -(query · i + row · r + constant)
    int64_t* const bound = query == 0 && row == 0    ? &band.from
                           : query == -1 && row == 0 ? &band.from_query
                           : query == 0 && row == -1 ? &band.from_row
                                                     : nullptr;
    if (bound != nullptr) *bound = std::max(*bound, -constant);
    return bound != nullptr;
  }
  return false;
}

bool take_comparison(const Node& node, Band& band) {
  const bool less = node.op == Op::less || node.op == Op::less_equal;
  const bool greater = node.op == Op::greater || node.op == Op::greater_equal;
  if (!less && !greater) return false;
  if (node.args[0]->kind != ValueKind::integer) return false;
  const auto a = linear(*node.args[0]), b = linear(*node.args[1]);
  if (!a || !b) return false;
  Linear difference = less ? plus(*b, *a, -1) : plus(*a, *b, -1);
  if (node.op == Op::less || node.op == Op::greater) --difference.constant;
  return take(difference, band);
}

void split(const NodePtr& node, SplitMask& into) {
  if (node->op == Op::bit_and && node->kind == ValueKind::boolean) {
    split(node->args[0], into);
    split(node->args[1], into);
  } else if (!take_comparison(*node, into.band)) {
    const Expr conjunct(node);
    into.rest = into.rest.empty() ? conjunct : into.rest & conjunct;
  }
}

}  // namespace

SplitMask split_mask(const Expr& mask) {
  SplitMask result;
  if (!mask.empty()) split(mask.node(), result);
  return result;
}

}  // namespace regard::program
