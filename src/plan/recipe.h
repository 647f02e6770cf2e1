// Recipe: what the options ask for, taken apart once for the forward and the backward pass.
#pragma once

#include "program/band.h"
#include "regard/attention_options.h"

namespace regard {

struct Recipe {
  AttentionOptions options;
  float scale = 1;     // of the similarity
  program::Band band;  // the part of the mask that is a run of keys for each row
  Expr mask = {};      // what is left of the mask; empty: nothing
  Expr score = {};     // the score program, with what the normaliser adds to it (sigmoid's bias,
                       // Gumbel noise and temperature); empty: scores stay as they are
  Expr weight = {};    // the weight program; empty: weights stay as they are
  // The weight program is c(b, h, i, j) · p: it may be applied before the weights are normalised.
  bool weight_is_linear = true;
};

// Throws Error where an option breaks a rule: the kinds of the expressions, the scale, the shapes
// of sinks and of the similarity's parameters. dim: of q; dim_k: of k.
Recipe make_recipe(const AttentionOptions& options, int64_t heads, int64_t dim, int64_t dim_k);

}  // namespace regard
