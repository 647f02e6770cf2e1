#include "reference/formula.h"

#include <algorithm>
#include <cmath>

namespace regard::reference {
namespace {

std::optional<Evaluator> evaluator(const Expr& expr) {
  if (expr.empty()) return {};
  return Evaluator(expr);
}

}  // namespace

Formula::Formula(const Numbers& q, const Numbers& k, const AttentionOptions& options)
    : q_(q),
      k_(k),
      normaliser_(options.normaliser),
      similarity_(options.similarity, q.shape[3], k.shape[3]),
      scale_(options.scale ? static_cast<double>(*options.scale) : similarity_.default_scale()),
      mask_(evaluator(options.mask)),
      score_(evaluator(options.score)),
      weight_(evaluator(options.weight)) {
  if (normaliser_.sinks) sinks_ = numbers_of(*normaliser_.sinks);
  if (normaliser_.kind == Normaliser::Kind::gumbel) {
    temperature_ = normaliser_.temperature;
    noise_ = evaluator(program::gumbel_noise(normaliser_.seed));
  }
}

double Formula::sink(int64_t head) const {
  if (sinks_.empty()) return kNoSink;
  return sinks_[sinks_.size() == 1 ? 0 : static_cast<std::size_t>(head)];
}

void Formula::compute(const Place& place, Row& row) {
  const Segment& segment = *place.segment;
  const auto keys = static_cast<std::size_t>(segment.keys);
  const double* const q = q_.at(segment.slab, place.token(), place.head);
  row.similarity.resize(keys);
  row.score.resize(keys);
  row.allowed.clear();
  row.s.clear();
  for (int64_t j = 0; j < segment.keys; ++j) {
    const double* const k = k_.at(segment.slab, place.key(j), place.kv_head);
    Point point = place.point;
    point.j = j;
    double& s = row.score[static_cast<std::size_t>(j)];
    s = row.similarity[static_cast<std::size_t>(j)] = scale_ * similarity_(place.head, q, k);
    point.s = s;
    if (score_) s = (*score_)(point);
    // An index out of range makes the mask NaN: the key counts as allowed, and its score is NaN.
    const double allowed = mask_ ? (*mask_)(point) : 1;
    if (std::isnan(allowed)) s = allowed;
    if (allowed == 0) continue;
    row.allowed.push_back(j);
    row.s.push_back(noise_ ? (s + (*noise_)(point)) / temperature_ : s);
  }
  row.normalised = normalise(normaliser_, row.s, sink(place.head));
  row.entropy = 0;
  for (const double p : row.normalised.p) row.entropy -= p == 0 ? 0 : p * std::log(p);
  row.weight = row.normalised.p;
  if (row.normalised.empty || !weight_) return;
  for (std::size_t n = 0; n < row.allowed.size(); ++n) {
    if (std::isnan(row.weight[n]))
      continue;  // stays visible, whatever the program would make of it
    Point point = place.point;
    point.j = row.allowed[n];
    point.s = row.weight[n];
    row.weight[n] = (*weight_)(point);
  }
}

void Formula::aggregate(const Place& place, const Row& row, const Numbers& v,
                        std::vector<double>& out) const {
  std::fill(out.begin(), out.end(), 0.0);
  if (row.normalised.empty) return;
  for (std::size_t n = 0; n < row.allowed.size(); ++n) {
    const double* const values =
        v.at(place.segment->slab, place.key(row.allowed[n]), place.kv_head);
    for (std::size_t d = 0; d < out.size(); ++d) out[d] += row.weight[n] * values[d];
  }
}

}  // namespace regard::reference
