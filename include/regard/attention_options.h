// The slots of the operator: similarity, score program, mask, normaliser, weight program.
//
//   out = Σ_j weight(normalise(score(scale · u(q, k)) where mask)) v
//
// Order: scale, then the score program, then the mask selects, then the normaliser, then the
// weight program. Masked means absent: a masked key's numbers, NaN or not, reach nothing.
#pragma once

#include <cstdint>
#include <optional>

#include "regard/program.h"

namespace regard {

// How scores s become weights p. Every one leaves a row without an allowed key at zeros.
struct Normaliser {
  enum class Kind : uint8_t { softmax, sigmoid, relu, sparsemax, entmax15, hardmax, gumbel };
  // What a Gumbel-softmax gives: the weights; 1 for the largest; 1 for the largest with the
  // gradient of the weights (Jang et al. 2017).
  enum class Sample : uint8_t { soft, hard, straight_through };

  Kind kind = Kind::softmax;
  std::optional<Array> sinks = {};  // softmax: real [heads], or [1] for all heads
  float bias = 0;                   // sigmoid
  float temperature = 1;            // gumbel
  uint64_t seed = 0;                // gumbel
  Sample sample = Sample::soft;     // gumbel
};

Normaliser softmax();  // p = exp(s) / Σ exp(s); a score of +inf makes its row NaN
// A key that takes weight and gives nothing: p = exp(s) / (exp(sink) + Σ exp(s)), Xiao et al. 2023.
// A differentiable array gets a gradient.
Normaliser softmax_with_sink(float sink);
Normaliser softmax_with_sink(const Array& sinks);  // real [heads]
Normaliser sigmoid(float bias = 0);                // p = σ(s + bias), Ramapuram et al. 2024
Normaliser relu();                                 // p = max(s, 0) / Σ max(s, 0); all <= 0: no key
Normaliser sparsemax();                            // Martins and Astudillo 2016
Normaliser entmax15();                             // α = 1.5, Peters et al. 2019
Normaliser hardmax();  // 1 for the largest score, the lowest key among equals; gradient 0
// softmax((s + g) / temperature), g Gumbel noise keyed on (seed, sequence, head, i, j).
Normaliser gumbel_softmax(float temperature, uint64_t seed,
                          Normaliser::Sample sample = Normaliser::Sample::soft);

// u(q, k).
struct Similarity {
  enum class Kind : uint8_t { dot, bilinear, cosine, negative_distance, additive };
  Kind kind = Kind::dot;
  std::optional<Array> parameters = {};
};

Similarity dot();     // Σ q_d k_d; default scale 1/√dim
Similarity cosine();  // dot of q/‖q‖ and k/‖k‖, 0 with a zero vector; default scale 1
// -‖q - k‖²; default scale 1/(2√dim), which makes softmax a Gaussian kernel smoother.
Similarity negative_distance();
// qᵀ W k; W real [dim of q, dim of k] or [heads, dim of q, dim of k]; default scale 1/√(dim of k).
Similarity bilinear(const Array& w);
// Σ_d v_d tanh(q_d + k_d) with q and k projected already (Bahdanau et al. 2015); v real [dim] or
// [heads, dim]; default scale 1.
Similarity additive(const Array& v);

struct AttentionOptions {
  Expr mask = {};   // boolean; default: every key is allowed
  Expr score = {};  // real, of score(); default: the scaled similarity as it is
  Normaliser normaliser = softmax();
  Expr weight = {};  // real, of weight(); default: p as it is
  Similarity similarity = dot();
  std::optional<float> scale = {};  // default: the similarity's; zero and negative are legal
  int threads = 0;                  // 0 = all cores; never changes a bit
};

// Where the diagonal of a causal mask ends when there are more keys than rows.
enum class Align : uint8_t { bottom_right, top_left };

inline Expr full() { return {}; }
// bottom_right: j <= i, so that row r of `rows` sees keys 0 .. keys - rows + r. top_left: j <= r.
Expr causal(Align align = Align::bottom_right);

}  // namespace regard
