// What a head does, in numbers that stream: a row is looked at once and forgotten.
//   m = keys a row may use    H = entropy of its weights in nats, 0 .. ln m
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/threads.h"
#include "inspect/capture.h"

namespace regard::inspect {

// H = lse - Σ p s, summed as Σ p (lse - s), which is exactly 0 for a row on one key.
double entropy(std::span<const float> scores, std::span<const float> weights, float lse);

// H / ln m: 0 = one key, 1 = all alike. Undefined for fewer than two allowed keys.
std::optional<double> entropy_ratio(double entropy, int64_t allowed_keys);

// How many keys of a row are not masked.
int64_t allowed_keys(const RowOfMap& row);

// One row of one head, over all keys of the prompt.
struct Row {
  std::vector<float> scores;        // [tokens], scaled; -inf where masked
  std::vector<float> weights;       // [tokens], 0 where masked
  std::vector<float> contribution;  // [tokens], ‖α v W_O‖
  int64_t allowed_keys = 0;         // how many are not masked
  float lse = 0;
  double entropy = 0;                   // nats
  std::optional<double> entropy_ratio;  // none for a single allowed key
};

// Throws Error when there is no such layer, head or query, or the layer was not captured.
Row look(const Capture& capture, int64_t layer, int64_t head, int64_t query);

// Means over the queries of a prompt. The first token's row can hold only one key and counts
// nowhere, so a prompt of one token has no metrics at all.
struct HeadMetrics {
  int64_t layer = 0;
  int64_t head = 0;
  std::optional<double> entropy = {};        // nats
  std::optional<double> entropy_ratio = {};  // H / ln m of each row, then the mean
  std::optional<double> first = {};          // mass on the first token: an attention sink's
  std::optional<double> previous = {};       // mass on the token before the query
  std::optional<double> self = {};           // mass on the query itself
  std::optional<double> distance = {};       // Σ p (i - j), in tokens
  // Mass on earlier tokens equal to the query, and on tokens that followed such a one (In-context
  // Learning and Induction Heads, Olsson et al. 2022). Means over the queries that have one.
  std::optional<double> duplicate = {};
  std::optional<double> induction = {};
};

// Gathers the rows of one head.
class HeadSummary {
 public:
  // ids: of the whole prompt; must outlive the summary.
  explicit HeadSummary(std::span<const int32_t> ids) : ids_(ids) {}

  // The row of a query over keys 0 .. query.
  void add(int64_t query, const RowOfMap& row);
  HeadMetrics metrics(int64_t layer, int64_t head) const;

 private:
  struct Mean {
    double sum = 0;
    int64_t rows = 0;
    void add(double value) {
      sum += value;
      ++rows;
    }
    std::optional<double> value() const {
      return rows == 0 ? std::nullopt : std::optional(sum / static_cast<double>(rows));
    }
  };

  std::span<const int32_t> ids_;
  Mean entropy_, ratio_, first_, previous_, self_, distance_, duplicate_, induction_;
};

// All heads of the captured layers, [layers · heads], layer after layer.
std::vector<HeadMetrics> head_metrics(const Capture& capture, ThreadPool& pool);

}  // namespace regard::inspect
