// The size that a gradient's terms have before they cancel: what rounding errors are in proportion
// to. With one key, say, a softmax passes no gradient at all, because it subtracts two equal sums.
#pragma once

#include <cmath>
#include <vector>

#include "cross_problem.h"
#include "reference/numbers.h"

namespace regard::testing {

// Root of the sum of squares of the terms, for each row of dq, dk and dv and for each array.
struct Magnitudes {
  std::vector<double> dq, dk, dv;
  std::vector<double> arrays;  // as Maker::differentiable()
};

namespace magnitude {

inline double norm(const LaidOut& array, int64_t a, int64_t b, int64_t c) {
  double sum = 0;
  for (int64_t d = 0; d < array.view().shape[3]; ++d) {
    sum += array.get(a, b, c, d) * array.get(a, b, c, d);
  }
  return std::sqrt(sum);
}

inline double norm(const Array& array) {
  double sum = 0;
  for (const double x : reference::numbers_of(array)) sum += x * x;
  return std::sqrt(sum);
}

// What the normaliser multiplies a key's dp with.
inline double slope(const Normaliser& normaliser, double s, double p, double sum_of_positive,
                    double softmax_weight) {
  using Kind = Normaliser::Kind;
  switch (normaliser.kind) {
    case Kind::sigmoid:
      return p * (1 - p);
    case Kind::relu:
      return s > 0 ? 1 / sum_of_positive : 0;
    case Kind::sparsemax:
      return p > 0 ? 1 : 0;
    case Kind::entmax15:
      return std::sqrt(p);
    case Kind::hardmax:
      return 0;
    case Kind::gumbel:
      return normaliser.sample == Normaliser::Sample::hard
                 ? 0
                 : softmax_weight / static_cast<double>(normaliser.temperature);
    default:
      return p;
  }
}

// Weights s / Σ s, s - τ, (s / 2 - τ)²: of a score, not of its exponential.
inline bool is_difference(const Normaliser& normaliser) {
  using Kind = Normaliser::Kind;
  return normaliser.kind == Kind::relu || normaliser.kind == Kind::sparsemax ||
         normaliser.kind == Kind::entmax15;
}

}  // namespace magnitude

inline Magnitudes magnitudes_of(const CrossProblem& p, const Reference& r) {
  using magnitude::norm;
  const auto& q_shape = p.q.view().shape;
  const auto& k_shape = p.k.view().shape;
  const auto rows = static_cast<std::size_t>(q_shape[0] * q_shape[1] * q_shape[2]);
  const auto keys = static_cast<std::size_t>(k_shape[0] * k_shape[1] * k_shape[2]);
  Magnitudes m{std::vector<double>(rows), std::vector<double>(keys), std::vector<double>(keys),
               std::vector<double>(p.maker.differentiable().size())};
  if (rows == 0 || r.weights.empty()) return m;
  const auto longest = r.weights.size() / rows;
  const AttentionOptions& o = p.options;
  const reference::SimilarityFormula similarity(o.similarity, p.d.dim, p.d.dim_k);
  const double scale = o.scale ? std::abs(*o.scale) : similarity.default_scale();
  // Of additive's v, and of what bilinear's W makes of a vector of norm 1 on the average.
  double w_norm = 0;
  if (const auto& w = o.similarity.parameters) {
    const bool bilinear = o.similarity.kind == Similarity::Kind::bilinear;
    const bool by_head = w->rank() == (bilinear ? 3 : 2);
    w_norm =
        norm(*w) /
        std::sqrt(static_cast<double>((by_head ? w->shape(0) : 1) * (bilinear ? p.d.dim_k : 1)));
  }
  std::optional<Evaluator> by_s, by_p;
  if (!o.score.empty()) by_s.emplace(derivative(o.score));
  if (!o.weight.empty()) by_p.emplace(derivative(o.weight));
  // A derivative may be a difference of ones, as tanh's 1 - t² is: a roundoff of one is 2e-6 / 32.
  const auto by_score = [&](const Point& at) {
    return by_s ? std::abs((*by_s)(at)) + 1.0 / 32 : 1;
  };
  double all_ds = 0, all_dp = 0, all_du = 0;
  for (std::size_t n = 0; n < p.segments.size(); ++n) {
    const Segment& segment = p.segments[n];
    for (int64_t row = 0; row < segment.rows; ++row) {
      for (int64_t h = 0; h < p.d.heads; ++h) {
        const int64_t slab = segment.slab, token = segment.first_row + row;
        const int64_t g = h / (p.d.heads / p.d.kv_heads);
        const auto at = static_cast<std::size_t>((slab * q_shape[1] + token) * p.d.heads + h);
        const double dout = norm(p.dout, slab, token, h), q = norm(p.q, slab, token, h);
        Point point{.batch = static_cast<int64_t>(n), .head = h, .row = row};
        point.sequence = segment.sequence.value_or(point.batch);
        point.i = segment.position.value_or(segment.keys - segment.rows) + row;
        const auto cell = [&](int64_t j) { return at * longest + static_cast<std::size_t>(j); };
        double positive = 0, largest = -INFINITY, exponentials = 0;
        for (int64_t j = 0; j < segment.keys; ++j) {
          positive += std::max(r.normaliser_scores[cell(j)], 0.0);
          largest = std::max(largest, r.normaliser_scores[cell(j)]);
        }
        for (int64_t j = 0; j < segment.keys && largest > -INFINITY; ++j) {
          exponentials += std::exp(r.normaliser_scores[cell(j)] - largest);
        }
        // The size of what a score is the sum of: its error is in proportion.
        const auto size_of_score = [&](int64_t j) {
          point.j = j;
          point.s = r.similarities[cell(j)];
          const double k = norm(p.k, slab, segment.first_key + j, g);
          double terms = q * k;
          if (o.similarity.kind == Similarity::Kind::cosine) terms = 1;
          if (o.similarity.kind == Similarity::Kind::negative_distance) terms = q * q + k * k;
          if (o.similarity.kind == Similarity::Kind::bilinear) terms *= w_norm;
          if (o.similarity.kind == Similarity::Kind::additive) {
            terms = w_norm * std::sqrt(static_cast<double>(p.d.dim_k));
          }
          return std::abs(r.normaliser_scores[cell(j)]) + scale * terms * by_score(point);
        };
        // An exponential has the relative error that its exponent has as a number: beyond a size of
        // 8 it is more than the other roundings.
        const auto growth = [&](int64_t j) { return std::max(1.0, size_of_score(j) / 8); };
        std::vector<double> slopes, dp;
        double slope_sum = 0, mean = 0;
        for (int64_t j = 0; j < segment.keys; ++j) {
          const double s = r.normaliser_scores[cell(j)], weight = r.normalised[cell(j)];
          const bool used = s > -INFINITY;
          slopes.push_back(used ? magnitude::slope(o.normaliser, s, weight, positive,
                                                   std::exp(s - largest) / exponentials)
                                : 0);
          point.j = j;
          point.s = weight;
          const double v = norm(p.v, slab, segment.first_key + j, g);
          const double by_weight = by_p ? std::abs((*by_p)(point)) : 1;
          dp.push_back(dout * v * by_weight);
          if (!used) continue;
          all_dp += dout * dout * v * v;
          slope_sum += slopes.back();
          mean += slopes.back() * dp.back();
          const auto kv = static_cast<std::size_t>(
              (slab * k_shape[1] + segment.first_key + j) * p.d.kv_heads + g);
          // A relative error of p is twice as large in p².
          const double of_p = std::max(std::abs(r.weights[cell(j)]), by_weight * weight);
          m.dv[kv] += std::pow(of_p * dout * growth(j), 2);
          // A weight that is a difference has the error of what it is a difference of.
          if (magnitude::is_difference(o.normaliser)) {
            m.dv[kv] += std::pow(by_weight * slopes.back() * size_of_score(j) * dout, 2);
          }
        }
        if (slope_sum == 0) continue;
        mean /= o.normaliser.sinks ? 1 : slope_sum;
        all_ds += o.normaliser.sinks ? mean * mean : 0;
        for (int64_t j = 0; j < segment.keys; ++j) {
          const auto in_row = static_cast<std::size_t>(j);
          point.j = j;
          if (slopes[in_row] == 0) continue;
          // The slope of entmax, √p = s / 2 - τ, is itself a difference of scores.
          const double of_scores = o.normaliser.kind == Normaliser::Kind::entmax15 ? 0.1 : 0;
          const double ds =
              (slopes[in_row] + of_scores * size_of_score(j)) * (dp[in_row] + mean) * growth(j);
          point.s = r.similarities[cell(j)];
          const double du = ds * scale * by_score(point);
          const double k = norm(p.k, slab, segment.first_key + j, g);
          double by_q = k, by_k = q;
          switch (o.similarity.kind) {
            case Similarity::Kind::cosine:
              by_q = q == 0 ? 0 : 2 / q;
              by_k = k == 0 ? 0 : 2 / k;
              break;
            case Similarity::Kind::negative_distance:
              by_q = by_k = 2 * (q + k);
              break;
            case Similarity::Kind::bilinear:
              by_q = w_norm * k;
              by_k = w_norm * q;
              break;
            case Similarity::Kind::additive:
              by_q = by_k = w_norm;
              break;
            default:
              break;
          }
          const auto kv = static_cast<std::size_t>(
              (slab * k_shape[1] + segment.first_key + j) * p.d.kv_heads + g);
          m.dq[at] += std::pow(du * by_q, 2);
          m.dk[kv] += std::pow(du * by_k, 2);
          all_ds += ds * ds;
          all_du += std::pow(du * (o.similarity.kind == Similarity::Kind::bilinear
                                       ? q * k
                                       : std::sqrt(static_cast<double>(p.d.dim_k))),
                             2);
        }
      }
    }
  }
  for (auto* sums : {&m.dq, &m.dk, &m.dv}) {
    for (double& sum : *sums) sum = std::sqrt(sum);
  }
  for (std::size_t n = 0; n < m.arrays.size(); ++n) {
    const bool of_similarity =
        o.similarity.parameters && p.maker.differentiable()[n] == *o.similarity.parameters;
    m.arrays[n] = std::sqrt(of_similarity ? all_du : all_ds + (o.weight.empty() ? 0 : all_dp));
  }
  return m;
}

}  // namespace regard::testing
