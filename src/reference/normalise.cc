#include "reference/normalise.h"

#include <algorithm>
#include <cmath>
#include <functional>

namespace regard::reference {
namespace {

using Kind = Normaliser::Kind;
using Sample = Normaliser::Sample;
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

// NaN if there is one.
double largest_of(std::span<const double> s) {
  double largest = -std::numeric_limits<double>::infinity();
  for (const double x : s) {
    if (std::isnan(x)) return kNaN;
    largest = std::max(largest, x);
  }
  return largest;
}

// exp(s - largest) / (exp(sink - largest) + Σ exp(s - largest))
void softmax_weights(std::span<const double> s, double sink, Weights& w) {
  const double largest = largest_of(s);
  double sum = 0;
  for (const double x : s) sum += std::exp(x - largest);
  w.lse = largest + std::log(sum);
  // The sink may lie far above all scores.
  const double shift = sink > largest ? sink : largest;
  const double whole = sum * std::exp(largest - shift) + std::exp(sink - shift);
  for (std::size_t j = 0; j < s.size(); ++j) w.p[j] = std::exp(s[j] - shift) / whole;
  w.sink_weight = std::exp(sink - shift) / whole;
}

// Martins and Astudillo 2016, algorithm 1: p = max(s - τ, 0) with the τ that makes Σ p = 1, found
// from the sorted scores.
void sparsemax_weights(std::span<const double> s, Weights& w) {
  const double largest = largest_of(s);
  std::vector<double> sorted;
  for (const double x : s) sorted.push_back(x - largest);
  if (std::isnan(largest - largest)) return std::fill(w.p.begin(), w.p.end(), kNaN), void();
  std::sort(sorted.begin(), sorted.end(), std::greater<>());
  double sum = 0, threshold = 0;
  for (std::size_t n = 0; n < sorted.size(); ++n) {
    sum += sorted[n];
    const auto count = static_cast<double>(n + 1);
    if (!(1 + count * sorted[n] > sum)) break;
    threshold = (sum - 1) / count;
  }
  for (std::size_t j = 0; j < s.size(); ++j) w.p[j] = std::max(s[j] - largest - threshold, 0.0);
}

// Peters et al. 2019, algorithm 2: p = max(s / 2 - τ, 0)² with the τ that makes Σ p = 1. Of the n
// largest scores with mean M and sum of squared deviations S, τ = M - √((1 - S) / n).
void entmax15_weights(std::span<const double> s, Weights& w) {
  const double largest = largest_of(s);
  std::vector<double> sorted;
  for (const double x : s) sorted.push_back((x - largest) / 2);
  if (std::isnan(largest - largest)) return std::fill(w.p.begin(), w.p.end(), kNaN), void();
  std::sort(sorted.begin(), sorted.end(), std::greater<>());
  double mean = 0, deviations = 0, threshold = 0;
  for (std::size_t n = 0; n < sorted.size(); ++n) {
    if (sorted[n] <= -1) break;  // τ is never below the largest score minus 1
    const auto count = static_cast<double>(n + 1);
    const double step = sorted[n] - mean;
    mean += step / count;
    deviations += step * (sorted[n] - mean);
    const double tau = mean - std::sqrt(std::max((1 - deviations) / count, 0.0));
    if (tau > sorted[n]) break;
    threshold = tau;
  }
  for (std::size_t j = 0; j < s.size(); ++j) {
    const double root = std::max((s[j] - largest) / 2 - threshold, 0.0);
    w.p[j] = root * root;
  }
}

void relu_weights(std::span<const double> s, Weights& w) {
  double sum = 0;
  for (const double x : s) sum += x < 0 ? 0 : x;
  w.empty = sum == 0;
  for (std::size_t j = 0; j < s.size() && !w.empty; ++j) w.p[j] = (s[j] < 0 ? 0 : s[j]) / sum;
}

void hardmax_weights(std::span<const double> s, Weights& w) {
  if (std::isnan(largest_of(s))) return std::fill(w.p.begin(), w.p.end(), kNaN), void();
  w.p[static_cast<std::size_t>(std::max_element(s.begin(), s.end()) - s.begin())] = 1;
}

}  // namespace

Weights normalise(const Normaliser& normaliser, std::span<const double> s, double sink) {
  Weights w;
  w.p.resize(s.size());
  w.empty = largest_of(s) == -std::numeric_limits<double>::infinity();
  if (w.empty) return w;
  switch (normaliser.kind) {
    case Kind::softmax:
      softmax_weights(s, sink, w);
      break;
    case Kind::sigmoid:
      for (std::size_t j = 0; j < s.size(); ++j) {
        w.p[j] = 1 / (1 + std::exp(-(s[j] + static_cast<double>(normaliser.bias))));
      }
      break;
    case Kind::relu:
      relu_weights(s, w);
      break;
    case Kind::sparsemax:
      sparsemax_weights(s, w);
      break;
    case Kind::entmax15:
      entmax15_weights(s, w);
      break;
    case Kind::hardmax:
      hardmax_weights(s, w);
      break;
    case Kind::gumbel:
      normaliser.sample == Sample::soft ? softmax_weights(s, kNoSink, w) : hardmax_weights(s, w);
      break;
  }
  return w;
}

std::vector<double> normaliser_gradient(const Normaliser& normaliser, std::span<const double> s,
                                        const Weights& weights, std::span<const double> dp,
                                        double& d_sink) {
  const std::size_t keys = s.size();
  std::vector<double> ds(keys), p = weights.p;
  if (weights.empty || normaliser.kind == Kind::hardmax ||
      (normaliser.kind == Kind::gumbel && normaliser.sample == Sample::hard)) {
    return ds;
  }
  if (normaliser.kind == Kind::gumbel && normaliser.sample == Sample::straight_through) {
    p = normalise(softmax(), s).p;
  }
  double mean = 0;  // Σ p dp
  for (std::size_t j = 0; j < keys; ++j) mean += p[j] * dp[j];
  switch (normaliser.kind) {
    case Kind::sigmoid:
      for (std::size_t j = 0; j < keys; ++j) ds[j] = p[j] * (1 - p[j]) * dp[j];
      break;
    case Kind::relu: {
      double sum = 0;
      for (const double x : s) sum += x < 0 ? 0 : x;
      for (std::size_t j = 0; j < keys; ++j) ds[j] = s[j] <= 0 ? 0 : (dp[j] - mean) / sum;
      break;
    }
    case Kind::sparsemax:
    case Kind::entmax15: {
      // The Jacobian is diag(g) - g gᵀ / Σ g: g is 1 in the support for sparsemax, √p for entmax.
      std::vector<double> g(keys);
      double sum = 0, share = 0;
      for (std::size_t j = 0; j < keys; ++j) {
        g[j] = normaliser.kind == Kind::entmax15 ? std::sqrt(p[j]) : p[j] > 0 ? 1 : p[j];
        sum += g[j];
        share += g[j] * dp[j];
      }
      for (std::size_t j = 0; j < keys; ++j) ds[j] = g[j] * (dp[j] - share / sum);
      break;
    }
    default:
      for (std::size_t j = 0; j < keys; ++j) ds[j] = p[j] * (dp[j] - mean);
      d_sink -= weights.sink_weight * mean;
  }
  return ds;
}

}  // namespace regard::reference
