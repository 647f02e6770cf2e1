// Which weight programs only multiply the weight.
#pragma once

#include "regard/expr.h"

namespace regard::program {

// weight is c(b, h, i, j) · weight(), proven by its form: then it may be applied to weights that
// are not normalised yet. dropout() is.
bool is_linear_weight(const Expr& weight);

}  // namespace regard::program
