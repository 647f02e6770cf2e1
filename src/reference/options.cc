// The operator's slots by name.
#include "base/check.h"
#include "regard/attention_options.h"

namespace regard {

Normaliser softmax() { return {}; }

Normaliser softmax_with_sink(float sink) {
  require(sink == sink, "softmax_with_sink: the sink is not a number");
  return softmax_with_sink(Array::of("sink", std::vector<float>{sink}));
}

Normaliser softmax_with_sink(const Array& sinks) {
  require(sinks.type() == ElementType::f32 && sinks.rank() == 1,
          "softmax_with_sink: {} must hold reals, one for each head", sinks.name());
  return {.sinks = sinks};
}

Normaliser sigmoid(float bias) {
  require(bias - bias == 0, "sigmoid: bias ({}) is not a finite number", bias);
  return {.kind = Normaliser::Kind::sigmoid, .bias = bias};
}

Normaliser relu() { return {.kind = Normaliser::Kind::relu}; }
Normaliser sparsemax() { return {.kind = Normaliser::Kind::sparsemax}; }
Normaliser entmax15() { return {.kind = Normaliser::Kind::entmax15}; }
Normaliser hardmax() { return {.kind = Normaliser::Kind::hardmax}; }

Normaliser gumbel_softmax(float temperature, uint64_t seed, Normaliser::Sample sample) {
  require(temperature > 0 && temperature - temperature == 0,
          "gumbel_softmax: temperature ({}) is not a positive number", temperature);
  return {
      .kind = Normaliser::Kind::gumbel, .temperature = temperature, .seed = seed, .sample = sample};
}

Similarity dot() { return {}; }
Similarity cosine() { return {.kind = Similarity::Kind::cosine}; }
Similarity negative_distance() { return {.kind = Similarity::Kind::negative_distance}; }

Similarity bilinear(const Array& w) {
  require(w.type() == ElementType::f32 && (w.rank() == 2 || w.rank() == 3),
          "bilinear: {} must hold reals [dim of q, dim of k] or [heads, dim of q, dim of k]",
          w.name());
  return {.kind = Similarity::Kind::bilinear, .parameters = w};
}

Similarity additive(const Array& v) {
  require(v.type() == ElementType::f32 && (v.rank() == 1 || v.rank() == 2),
          "additive: {} must hold reals [dim] or [heads, dim]", v.name());
  return {.kind = Similarity::Kind::additive, .parameters = v};
}

Expr causal(Align align) {
  return align == Align::bottom_right ? program::causal_mask() : program::key() <= program::row();
}

}  // namespace regard
