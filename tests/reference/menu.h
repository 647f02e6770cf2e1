// The menu: every kind of mask, score program, normaliser, weight program and similarity, each as
// a function that makes one for given dimensions.
#pragma once

#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "maker.h"

namespace regard::testing {

template <class T>
struct Dish {
  std::string name;
  std::function<T(Maker&)> make;
};

inline std::vector<Dish<Expr>> mask_menu() {
  using namespace program;
  return {
      {"none", [](Maker&) { return Expr(); }},
      {"causal", [](Maker&) { return causal(); }},
      {"top-left", [](Maker&) { return causal(Align::top_left); }},
      {"causal-offset",
       [](Maker& m) {
         return key() <= row() + m.integers("offset", {m.d.batch}, -1, m.d.keys)(batch());
       }},
      {"window", [](Maker& m) { return window(m.random.below(9), m.random.below(5)); }},
      {"causal-window", [](Maker& m) { return causal() & window(m.random.below(40), 0); }},
      {"prefix",
       [](Maker& m) {
         return causal() | prefix(m.integers("prefix", {m.d.batch}, 0, m.d.keys)(batch()));
       }},
      {"lengths",
       [](Maker& m) { return lengths(m.integers("lengths", {m.d.batch}, 0, m.d.keys)); }},
      {"left-padding",
       [](Maker& m) {
         return left_padding(m.integers("pads", {m.d.batch}, 0, m.d.keys / 2)) & causal();
       }},
      {"documents",
       [](Maker& m) { return documents(m.integers("ids", {m.d.keys}, 0, m.d.keys / 20)); }},
      {"documents-batch",
       [](Maker& m) {
         return causal() & documents(m.integers("ids", {m.d.batch, m.d.keys}, 0, 2));
       }},
      {"allowed-1", [](Maker& m) { return allowed(m.booleans("allowed", {m.d.keys}, 0.6)); }},
      {"allowed-2",
       [](Maker& m) {
         return allowed(m.booleans("allowed", {m.d.rows, m.d.keys}, 0.5));
       }},
      {"allowed-3",
       [](Maker& m) {
         return allowed(m.booleans("allowed", {m.d.heads, 1, m.d.keys}, 0.7));
       }},
      {"allowed-4",
       [](Maker& m) {
         return allowed(m.booleans("allowed", {m.d.batch, 1, m.d.rows, m.d.keys}, 0.4));
       }},
      {"block-sparse",
       [](Maker& m) {
         const int q = static_cast<int>(m.random.between(1, 20));
         const int k = static_cast<int>(m.random.between(1, 130));
         // Positions may be negative where there are more rows than keys: then out of range.
         const int64_t last = std::max(m.d.rows, m.d.keys);
         return block_sparse(m.booleans("blocks", {m.d.heads, last / q + 1, m.d.keys / k + 1}, 0.5),
                             q, k);
       }},
      {"tree-bits",
       [](Maker& m) {
         const int64_t words = std::max(m.d.rows, m.d.keys) / 32 + 1;
         return tree_bits(m.integers("bits", {m.d.rows, words}, INT32_MIN, INT32_MAX));
       }},
      {"chunk", [](Maker& m) { return causal() & chunk(m.random.between(1, 150)); }},
      {"dilated", [](Maker& m) { return dilated(m.random.between(1, 5)); }},
      {"natten",
       [](Maker& m) {
         const int length = static_cast<int>(m.d.keys);
         const int kernel = static_cast<int>(m.random.between(1, std::max(1, length / 2)));
         return natten(length, kernel, 2 * kernel <= length ? 2 : 1);
       }},
      {"natten-2d",
       [](Maker& m) {
         const int width = static_cast<int>(m.random.between(1, m.d.keys));
         const int height = static_cast<int>((m.d.keys + width - 1) / width);
         return natten_2d(height, width, (height + 1) / 2, (width + 1) / 2);
       }},
      {"not-causal", [](Maker&) { return ~causal(); }},
      {"nothing", [](Maker&) { return key() < 0; }},
      {"compound",
       [](Maker& m) {
         const Expr sink = prefix(2), near = window(20, 3);
         return (sink | near | dilated(7)) &
                lengths(m.integers("lengths", {m.d.batch}, 1, m.d.keys)) & ~(key() == query() - 1);
       }},
  };
}

inline std::vector<Dish<Expr>> score_menu() {
  using namespace program;
  constexpr float kNone = -std::numeric_limits<float>::infinity();
  return {
      {"none", [](Maker&) { return Expr(); }},
      {"bias-1", [](Maker& m) { return additive_bias(m.real("bias", {m.d.keys})); }},
      {"bias-2",
       [](Maker& m) {
         return additive_bias(m.real("bias", {m.d.rows, m.d.keys}));
       }},
      {"bias-3",
       [](Maker& m) {
         return additive_bias(m.real("bias", {m.d.heads, 1, m.d.keys}));
       }},
      {"bias-4",
       [](Maker& m) {
         return additive_bias(m.real("bias", {m.d.batch, 1, m.d.rows, m.d.keys}));
       }},
      {"alibi", [](Maker& m) { return alibi(m.real("slopes", {m.d.heads}, 0.01)); }},
      {"t5",
       [](Maker& m) {
         return t5_bias(m.real("table", {8, m.d.heads}), 8, 20, m.random.one_in(2));
       }},
      {"relative",
       [](Maker& m) {
         return relative_position(m.real("table", {m.d.heads, 7}));
       }},
      {"softcap", [](Maker&) { return softcap(2.5f); }},
      {"softcap-learned",
       [](Maker& m) {
         const Expr free = m.real("cap", {m.d.heads})(head()), cap = free * free + 1.5f;
         return softcap(cap) + score() * 0.25f;
       }},
      {"chain",
       [](Maker& m) {
         const Expr near = alibi(m.real("slopes", {m.d.heads}, 0.01));
         return additive_bias(m.real("bias", {1, m.d.rows, 1}), softcap(4.0f, near));
       }},
      {"integers",
       [](Maker& m) {
         const Expr mixed = (query() ^ key()) & 3;
         const Expr table = m.real("table", {5})(mod(query() * 7 + key() * 3, 5));
         return where(mixed == 0, score() * 0.5f, score()) + table + to_real(mixed >> 1) * 0.125f;
       }},
      {"gather-of-gather",
       [](Maker& m) {
         const Array kinds = m.integers("kinds", {m.d.keys}, 0, 3);
         return score() * (1.0f + 0.25f * m.real("weights", {m.d.heads, 4})(head(), kinds(key())));
       }},
      {"max",
       [](Maker& m) {
         m.score_kink(score() * 0.75f - 0.125f);
         return max(score(), score() * 0.25f + 0.125f) + m.real("shift", {1})(0);
       }},
      {"some-minus-infinity",
       [](Maker&) { return where(mod(key() + head(), 3) == 0, kNone, score()); }},
      {"functions",
       [](Maker& m) {
         const Expr s = score(), a = m.real("a", {m.d.heads})(head());
         return log(1.0f + exp(s * 0.5f)) + sin(s) * cos(a) + sigmoid(a * s) / sqrt(1.0f + s * s);
       }},
  };
}

inline std::vector<Dish<Expr>> weight_menu() {
  using namespace program;
  return {
      {"none", [](Maker&) { return Expr(); }},
      {"dropout", [](Maker& m) { return dropout(0.25f, m.random.next()); }},
      {"linear", [](Maker& m) { return weight() * (m.real("gain", {m.d.heads})(head()) + 1.0f); }},
      {"by-key", [](Maker& m) { return m.real("gain", {m.d.keys})(key()) * weight() * 0.5f; }},
      {"square", [](Maker&) { return weight() * weight(); }},
      {"squashed",
       [](Maker& m) {
         const Expr p = weight(), half = m.real("half", {1})(0);
         return p / (p + half * half + 0.5f) + 0.01f * tanh(p);
       }},
      {"clipped",
       [](Maker& m) {
         m.weight_kink(weight() - 0.25f);
         return min(weight(), 0.25f);
       }},
  };
}

inline std::vector<Dish<Normaliser>> normaliser_menu() {
  using Sample = Normaliser::Sample;
  const auto gumbel = [](Sample sample) {
    return [sample](Maker& m) { return gumbel_softmax(0.75f, m.random.next(), sample); };
  };
  return {
      {"softmax", [](Maker&) { return softmax(); }},
      {"sink", [](Maker&) { return softmax_with_sink(0.5f); }},
      {"sinks", [](Maker& m) { return softmax_with_sink(m.real("sinks", {m.d.heads})); }},
      {"sigmoid", [](Maker&) { return sigmoid(); }},
      {"sigmoid-bias", [](Maker&) { return sigmoid(-1.5f); }},
      {"relu", [](Maker&) { return relu(); }},
      {"sparsemax", [](Maker&) { return sparsemax(); }},
      {"entmax15", [](Maker&) { return entmax15(); }},
      {"hardmax", [](Maker&) { return hardmax(); }},
      {"gumbel-soft", gumbel(Sample::soft)},
      {"gumbel-hard", gumbel(Sample::hard)},
      {"gumbel-straight-through", gumbel(Sample::straight_through)},
  };
}

inline std::vector<Dish<Similarity>> similarity_menu() {
  const auto by_root = [](int64_t n) { return 1 / std::sqrt(static_cast<double>(n)); };
  return {
      {"dot", [](Maker&) { return dot(); }},
      {"cosine", [](Maker&) { return cosine(); }},
      {"distance", [](Maker&) { return negative_distance(); }},
      {"bilinear",
       [=](Maker& m) {
         return bilinear(m.real("w", {m.d.dim, m.d.dim_k}, by_root(m.d.dim)));
       }},
      {"bilinear-heads",
       [=](Maker& m) {
         return bilinear(m.real("w", {m.d.heads, m.d.dim, m.d.dim_k}, by_root(m.d.dim)));
       }},
      {"additive",
       [=](Maker& m) { return additive(m.real("v", {m.d.dim_k}, by_root(m.d.dim_k))); }},
      {"additive-heads",
       [=](Maker& m) {
         return additive(m.real("v", {m.d.heads, m.d.dim_k}, by_root(m.d.dim_k)));
       }},
  };
}

}  // namespace regard::testing
