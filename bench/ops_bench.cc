// Operations of a training step, forwards and backwards together, on two threads: what a step
// spends outside of its matrix products. Rows are the tokens of a batch, 384 is the width of a
// small character model, 8192 a small vocabulary.
//
//   build/release/bench/ops_bench
//
// Tried: Philox for every element of dropout, 5.8 ms where its mask.h now takes 0.26.
#include <benchmark/benchmark.h>

#include <functional>
#include <random>
#include <utility>
#include <vector>

#include "learning/dropout.h"
#include "learning/losses.h"
#include "ops/ops.h"
#include "tensor/pool.h"
#include "tensor/tape.h"

namespace regard {
namespace {

constexpr int64_t kRows = 2048, kWidth = 384, kClasses = 8192;

Tensor random_tensor(Tensor::Shape shape) {
  Tensor made(shape);
  std::mt19937 random(1);
  std::uniform_real_distribution<float> uniform(-2, 2);
  for (float& x : made.writable_numbers<float>()) x = uniform(random);
  return made;
}
Tensor random_tensor(Tensor::Extents shape) {
  return random_tensor(Tensor::Shape(shape.begin(), shape.size()));
}

using Function = std::function<Tensor(std::span<const Tensor>)>;

void pass(benchmark::State& state, std::vector<Tensor> leaves, const Function& function) {
  ThreadPool pool(2);
  const UsePool use(pool);
  for (Tensor& leaf : leaves) leaf.require_gradient();
  const Tensor cotangent = random_tensor(function(leaves).shape());
  for (auto unused : state) {
    backward(function(leaves), cotangent);
    for (Tensor& leaf : leaves) leaf.set_gradient({});
  }
}

void add_all() {
  const auto measure = [](const char* name, std::vector<Tensor> leaves, Function function) {
    benchmark::RegisterBenchmark(name,
                                 [leaves = std::move(leaves), function = std::move(function)](
                                     benchmark::State& state) { pass(state, leaves, function); })
        ->UseRealTime()
        ->Unit(benchmark::kMicrosecond);
  };
  const Tensor x = random_tensor({kRows, kWidth}), gain = random_tensor({kWidth});
  const Tensor wide = random_tensor({kRows, 4 * kWidth});
  measure("add", {x, random_tensor({kRows, kWidth})}, [](auto in) { return in[0] + in[1]; });
  measure("add a row", {x, gain}, [](auto in) { return in[0] + in[1]; });
  measure("mul", {x, random_tensor({kRows, kWidth})}, [](auto in) { return in[0] * in[1]; });
  measure("rms_norm", {x, gain}, [](auto in) { return rms_norm(in[0], in[1], 1e-5f); });
  measure("layer_norm", {x, gain, random_tensor({kWidth})},
          [](auto in) { return layer_norm(in[0], in[1], in[2], 1e-5f); });
  measure("gelu_erf", {wide}, [](auto in) { return activate(Activation::gelu_erf, in[0]); });
  measure("gelu_tanh", {wide}, [](auto in) { return activate(Activation::gelu_tanh, in[0]); });
  measure("silu, gated", {wide, random_tensor({kRows, 4 * kWidth})},
          [](auto in) { return activate_gated(Activation::silu, in[0], in[1]); });
  measure("softmax", {x}, [](auto in) { return softmax(in[0]); });
  measure("dropout", {x}, [](auto in) { return dropout(in[0], 0.1f, {1, 2}); });
  std::vector<int32_t> ids;
  for (int64_t i = 0; i < kRows; ++i) ids.push_back(static_cast<int32_t>(i * 7919 % kClasses));
  measure("embedding", {random_tensor({kClasses, kWidth})},
          [ids](auto in) { return embedding(in[0], ids); });
  measure("cross_entropy", {random_tensor({kRows, kClasses})},
          [ids](auto in) { return cross_entropy(in[0], ids).loss; });
  measure("heads before tokens", {random_tensor({kRows, 6, 64})}, [](auto in) {
    return permute(in[0], {1, 0, 2});
  });
}

}  // namespace
}  // namespace regard

int main(int argc, char** argv) {
  regard::add_all();
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
