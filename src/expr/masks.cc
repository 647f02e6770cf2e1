// Masks that papers use, as programs.
#include <algorithm>

#include "base/check.h"
#include "expr/broadcast.h"

namespace regard::program {
namespace {

void check_integers(const char* call, const Array& array, int lowest_rank, int highest_rank) {
  require(array.type() == ElementType::i32, "{}: {} does not hold integers", call, array.name());
  require(array.rank() >= lowest_rank && array.rank() <= highest_rank,
          "{}: {} has rank {}, not {} to {}", call, array.name(), array.rank(), lowest_rank,
          highest_rank);
}

// The first of the `kernel` nearest neighbours of position among length, moved inwards at the ends.
Expr first_neighbour(const Expr& position, const Expr& length, int kernel) {
  return max(min(position - kernel / 2, length - kernel), 0);
}

// One axis of neighbourhood attention; positions i and j of 0 .. length - 1.
Expr neighbours(const Expr& i, const Expr& j, int length, int kernel, int dilation,
                const char* name) {
  require(kernel >= 1 && dilation >= 1 && int64_t{kernel} * dilation <= length,
          "natten: {} {} of dilation {} does not fit {} positions", name, kernel, dilation, length);
  if (dilation == 1) {
    const Expr first = first_neighbour(i, length, kernel);
    return (first <= j) & (j < first + kernel);
  }
  // Positions that agree mod dilation are a sequence of their own.
  const Expr others = floor_div(length - mod(i, dilation) + (dilation - 1), dilation);
  const Expr first = first_neighbour(floor_div(i, dilation), others, kernel);
  const Expr at = floor_div(j, dilation);
  return (mod(i - j, dilation) == 0) & (first <= at) & (at < first + kernel);
}

}  // namespace

Expr causal_mask() { return key() <= query(); }

Expr window(const Expr& left, const Expr& right) {
  const Expr ahead = key() - query();
  return (-left <= ahead) & (ahead <= right);
}

Expr prefix(const Expr& n) { return key() < n; }

Expr documents(const Array& ids) {
  check_integers("documents", ids, 1, 2);
  if (ids.rank() == 1) return ids(query()) == ids(key());
  return ids(batch(), query()) == ids(batch(), key());
}

Expr lengths(const Array& keys) {
  check_integers("lengths", keys, 1, 1);
  return key() < keys(batch());
}

Expr left_padding(const Array& pads) {
  check_integers("left_padding", pads, 1, 1);
  return key() >= pads(batch());
}

Expr allowed(const Array& mask) {
  require(mask.type() == ElementType::boolean, "allowed: {} does not hold booleans", mask.name());
  return at_last_axes(mask, {batch(), head(), row(), key()});
}

Expr block_sparse(const Array& blocks, int block_q, int block_k) {
  require(blocks.type() == ElementType::boolean, "block_sparse: {} does not hold booleans",
          blocks.name());
  require(blocks.rank() >= 2, "block_sparse: {} has rank {}, not 2 to 4", blocks.name(),
          blocks.rank());
  require(block_q >= 1 && block_k >= 1, "block_sparse: blocks of {} x {}", block_q, block_k);
  return at_last_axes(blocks,
                      {batch(), head(), floor_div(query(), block_q), floor_div(key(), block_k)});
}

Expr tree_bits(const Array& bits) { return tree_bits(bits, query() - row()); }

Expr tree_bits(const Array& bits, const Expr& first) {
  check_integers("tree_bits", bits, 2, 2);
  const Expr draft = max(key() - first, 0);
  return (key() < first) | ((bits(row(), draft >> 5) >> (draft & 31) & 1) == 1);
}

Expr chunk(const Expr& n) { return floor_div(query(), n) == floor_div(key(), n); }

Expr dilated(const Expr& step) { return mod(query() - key(), step) == 0; }

Expr natten(int length, int kernel, int dilation) {
  return neighbours(query(), key(), length, kernel, dilation, "kernel");
}

Expr natten_2d(int height, int width, int kernel_y, int kernel_x, int dilation) {
  require(width >= 1, "natten_2d: width {}", width);
  return neighbours(floor_div(query(), width), floor_div(key(), width), height, kernel_y, dilation,
                    "kernel_y") &
         neighbours(mod(query(), width), mod(key(), width), width, kernel_x, dilation, "kernel_x");
}

}  // namespace regard::program
