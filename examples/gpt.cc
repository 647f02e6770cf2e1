// A GPT in a hundred lines: learns a text byte by byte, then writes on. gpt TEXT [STEPS]
// It stands on regard's own rooms (src/nn and what is left of it), not on the installed headers.
#include <algorithm>
#include <cmath>
#include <fstream>
#include <iostream>
#include <iterator>
#include <numeric>
#include <string>
#include <vector>

#include "base/random.h"
#include "kernels/adam.h"
#include "learning/losses.h"
#include "nn/block.h"
#include "nn/ends.h"
#include "nn/make.h"
#include "nn/pass.h"
#include "tensor/pool.h"
#include "tensor/tape.h"

namespace {

using namespace regard;
constexpr int64_t kWidth = 128, kHeads = 4, kDim = kWidth / kHeads, kLayers = 4;
constexpr int64_t kContext = 64, kRows = 12, kBytes = 256;

struct Gpt {
  nn::Parameters parameters;
  nn::Embedding tokens, positions;
  std::vector<nn::Block> blocks;
  nn::Norm norm;

  Gpt() {
    const nn::Maker make{&parameters, {.seed = 1}, /*deviation=*/0.02};
    const auto layer_norm = [&](const std::string& name) {
      return make.norm(nn::Norm::Kind::layer, name, kWidth);
    };
    tokens = make.embedding("tokens", kBytes, kWidth);
    positions = make.embedding("positions", kContext, kWidth);
    for (int64_t layer = 0; layer < kLayers; ++layer) {
      const std::string in = "block." + std::to_string(layer) + ".";
      const auto square = [&](const char* name) { return make.linear(in + name, kWidth, kWidth); };
      blocks.push_back({.attention_norms = {.before = layer_norm(in + "attention_norm")},
                        .attention = {.layer = layer,
                                      .heads = kHeads,
                                      .kv_heads = kHeads,
                                      .dim = kDim,
                                      .dim_v = kDim,
                                      .query = square("query"),
                                      .key = square("key"),
                                      .value = square("value"),
                                      .output = square("output")},
                        .mlp_norms = {.before = layer_norm(in + "mlp_norm")},
                        .mlp = {nn::Mlp{.up = make.linear(in + "up", 4 * kWidth, kWidth),
                                        .down = make.linear(in + "down", kWidth, 4 * kWidth),
                                        .activation = Activation::gelu_tanh}}});
    }
    norm = layer_norm("norm");
  }

  // ids of texts one behind another -> logits [tokens, kBytes]; the head is the embedding.
  Tensor operator()(std::span<const int32_t> ids, std::span<const int64_t> lengths) const {
    const auto pass =
        nn::Pass::make(nn::Texts::packed(lengths),
                       {{.options = {.mask = causal()}, .shape = {kHeads, kHeads, kDim, kDim}}});
    const nn::Step step = pass->step();
    Tensor x = tokens(ids) + positions(step.positions);
    for (const nn::Block& block : blocks) x = block(x, step);
    return nn::Linear{tokens.table, {}}(norm(x));
  }
};

// The next byte, drawn from softmax(logits / temperature).
int32_t draw(std::span<const float> logits, float temperature, uint64_t position) {
  const float most = *std::max_element(logits.begin(), logits.end());
  std::vector<double> sums;
  double sum = 0;
  for (const float logit : logits) sums.push_back(sum += std::exp((logit - most) / temperature));
  const double at = uniform(7, position) * sum;
  return static_cast<int32_t>(std::lower_bound(sums.begin(), sums.end(), at) - sums.begin());
}

}  // namespace

int main(int argc, char** argv) try {
  std::ifstream file(argc > 1 ? argv[1] : "README.md", std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  require(text.size() > kContext + 1, "gpt: {} bytes of text are too few", text.size());
  ThreadPool threads;
  const UsePool use(threads);
  Gpt gpt;
  std::vector<std::pair<Tensor, Tensor>> moments;
  for (const nn::Parameter& one : gpt.parameters) {
    const std::vector<float> none(static_cast<std::size_t>(one.leaf.size()));
    moments.emplace_back(tensor_of(none), tensor_of(none));
  }
  const int64_t steps = argc > 2 ? std::stoll(argv[2]) : 500;
  for (int64_t step = 1; step <= steps; ++step) {
    std::vector<int32_t> ids, targets;
    for (int64_t row = 0; row < kRows; ++row) {
      const auto from =
          static_cast<std::size_t>(uniform(3, static_cast<uint64_t>(step * kRows + row)) *
                                   static_cast<double>(text.size() - kContext - 1));
      for (std::size_t i = from; i < from + kContext; ++i) {
        ids.push_back(static_cast<unsigned char>(text[i]));
        targets.push_back(static_cast<unsigned char>(text[i + 1]));
      }
    }
    const Tensor loss =
        cross_entropy(gpt(ids, std::vector<int64_t>(kRows, kContext)), targets).loss;
    gpt.parameters.clear_gradients();
    backward(loss);
    for (int64_t i = 0; nn::Parameter & one : gpt.parameters) {
      auto& [first, second] = moments[static_cast<std::size_t>(i++)];
      adamw({.learning_rate = 1e-3f, .decay = one.decay ? 0.1f : 0.0f, .step = step},
            one.leaf.writable_numbers<float>(), one.leaf.gradient().numbers<float>(),
            first.writable_numbers<float>(), second.writable_numbers<float>(), threads);
    }
    if (step % 50 == 0)
      std::cerr << "step " << step << " loss " << loss.numbers<float>()[0] << '\n';
  }
  const NoGradient quiet;
  std::vector<int32_t> ids{'\n'};
  for (uint64_t n = 0; n < 300; ++n) {
    const auto seen = std::span(ids).last(std::min<std::size_t>(ids.size(), kContext));
    const int64_t length = std::ssize(seen);
    const Tensor logits = gpt(seen, {&length, 1});
    ids.push_back(draw(logits.numbers<float>().last(kBytes), 0.8f, n));
    std::cout << static_cast<char>(ids.back()) << std::flush;
  }
  std::cout << '\n';
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
