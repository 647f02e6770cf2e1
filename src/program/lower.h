// From expressions to the instructions that the kernels run on a tile of scores.
#pragma once

#include <span>

#include "interpreter/program.h"
#include "regard/program.h"

namespace regard {

inline constexpr int kMaxTileSlots = 64;
inline constexpr int kMaxTileInstructions = 1024;

// score: real or integer, or empty: scores stay as they are. mask: boolean, or empty. Every value
// is computed once, for both; an instruction is as narrow as its operands allow, and writes to the
// slot of an operand only if their shapes are the same. Throws Error when the program is too large.
// outputs, real or integer and none empty, are the further results. The result is not prepared.
TileProgram lower(const Expr& score, const Expr& mask, std::span<const Expr> outputs = {});

}  // namespace regard
