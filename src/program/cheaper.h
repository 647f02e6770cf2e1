// The same values from cheaper instructions.
#pragma once

#include "expr/graph.h"

namespace regard::program {

// Integers only, so that no bit changes: // and % by a power of two become a shift and a mask, and
// x ^ (x >> n & m), which is how an expression writes a shift without a sign, one instruction. What
// nobody needs any more is left out.
Graph cheaper(const Graph& graph);

}  // namespace regard::program
