// A training step (forward, backward, AdamW) of an LSTM encoder-decoder with Bahdanau's alignment:
// hidden 256, length 30, batch 32, as PEERS.md's table asks, and the parts of it.
//
//   cmake --build build/release --target recurrent_bench
//   build/release/bench/recurrent_bench
//   python bench/recurrent_peer.py          the same step in PyTorch
//
// On an idle machine only. Measured on two Zen 5 class cores, one run: Bahdanau 65.6 ms on one
// thread, 36.1 on two; PyTorch 2.15 on two 102.3 (median; least 89.8).
#include <benchmark/benchmark.h>

#include <random>
#include <vector>

#include "kernels/adam.h"
#include "ops/ops.h"
#include "seq2seq/seq2seq.h"
#include "tensor/pool.h"
#include "tensor/tape.h"

namespace regard {
namespace {

constexpr int64_t kHidden = 256, kLength = 30, kBatch = 32, kVocabulary = 1000;

std::vector<std::vector<seq2seq::Id>> sequences(int64_t length, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<std::vector<seq2seq::Id>> made(kBatch);
  for (auto& one : made) {
    for (int64_t t = 0; t < length; ++t) {
      one.push_back(static_cast<seq2seq::Id>(3 + random() % (kVocabulary - 3)));
    }
  }
  return made;
}

void train(benchmark::State& state, seq2seq::Context context) {
  ThreadPool pool(static_cast<int>(state.range(0)));
  const UsePool use(pool);
  nn::Parameters parameters;
  const seq2seq::Seq2Seq model({.source_vocabulary = kVocabulary,
                                .target_vocabulary = kVocabulary,
                                .width = kHidden,
                                .hidden = kHidden,
                                .cell = Cell::lstm,
                                .context = context},
                               {&parameters, {1}});
  const auto source = seq2seq::pad(sequences(kLength, 1));
  const auto target = seq2seq::pad(sequences(kLength - 1, 2));  // and stop
  std::vector<std::vector<float>> m, v;
  for (const nn::Parameter& one : parameters) {
    m.emplace_back(static_cast<std::size_t>(one.leaf.size()));
    v.emplace_back(static_cast<std::size_t>(one.leaf.size()));
  }
  int64_t step = 0;
  for (auto _ : state) {
    const seq2seq::Taught taught = model(source, target);
    backward(taught.loss);
    std::size_t i = 0;
    ++step;
    for (nn::Parameter& one : parameters) {
      const Tensor gradient = one.leaf.gradient();
      adamw({.learning_rate = 1e-4f, .step = step}, one.leaf.writable_numbers<float>(),
            gradient.numbers<float>(), m[i], v[i], pool);
      ++i;
    }
    parameters.clear_gradients();
  }
}
void Bahdanau(benchmark::State& state) { train(state, seq2seq::Context::bahdanau); }
void FixedVector(benchmark::State& state) { train(state, seq2seq::Context::init); }
BENCHMARK(Bahdanau)->Arg(1)->Arg(2)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK(FixedVector)->Arg(2)->UseRealTime()->Unit(benchmark::kMillisecond);

// One layer, forward and backward.
void Layer(benchmark::State& state, Cell cell) {
  ThreadPool pool(2);
  const UsePool use(pool);
  nn::Parameters parameters;
  const auto layer =
      seq2seq::make_recurrent_layer({&parameters}, "layer", cell, kHidden, kHidden, false);
  const Tensor x = zeros({kLength, kBatch, kHidden}),
               ones = nn::constant({kLength, kBatch, kHidden}, 1);
  for (auto _ : state) {
    backward(layer(x).steps, ones);
    parameters.clear_gradients();
  }
}
BENCHMARK_CAPTURE(Layer, rnn, Cell::rnn_tanh)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(Layer, gru, Cell::gru)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(Layer, lstm, Cell::lstm)->UseRealTime()->Unit(benchmark::kMillisecond);

// One decoder step's attention, 32 queries over 30 keys each: through the operator, which is what a
// recurrence would pay at each step if it called it, and by the rows that it has inside.
struct Step {
  Tensor queries, keys, v;
  Step() {
    std::mt19937 random(1);
    std::normal_distribution<float> normal;
    const auto some = [&](Tensor::Extents shape) {
      Tensor made(shape);
      for (float& number : made.writable_numbers<float>()) number = normal(random);
      return made;
    };
    queries = some({kBatch, 1, kHidden});
    keys = some({kBatch, kLength, kHidden});
    v = some({kHidden});
  }
};
void StepByOperator(benchmark::State& state) {
  ThreadPool pool(2);
  const UsePool use(pool);
  Step step;
  step.v.require_gradient();
  const CapturedLeaf score = capture("v", step.v);
  std::vector<Segment> segments;
  for (int64_t b = 0; b < kBatch; ++b) {
    segments.push_back({.first_row = b, .rows = 1, .keys = kLength, .first_key = b * kLength});
  }
  AttentionOptions options;
  options.similarity = additive(score.array);
  const Tensor keys = step.keys.reshape({kBatch * kLength, 1, kHidden});
  const NoGradient quiet;
  for (auto _ : state) {
    benchmark::DoNotOptimize(attention(step.queries, keys, keys, segments, options));
  }
}
BENCHMARK(StepByOperator)->UseRealTime()->Unit(benchmark::kMicrosecond);
void StepByRows(benchmark::State& state) {
  ThreadPool pool(2);
  const UsePool use(pool);
  const Step step;
  for (auto _ : state) {
    const Tensor scores = additive_scores(step.queries, step.keys, step.v);
    benchmark::DoNotOptimize(align(scores, step.keys).context);
  }
}
BENCHMARK(StepByRows)->UseRealTime()->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace regard

BENCHMARK_MAIN();
