#include "program/band.h"

#include <optional>
#include <utility>

#include "expr/node.h"

namespace regard::program {
namespace {

// key · j + query · i + row · r + constant.
struct Linear {
  int64_t key = 0, query = 0, row = 0, constant = 0;
};

Linear plus(const Linear& a, const Linear& b, int64_t sign) {
  return {a.key + sign * b.key, a.query + sign * b.query, a.row + sign * b.row,
          a.constant + sign * b.constant};
}

// No position gives a value that does not fit 32 bits. What wraps around on the way wraps back.
bool cannot_wrap(const Linear& a) {
  constexpr int64_t kMany = 4;
  if (std::max({std::abs(a.key), std::abs(a.query), std::abs(a.row)}) > kMany) return false;
  if (std::abs(a.constant) > INT32_MAX) return false;
  constexpr int64_t kLast = kMaxPosition - 1;
  const int64_t either = std::abs(a.query);  // i may be negative: more rows than keys
  const int64_t above = std::max<int64_t>(a.key, 0) + std::max<int64_t>(a.row, 0) + either;
  const int64_t below = std::max<int64_t>(-a.key, 0) + std::max<int64_t>(-a.row, 0) + either;
  return above * kLast + a.constant <= INT32_MAX && -below * kLast + a.constant >= INT32_MIN;
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

// less < more, or with equal less <= more.
bool take_order(const Node& less, const Node& more, bool equal, Band& band) {
  const auto a = linear(less), b = linear(more);
  if (!a || !b || !cannot_wrap(*a) || !cannot_wrap(*b)) return false;
  Linear difference = plus(*b, *a, -1);
  if (!equal) --difference.constant;
  return take(difference, band);
}

// |x| < more: x < more and -x < more.
bool take_distance(const Node& x, const Node& more, bool equal, Band& band) {
  const auto a = linear(x), b = linear(more);
  if (!a || !b || !cannot_wrap(*a) || !cannot_wrap(*b)) return false;
  Linear above = plus(*b, *a, -1), below = plus(*b, *a, 1);
  if (!equal) --above.constant, --below.constant;
  Band both = band;
  if (!take(above, both) || !take(below, both)) return false;
  band = both;
  return true;
}

bool take_comparison(const Node& node, bool negated, Band& band) {
  if (node.count != 2 || node.args[0]->kind != ValueKind::integer) return false;
  const Node *less = node.args[0].get(), *more = node.args[1].get();
  bool equal = node.op == Op::less_equal || node.op == Op::greater_equal;
  switch (node.op) {
    case Op::less:
    case Op::less_equal:
      break;
    case Op::greater:
    case Op::greater_equal:
      std::swap(less, more);
      break;
    case Op::equal: {
      Band both = band;
      if (negated || !take_order(*less, *more, true, both) ||
          !take_order(*more, *less, true, both)) {
        return false;
      }
      band = both;
      return true;
    }
    default:
      return false;
  }
  if (negated) {
    std::swap(less, more);
    equal = !equal;
  }
  if (less->op == Op::abs) return take_distance(*less->args[0], *more, equal, band);
  return take_order(*less, *more, equal, band);
}

// node, or not node.
void split(const NodePtr& node, bool negated, SplitMask& into) {
  if (node->kind == ValueKind::boolean) {
    if (node->op == Op::bit_not) return split(node->args[0], !negated, into);
    // Not (a or b) is not a, and not b.
    if (node->op == (negated ? Op::bit_or : Op::bit_and)) {
      split(node->args[0], negated, into);
      split(node->args[1], negated, into);
      return;
    }
  }
  if (take_comparison(*node, negated, into.band)) return;
  const Expr conjunct = negated ? ~Expr(node) : Expr(node);
  into.rest = into.rest.empty() ? conjunct : into.rest & conjunct;
}

}  // namespace

SplitMask split_mask(const Expr& mask) {
  SplitMask result;
  if (!mask.empty()) split(mask.node(), false, result);
  return result;
}

}  // namespace regard::program
