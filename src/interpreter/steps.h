// What the two halves of the tile interpreter agree on: the kernels a step can name besides the
// operations of programs.
#pragma once

#include "interpreter/program.h"

namespace regard {

// Follow the last TileOp. The masks' kernels narrow what masks hold so far.
enum TileKernel : uint8_t {
  kCopy = static_cast<uint8_t>(TileOp::gather_bool) + 1,
  kTruthToReal,
  kAddDistance,  // a + b real(c - d), c by key and d by row; then with d - c, then both subtracted
  kMaskAnd = kAddDistance + 4,  // by a truth value
  kMaskFirstCompare,            // by a comparison: TileOp::lt and the seven that follow it
  kTileKernels = kMaskFirstCompare + 8,
};

constexpr uint8_t mask_compare(TileOp op) {
  return static_cast<uint8_t>(kMaskFirstCompare + static_cast<int>(op) -
                              static_cast<int>(TileOp::lt));
}

}  // namespace regard
