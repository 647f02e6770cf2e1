#include "inspect/metrics.h"

#include <algorithm>
#include <exception>
#include <limits>
#include <mutex>

#include "base/check.h"
#include "inspect/contribution.h"
#include "simd/f64_math.h"

namespace regard::inspect {

double entropy(std::span<const float> scores, std::span<const float> weights, float lse) {
  require(scores.size() == weights.size(), "entropy: {} scores and {} weights", scores.size(),
          weights.size());
  double sum = 0;
  for (std::size_t j = 0; j < weights.size(); ++j) {
    if (weights[j] == 0) continue;  // the limit of p ln p; a masked score is -inf
    sum += double{weights[j]} * (double{lse} - double{scores[j]});
  }
  return sum;
}

std::optional<double> entropy_ratio(double entropy, int64_t allowed_keys) {
  if (allowed_keys < 2) return std::nullopt;
  return entropy / f64::log(static_cast<double>(allowed_keys));
}

int64_t allowed_keys(const RowOfMap& row) {
  return std::count_if(row.scores.begin(), row.scores.end(), [](float score) {
    return score != -std::numeric_limits<float>::infinity();
  });
}

Row look(const Capture& capture, int64_t layer, int64_t head, int64_t query) {
  const RowOfMap seen = capture.row(layer, head, query);
  const auto tokens = static_cast<std::size_t>(capture.tokens());
  Row row{.scores = seen.scores,
          .weights = seen.weights,
          .contribution = std::vector<float>(tokens),
          .allowed_keys = allowed_keys(seen),
          .lse = seen.lse,
          .entropy = entropy(seen.scores, seen.weights, seen.lse),
          .entropy_ratio = {}};
  row.entropy_ratio = entropy_ratio(row.entropy, row.allowed_keys);
  row.scores.resize(tokens, -std::numeric_limits<float>::infinity());
  row.weights.resize(tokens, 0.0f);
  const std::vector<float> norms = output_norms(capture, layer);
  const float* of_head = norms.data() + head * capture.tokens();
  for (std::size_t j = 0; j <= static_cast<std::size_t>(query); ++j) {
    row.contribution[j] = row.weights[j] * of_head[j];
  }
  return row;
}

void HeadSummary::add(int64_t query, const RowOfMap& row) {
  require(query >= 0 && query < std::ssize(ids_) && std::ssize(row.weights) == query + 1,
          "metrics: query {} of {} tokens with {} weights", query, ids_.size(), row.weights.size());
  if (query == 0) return;
  const double nats = entropy(row.scores, row.weights, row.lse);
  entropy_.add(nats);
  if (const auto ratio = entropy_ratio(nats, allowed_keys(row))) ratio_.add(*ratio);
  const auto weight = [&](int64_t key) {
    return double{row.weights[static_cast<std::size_t>(key)]};
  };
  const auto id = [&](int64_t at) { return ids_[static_cast<std::size_t>(at)]; };
  first_.add(weight(0));
  previous_.add(weight(query - 1));
  self_.add(weight(query));

  double distance = 0;
  double duplicate = 0;
  double induction = 0;
  bool repeated = false;
  bool followed = false;
  for (int64_t key = 0; key < query; ++key) {
    distance += weight(key) * static_cast<double>(query - key);
    if (id(key) == id(query)) {
      repeated = true;
      duplicate += weight(key);
    }
    if (key > 0 && id(key - 1) == id(query)) {
      followed = true;
      induction += weight(key);
    }
  }
  distance_.add(distance);
  if (repeated) duplicate_.add(duplicate);
  if (followed) induction_.add(induction);
}

HeadMetrics HeadSummary::metrics(int64_t layer, int64_t head) const {
  return {.layer = layer,
          .head = head,
          .entropy = entropy_.value(),
          .entropy_ratio = ratio_.value(),
          .first = first_.value(),
          .previous = previous_.value(),
          .self = self_.value(),
          .distance = distance_.value(),
          .duplicate = duplicate_.value(),
          .induction = induction_.value()};
}

std::vector<HeadMetrics> head_metrics(const Capture& capture, ThreadPool& pool) {
  const int64_t heads = capture.model().config.heads;
  std::vector<HeadMetrics> all;
  for (int64_t layer = 0; layer < capture.model().config.layers; ++layer) {
    if (!capture.has(layer)) continue;
    for (int64_t head = 0; head < heads; ++head) all.push_back({.layer = layer, .head = head});
  }
  std::mutex mutex;
  std::exception_ptr error;  // tasks must not throw
  pool.parallel_for(std::ssize(all), [&](int64_t index, int) {
    HeadMetrics& metrics = all[static_cast<std::size_t>(index)];
    try {
      HeadSummary summary(capture.ids());
      for (int64_t query = 1; query < capture.tokens(); ++query) {
        summary.add(query, capture.row(metrics.layer, metrics.head, query));
      }
      metrics = summary.metrics(metrics.layer, metrics.head);
    } catch (...) {
      const std::lock_guard lock(mutex);
      error = std::current_exception();
    }
  });
  if (error) std::rethrow_exception(error);
  return all;
}

}  // namespace regard::inspect
