// Formula: the way of one query row of one head from its scores to its weights.
#pragma once

#include <optional>
#include <vector>

#include "reference/normalise.h"
#include "reference/numbers.h"
#include "reference/similarity.h"
#include "regard/attention.h"

namespace regard::reference {

// Which row: the row-th of a segment, of one query head.
struct Place {
  const Segment* segment = nullptr;
  int64_t head = 0, kv_head = 0, row = 0;
  Point point = {};  // all but the key and what is known of it

  int64_t token() const { return segment->first_row + row; }
  int64_t key(int64_t j) const { return segment->first_key + j; }
};

struct Row {
  // [keys of the segment]
  std::vector<double> similarity;  // scale · u(q, k)
  std::vector<double> score;       // behind the score program
  // [keys that the mask allows]: all others are absent from here on
  std::vector<int64_t> allowed;  // which, ascending
  std::vector<double> s;         // their scores, Gumbel noise and temperature in them
  Weights normalised;
  std::vector<double> weight;  // behind the weight program
  double entropy = 0;          // of the normalised weights
};

class Formula {
 public:
  Formula(const Numbers& q, const Numbers& k, const AttentionOptions& options);

  void compute(const Place& place, Row& row);

  // out = Σ_j weight_j v_j; out [dim_v]
  void aggregate(const Place& place, const Row& row, const Numbers& v,
                 std::vector<double>& out) const;

  // The scores of normalised weights are (score + noise) / temperature.
  double temperature() const { return temperature_; }
  double scale() const { return scale_; }
  double sink(int64_t head) const;
  SimilarityFormula& similarity() { return similarity_; }

 private:
  const Numbers &q_, &k_;
  const Normaliser normaliser_;
  SimilarityFormula similarity_;
  double scale_, temperature_ = 1;
  std::vector<double> sinks_;
  std::optional<Evaluator> mask_, score_, noise_, weight_;
};

}  // namespace regard::reference
