// Programs: what is done to a score and which keys are allowed, written down as a formula.
//
//   out = normalise(score(scale · q kᵀ) where mask) v
//
//   const auto local = mask([](Index i, Index j) { return j <= i && i - j < 256; });
//   const auto capped = score([](Value s) { return 30.0f * tanh(s / 30.0f); });
//
// or from the leaves, as the functions do:
//
//   using namespace regard::program;
//   const Expr local = causal_mask() & (query() - key() < 256);
//   const Expr capped = tanh(score() / 30) * 30;
//
// An expression is evaluated at one point in double precision, bounded over ranges (so that a tile
// is proved empty or full without a stored mask) and differentiated symbolically. The kernels run
// it as a list of vector instructions, a tile at a time; there is no compiler.
#pragma once

#include "regard/analysis.h"
#include "regard/expr.h"
#include "regard/formulas.h"
