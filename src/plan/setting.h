// Setting: what a plan fixes for all of its tasks.
//
// Rows of a segment are packed by key/value head: the query heads that share one lie next to each
// other, row = token · group + head in group.
#pragma once

#include <cstdint>
#include <vector>

#include "plan/programs.h"
#include "plan/recipe.h"
#include "plan/rules.h"
#include "regard/attention.h"
#include "regard/attention_plan.h"
#include "tiles/fold.h"
#include "tiles/similarity.h"

namespace regard {

// The arrays of one call, [slabs, tokens, heads, dim].
struct CallArrays {
  InputView<4> q;
  OutputView<4> out;
  AttentionExtras extras = {};
};

struct Setting {
  AttentionShape shape;
  Recipe recipe;
  int threads = 1;
  int64_t group = 1;     // query heads of a key/value head
  int64_t columns = 16;  // dim_v rounded up to 16
  SimilarityMap map;     // of q and k into a dot product
  bool additive = false;
  Weighing weighing = Weighing::softmax;
  bool two_passes = false;   // weights need all scores of a row first
  bool by_products = false;  // runs may ask for more than out and lse
  int64_t top = 0;           // largest weights of each row
  Programs programs;
  program::Band band;  // of the recipe, or everything where programs interpret the whole mask
  std::vector<Segment> segments;
  bool tall_blocks = false;  // threads share out keys before they cut rows
  int64_t shared_keys = 0;   // of every segment, attended elsewhere: cut.h
  std::vector<float> sinks;  // [heads], read in each run; empty: none

  // Numbers of a row and a key as the score product takes them.
  int64_t product_dim() const { return additive ? shape.dim : map.mapped_dim(); }
  int64_t rows_of(const Segment& segment) const { return segment.rows * group; }
};

}  // namespace regard
