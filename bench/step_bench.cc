// Whole training steps of GPT-2 shaped stacks: forward, backward, clipping at norm 1 and AdamW, as
// shares of the multiply-add peak measured in the same run. The same models, sizes and count of
// operations as PyTorch's in the table of docs/performance: 6 parameters tokens + 12 layers width
// length tokens.
//
//   cmake --build build/release --target step_bench && build/release/bench/step_bench [threads]
//
// The best of several steps, the ceiling taken before and after. On an idle machine only.
#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "base/arena.h"
#include "base/threads.h"
#include "kernels/adam.h"
#include "kernels/ceiling.h"
#include "learning/losses.h"
#include "nn/transformer.h"
#include "simd/target.h"
#include "tensor/pool.h"
#include "tensor/tape.h"

namespace regard {
namespace {

struct Shape {
  const char* name;
  int64_t layers, width, heads, texts, length, vocabulary, context;
};
constexpr Shape kShapes[] = {
    {"GPT-2 124M, 4 x 64 tokens", 12, 768, 12, 4, 64, 50257, 1024},
    {"6 layers x 384, 8 x 256 tokens", 6, 384, 6, 8, 256, 256, 256},
    {"4 layers x 128, 12 x 64 tokens", 4, 128, 4, 12, 64, 256, 256},
};

constexpr std::array kParts{"forward", "backward", "norm", "AdamW"};

class Stack {
 public:
  explicit Stack(const Shape& shape)
      : transformer_(nn::make_transformer({.vocabulary = shape.vocabulary,
                                           .width = shape.width,
                                           .layers = shape.layers,
                                           .heads = shape.heads,
                                           .context = shape.context},
                                          {&parameters_, {1}})),
        texts_(nn::Texts::packed(
            std::vector<int64_t>(static_cast<std::size_t>(shape.texts), shape.length))) {
    for (int64_t i = 0; i < texts_.tokens(); ++i) {
      ids_.push_back(static_cast<int32_t>(i * 7919 % shape.vocabulary));
      targets_.push_back(static_cast<int32_t>(i * 104729 % shape.vocabulary));
    }
    for (const nn::Parameter& one : parameters_) {
      const auto count = static_cast<std::size_t>(one.leaf.size());
      m_.emplace_back(count);
      v_.emplace_back(count);
    }
    const double positions = static_cast<double>(shape.context * shape.width);
    const double tokens = static_cast<double>(texts_.tokens());
    work_ = 1e-9 * tokens *
            (6 * (static_cast<double>(parameters_.numbers()) - positions) +
             12 * static_cast<double>(shape.layers * shape.width * shape.length));
  }

  double work() const { return work_; }  // 1e9 operations of a step

  // Seconds of each part.
  std::array<double, kParts.size()> step() {
    std::array<double, kParts.size()> seconds{};
    std::size_t part = 0;
    auto last = Clock::now();
    const auto done = [&] {
      const auto now = Clock::now();
      seconds[part++] = std::chrono::duration<double>(now - last).count();
      last = now;
    };
    parameters_.clear_gradients();
    const Tensor logits = transformer_.logits(transformer_.hidden(ids_, texts_));
    const Tensor loss = cross_entropy(logits, targets_).loss;
    done();
    backward(loss);
    done();
    std::vector<std::span<const float>> gradients;
    for (const nn::Parameter& one : parameters_) {
      gradients.push_back(one.leaf.gradient().numbers<float>());
    }
    const double norm = global_norm(gradients, current_pool());
    done();
    ++steps_;
    std::size_t i = 0;
    for (nn::Parameter& one : parameters_) {
      adamw({.learning_rate = 3e-4f,
             .decay = one.decay ? 0.01f : 0,
             .gradient_scale = static_cast<float>(1 / std::max(1.0, norm)),
             .step = steps_},
            one.leaf.writable_numbers<float>(), gradients[i], m_[i], v_[i], current_pool());
      ++i;
    }
    done();
    return seconds;
  }

 private:
  using Clock = std::chrono::steady_clock;
  nn::Parameters parameters_;
  nn::Transformer transformer_;
  nn::Texts texts_;
  std::vector<int32_t> ids_, targets_;
  std::vector<std::vector<float>> m_, v_;
  int64_t steps_ = 0;
  double work_ = 0;
};

void run(int threads, int only) {
  ThreadPool pool(threads);
  const UsePool use(pool);
  fmt::print("{} threads, {}\n{:<34}{:>10}{:>10}{:>12}", pool.threads(), name(active_target()), "",
             "ms", "GFLOP/s", "% of peak");
  for (const char* const part : kParts) fmt::print("{:>10}", part);
  fmt::print("\n");
  for (int n = 0; n < 3; ++n) {
    if (only >= 0 && n != only) continue;
    const Shape& shape = kShapes[n];
    Stack stack(shape);
    const double before = measure_fma_peak(pool);
    std::array<double, kParts.size()> best{};
    std::size_t asked = 0;
    double least = 1e9;
    for (int i = 0; i < (n == 0 ? 6 : 20); ++i) {
      const auto seconds = stack.step();
      double all = 0;
      for (const double part : seconds) all += part;
      if (all < least) least = all, best = seconds;
      if (i == 1) asked = Arena::global().counts().system_calls;
    }
    const double peak = std::max(before, measure_fma_peak(pool));
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    fmt::print("{:<34}{:>10.1f}{:>10.0f}{:>12.0f}", shape.name, 1e3 * least, stack.work() / least,
               100 * stack.work() / least / peak);
    for (const double part : best) fmt::print("{:>10.1f}", 1e3 * part);
    fmt::print("   {} MB so far, the system asked {} times after step 2\n", usage.ru_maxrss / 1024,
               Arena::global().counts().system_calls - asked);
  }
}

}  // namespace
}  // namespace regard

int main(int argc, char** argv) {
  regard::run(argc > 1 ? std::atoi(argv[1]) : 0, argc > 2 ? std::atoi(argv[2]) : -1);
}
