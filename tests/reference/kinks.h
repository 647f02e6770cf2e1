// Kinks: the rows in which a result or a gradient jumps within 1e-4, because of a tie between two
// scores, the edge of a support, or a bend of a program. They are left out of comparisons.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "maker.h"
#include "reference/reference.h"

namespace regard::testing {

constexpr double kKink = 1e-4;

// Scores of one row's allowed keys, as the normaliser sees them, and their weights.
inline bool normaliser_is_near_a_kink(const Normaliser& normaliser, const std::vector<double>& s,
                                      const std::vector<double>& p) {
  using Kind = Normaliser::Kind;
  if (s.empty()) return false;
  const auto largest = std::max_element(s.begin(), s.end());
  const double top = p[static_cast<std::size_t>(largest - s.begin())];
  for (std::size_t j = 0; j < s.size(); ++j) {
    double distance = 1;
    switch (normaliser.kind) {
      case Kind::relu:
        distance = s[j];
        break;
      case Kind::sparsemax:  // s - τ, the largest score being τ + its weight
        distance = s[j] - *largest + top;
        break;
      case Kind::entmax15:  // s / 2 - τ, the largest score's being the root of its weight
        distance = (s[j] - *largest) / 2 + std::sqrt(top);
        break;
      case Kind::hardmax:
      case Kind::gumbel:
        if (normaliser.kind == Kind::gumbel && normaliser.sample == Normaliser::Sample::soft) break;
        if (s.begin() + static_cast<std::ptrdiff_t>(j) != largest) distance = *largest - s[j];
        break;
      default:
        break;
    }
    if (std::abs(distance) < kKink) return true;
  }
  return false;
}

// [batch, tokens, heads]: 1 where a row is near a kink. r: with matrices.
inline std::vector<char> rows_near_a_kink(const Reference& r, int64_t tokens, int64_t heads,
                                          std::span<const Segment> segments,
                                          const AttentionOptions& options, const Maker& maker) {
  std::vector<char> near(r.entropy.size());
  if (near.empty()) return near;
  const int64_t keys = static_cast<int64_t>(r.scores.size()) / static_cast<int64_t>(near.size());
  const auto bends = [](const std::vector<Expr>& kinks, const Point& point) {
    return std::any_of(kinks.begin(), kinks.end(),
                       [&](const Expr& kink) { return std::abs(evaluate(kink, point)) < kKink; });
  };
  for (std::size_t n = 0; n < segments.size(); ++n) {
    const Segment& segment = segments[n];
    for (int64_t row = 0; row < segment.rows; ++row) {
      for (int64_t head = 0; head < heads; ++head) {
        const int64_t at = (segment.slab * tokens + segment.first_row + row) * heads + head;
        std::vector<double> s, p;
        bool bad = false;
        for (int64_t j = 0; j < segment.keys; ++j) {
          const auto cell = static_cast<std::size_t>(at * keys + j);
          if (r.normaliser_scores[cell] == -std::numeric_limits<double>::infinity()) continue;
          s.push_back(r.normaliser_scores[cell]);
          p.push_back(r.normalised[cell]);
          Point point{.batch = static_cast<int64_t>(n), .head = head, .j = j, .row = row};
          point.sequence = segment.sequence.value_or(point.batch);
          point.i = segment.position.value_or(segment.keys - segment.rows) + row;
          point.s = r.similarities[cell];
          bad = bad || bends(maker.score_kinks(), point);
          point.s = p.back();
          bad = bad || bends(maker.weight_kinks(), point);
        }
        bad = bad || normaliser_is_near_a_kink(options.normaliser, s, p);
        near[static_cast<std::size_t>(at)] = bad ? 1 : 0;
      }
    }
  }
  return near;
}

}  // namespace regard::testing
