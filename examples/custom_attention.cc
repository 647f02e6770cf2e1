// Attention of one's own inside a trained block: each head learns how fast its scores fall with the
// distance, s - softplus(w[head]) · (i - j), starting from no fall at all. The task repeats a
// random string; what the heads have learned is printed. custom_attention [STEPS] It stands on
// regard's own rooms (src/nn and what is left of it), not on the installed headers.
#include <fmt/format.h>

#include <cmath>
#include <iostream>
#include <string>
#include <vector>

#include "kernels/adam.h"
#include "learning/losses.h"
#include "nn/transformer.h"
#include "tasks/tasks.h"
#include "tensor/pool.h"
#include "tensor/tape.h"

namespace {

using namespace regard;
constexpr int64_t kHeads = 4, kRows = 16, kLength = 8;

// A program as one writes it on paper; the array in it is a leaf.
nn::Kind falling(nn::Parameters& parameters, const AttentionShape& shape) {
  using namespace regard::program;
  const Tensor slopes = parameters.add("slopes", nn::constant({kHeads}, -4.0f), /*decay=*/false);
  CapturedLeaf w = capture("w", slopes);
  const Expr softplus = log(1.0f + exp(w.array(head())));
  return {.options = {.mask = causal(), .score = score() - softplus * (query() - key())},
          .learned = {std::move(w)},
          .shape = shape};
}

struct Texts {
  std::vector<int32_t> ids, targets;
  std::vector<float> weights;
};

// Each row is a string twice; the second time every symbol can be known.
Texts repeated(const tasks::Task& task, int64_t step) {
  Texts made;
  for (int64_t row = 0; row < kRows; ++row) {
    std::vector<int32_t> text = task.example(1, static_cast<uint64_t>(step * kRows + row)).source;
    text.insert(text.end(), text.begin(), text.end());
    for (int64_t i = 0; i + 1 < 2 * kLength; ++i) {
      made.ids.push_back(text[static_cast<std::size_t>(i)]);
      made.targets.push_back(text[static_cast<std::size_t>(i + 1)]);
      made.weights.push_back(i >= kLength ? 1.0f : 0.0f);
    }
  }
  return made;
}

}  // namespace

int main(int argc, char** argv) try {
  ThreadPool threads;
  const UsePool use(threads);
  const tasks::Task task("induction", {.shortest = kLength, .longest = kLength});
  nn::Parameters parameters;
  nn::Transformer model = nn::make_transformer({.vocabulary = std::ssize(task.vocabulary()),
                                                .width = 64,
                                                .layers = 2,
                                                .heads = kHeads,
                                                .positions = nn::Positions::none},
                                               {&parameters, {.seed = 1}, 0.05});
  model.kinds.front() = falling(parameters, model.kinds.front().shape);

  std::vector<std::vector<float>> first, second;  // moments
  for (const nn::Parameter& one : parameters) {
    first.emplace_back(static_cast<std::size_t>(one.leaf.size()));
    second.push_back(first.back());
  }
  const std::vector<int64_t> lengths(kRows, 2 * kLength - 1);
  const int64_t steps = argc > 1 ? std::stoll(argv[1]) : 2500;
  for (int64_t step = 1; step <= steps; ++step) {
    const Texts texts = repeated(task, step);
    const Tensor logits = model.logits(model.hidden(texts.ids, nn::Texts::packed(lengths)));
    const Tensor loss = cross_entropy(logits, texts.targets, {.weights = texts.weights}).loss;
    parameters.clear_gradients();
    backward(loss);
    for (std::size_t i = 0; nn::Parameter & one : parameters) {
      adamw({.learning_rate = 3e-3f, .step = step}, one.leaf.writable_numbers<float>(),
            one.leaf.gradient().numbers<float>(), first[i], second[i], threads);
      ++i;
    }
    if (step % 500 == 0) fmt::print("step {} loss {:.3f}\n", step, loss.numbers<float>()[0]);
  }
  for (const float w : parameters.get("slopes").numbers<float>()) {
    fmt::print("a head's scores fall by {:.3f} a token\n", std::log1p(std::exp(w)));
  }
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
