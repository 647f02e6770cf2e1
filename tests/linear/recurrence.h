// A problem of linear attention, and its recurrence in f64: the formula and nothing else.
#pragma once

#include <cmath>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "regard/linear_attention.h"
#include "simd/target.h"

namespace regard::linear_test {

using Numbers = std::vector<float>;
using Wide = std::vector<double>;

struct Size {
  int64_t batch = 1, tokens = 1, heads = 1, kv_heads = 1, dim = 4, dim_v = 4;
  int64_t keys = -1;  // without causal; -1: tokens
  int64_t all_keys() const { return keys < 0 ? tokens : keys; }
};

// Everything that goes in or comes out, in f32 or f64.
template <class T>
struct Arrays {
  std::vector<T> q, k, v, decay, beta, state, key_sum;
};

struct Problem {
  Size size;
  LinearAttentionOptions options;
  bool decay_of_head = false, one_beta = false;
  Arrays<float> x;

  bool decays() const {
    return options.rule == UpdateRule::gated || options.rule == UpdateRule::gated_delta;
  }
  bool delta() const {
    return options.rule == UpdateRule::delta || options.rule == UpdateRule::gated_delta;
  }
  int64_t wide() const { return decay_of_head ? 1 : size.dim; }
  int64_t betas() const { return one_beta ? 1 : size.kv_heads; }

  LinearAttentionInputs inputs() const {
    const Size& s = size;
    LinearAttentionInputs in;
    in.q = {x.q.data(), {s.batch, s.tokens, s.heads, s.dim}};
    in.k = {x.k.data(), {s.batch, s.all_keys(), s.kv_heads, s.dim}};
    in.v = {x.v.data(), {s.batch, s.all_keys(), s.kv_heads, s.dim_v}};
    if (decays()) in.decay = {x.decay.data(), {s.batch, s.tokens, s.kv_heads, wide()}};
    if (delta()) in.beta = {x.beta.data(), {s.batch, s.tokens, betas()}};
    in.state = {x.state.data(), {s.batch, s.kv_heads, s.dim, s.dim_v}};
    if (options.normalise) in.key_sum = {x.key_sum.data(), {s.batch, s.kv_heads, s.dim}};
    return in;
  }
};

// Numbers as layers make them: keys of length about 1, decays below 1, 0 < beta < 1.
inline Problem make_problem(const Size& s, const LinearAttentionOptions& options, uint32_t seed = 1,
                            bool decay_of_head = false, bool one_beta = false) {
  Problem p{s, options, decay_of_head, one_beta, {}};
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, 1);
  const auto fill = [&](Numbers& x, int64_t count, auto make) {
    x.resize(static_cast<std::size_t>(count));
    for (float& number : x) number = make(normal(random));
  };
  const float shrink = 1 / std::sqrt(static_cast<float>(s.dim));
  const auto plain = [](float x) { return x; };
  // Features above 0, so that denominators stay away from it.
  const bool positive = options.normalise && options.features == FeatureMap::identity;
  const auto feature = [&](float x) { return positive ? std::abs(x) + 0.1f : x; };
  fill(p.x.q, s.batch * s.tokens * s.heads * s.dim, feature);
  fill(p.x.k, s.batch * s.all_keys() * s.kv_heads * s.dim,
       [&](float x) { return shrink * feature(x); });
  fill(p.x.v, s.batch * s.all_keys() * s.kv_heads * s.dim_v, plain);
  if (p.decays()) {
    fill(p.x.decay, s.batch * s.tokens * s.kv_heads * p.wide(),
         [](float x) { return -0.1f * std::abs(x); });
  }
  if (p.delta()) {
    fill(p.x.beta, s.batch * s.tokens * p.betas(), [](float x) { return 1 / (1 + std::exp(x)); });
  }
  fill(p.x.state, s.batch * s.kv_heads * s.dim * s.dim_v, plain);
  if (options.normalise) {
    fill(p.x.key_sum, s.batch * s.kv_heads * s.dim, [](float x) { return std::abs(x) + 0.1f; });
  }
  return p;
}

inline Arrays<double> exact(const Arrays<float>& x) {
  const auto wide = [](const Numbers& y) { return Wide(y.begin(), y.end()); };
  return {wide(x.q),    wide(x.k),     wide(x.v),      wide(x.decay),
          wide(x.beta), wide(x.state), wide(x.key_sum)};
}

template <class T>
struct Results {
  std::vector<T> out, state, key_sum;
};

inline double feature(FeatureMap map, double x) {
  switch (map) {
    case FeatureMap::elu:
      return x > 0 ? x + 1 : std::exp(x);
    case FeatureMap::relu:
      return x > 0 ? x : 0;
    case FeatureMap::exp:
      return std::exp(x);
    case FeatureMap::identity:
      break;
  }
  return x;
}

// The recurrence; p gives sizes and options, x the numbers.
inline Results<double> recurrence(const Problem& p, const Arrays<double>& x) {
  const Size& s = p.size;
  const auto n = [](int64_t i) { return static_cast<std::size_t>(i); };
  const double scale =
      p.options.normalise ? 1 : p.options.scale.value_or(1 / std::sqrt(static_cast<float>(s.dim)));
  Results<double> r{Wide(n(s.batch * s.tokens * s.heads * s.dim_v)), x.state, x.key_sum};
  for (int64_t b = 0; b < s.batch; ++b) {
    for (int64_t h = 0; h < s.kv_heads; ++h) {
      double* const S = r.state.data() + (b * s.kv_heads + h) * s.dim * s.dim_v;
      double* const z = r.key_sum.data() + (b * s.kv_heads + h) * s.dim;
      const auto write = [&](int64_t t) {
        const int64_t row = (b * s.all_keys() + t) * s.kv_heads + h;
        Wide k(n(s.dim));
        for (int64_t d = 0; d < s.dim; ++d) {
          k[n(d)] = feature(p.options.features, x.k[n(row * s.dim + d)]);
          if (p.decays()) {
            const double a = std::exp(x.decay[n(row * p.wide() + (p.wide() == 1 ? 0 : d))]);
            for (int64_t m = 0; m < s.dim_v; ++m) S[d * s.dim_v + m] *= a;
            if (p.options.normalise) z[d] *= a;
          }
          if (p.options.normalise) z[d] += k[n(d)];
        }
        for (int64_t m = 0; m < s.dim_v; ++m) {
          double u = x.v[n(row * s.dim_v + m)];
          if (p.delta()) {
            for (int64_t d = 0; d < s.dim; ++d) u -= S[d * s.dim_v + m] * k[n(d)];
            u *= x.beta[n((b * s.tokens + t) * p.betas() + (p.one_beta ? 0 : h))];
          }
          for (int64_t d = 0; d < s.dim; ++d) S[d * s.dim_v + m] += k[n(d)] * u;
        }
      };
      const auto read = [&](int64_t t) {
        const int64_t group = s.heads / s.kv_heads;
        for (int64_t head = h * group; head < (h + 1) * group; ++head) {
          const int64_t row = (b * s.tokens + t) * s.heads + head;
          double sum = 0;
          Wide q(n(s.dim));
          for (int64_t d = 0; d < s.dim; ++d) {
            q[n(d)] = feature(p.options.features, x.q[n(row * s.dim + d)]);
            if (p.options.normalise) sum += q[n(d)] * z[d];
          }
          for (int64_t m = 0; m < s.dim_v; ++m) {
            double o = 0;
            for (int64_t d = 0; d < s.dim; ++d) o += q[n(d)] * S[d * s.dim_v + m];
            r.out[n(row * s.dim_v + m)] = !p.options.normalise ? scale * o : sum == 0 ? 0 : o / sum;
          }
        }
      };
      if (p.options.causal) {
        for (int64_t t = 0; t < s.tokens; ++t) write(t), read(t);
      } else {
        for (int64_t t = 0; t < s.all_keys(); ++t) write(t);
        for (int64_t t = 0; t < s.tokens; ++t) read(t);
      }
    }
  }
  return r;
}

inline std::string describe(const Problem& p) {
  const Size& s = p.size;
  std::string text = std::string(name(active_target())) + ", rule " +
                     std::to_string(static_cast<int>(p.options.rule)) + ", features " +
                     std::to_string(static_cast<int>(p.options.features)) +
                     (p.options.normalise ? ", normalised" : "") +
                     (p.options.causal ? "" : ", whole") + ", sizes";
  for (int64_t x : {s.batch, s.tokens, s.heads, s.kv_heads, s.dim, s.dim_v}) {
    text += " " + std::to_string(x);
  }
  return text;
}

// Every rule with every way to give its gates, and every feature map with and without normalising.
inline std::vector<Problem> problems(const std::vector<Size>& sizes) {
  std::vector<Problem> all;
  std::size_t i = 0;
  const auto size = [&] { return sizes[i++ % sizes.size()]; };
  for (const UpdateRule rule :
       {UpdateRule::linear, UpdateRule::gated, UpdateRule::delta, UpdateRule::gated_delta}) {
    for (const bool short_gates : {false, true}) {
      for (std::size_t again = 0; again < 3; ++again) {
        all.push_back(make_problem(size(), {.rule = rule}, 2, short_gates, short_gates));
      }
    }
  }
  for (const FeatureMap map :
       {FeatureMap::identity, FeatureMap::elu, FeatureMap::relu, FeatureMap::exp}) {
    for (const bool normalise : {false, true}) {
      for (const UpdateRule rule : {UpdateRule::linear, UpdateRule::gated}) {
        all.push_back(
            make_problem(size(), {.rule = rule, .features = map, .normalise = normalise}, 3));
      }
      all.push_back(
          make_problem(size(), {.features = map, .normalise = normalise, .causal = false}, 4));
    }
  }
  return all;
}

}  // namespace regard::linear_test
