// Learns to write dates as ISO 8601 with an alignment over the letters it reads, as in Bahdanau,
// Cho and Bengio 2015, then shows where each written character came from:
//
//   dates [STEPS] [SEED] [THREADS]
//
// "3 May 1999" -> "1999-05-03". Every tenth date is never learned from; on those it is measured.
#include <fmt/format.h>

#include <chrono>
#include <cmath>
#include <cstdlib>
#include <span>
#include <vector>

#include "base/check.h"
#include "base/threads.h"
#include "kernels/adam.h"
#include "seq2seq/seq2seq.h"
#include "tasks/tasks.h"
#include "tensor/pool.h"
#include "tensor/tape.h"

namespace {

using namespace regard;

struct Batch {
  std::vector<tasks::Example> examples;
  seq2seq::Padded source, target;
};

Batch batch_of(const tasks::Task& task, uint64_t seed, int64_t first, int64_t count,
               tasks::Split split) {
  Batch made;
  std::vector<std::vector<tasks::Id>> sources, targets;
  for (int64_t n = first; n < first + count; ++n) {
    made.examples.push_back(task.example(seed, static_cast<uint64_t>(n), split));
    sources.push_back(made.examples.back().source);
    targets.push_back(made.examples.back().target);
  }
  made.source = seq2seq::pad(sources, tasks::kPad);
  made.target = seq2seq::pad(targets, tasks::kPad);
  return made;
}

// AdamW over all leaves, gradients clipped to a norm of 1.
class Optimiser {
 public:
  explicit Optimiser(nn::Parameters& parameters) : parameters_(parameters) {
    for (const nn::Parameter& one : parameters) {
      m_.emplace_back(static_cast<std::size_t>(one.leaf.size()));
      v_.emplace_back(static_cast<std::size_t>(one.leaf.size()));
    }
  }

  void step(float rate, ThreadPool& pool) {
    std::vector<Tensor> gradients;
    std::vector<std::span<const float>> numbers;
    for (const nn::Parameter& one : parameters_) {
      numbers.push_back(gradients.emplace_back(one.leaf.gradient()).numbers<float>());
    }
    const double norm = global_norm(numbers, pool);
    AdamW options{.learning_rate = rate, .step = ++steps_};
    options.gradient_scale = norm > 1 ? static_cast<float>(1 / norm) : 1.0f;
    std::size_t i = 0;
    for (nn::Parameter& one : parameters_) {
      adamw(options, one.leaf.writable_numbers<float>(), numbers[i], m_[i], v_[i], pool);
      ++i;
    }
    parameters_.clear_gradients();
  }

 private:
  nn::Parameters& parameters_;
  std::vector<std::vector<float>> m_, v_;
  int64_t steps_ = 0;
};

// Rows: characters written. Columns: characters read. The darker, the more of the weight.
void print_alignment(const tasks::Task& task, const tasks::Example& example,
                     const seq2seq::Written& written) {
  constexpr std::string_view kShades = " .:-=+*#%@";
  fmt::print("\n    {}\n", task.text(example.source));
  for (std::size_t t = 0; t < written.ids.size(); ++t) {
    std::string row;
    for (const float weight : written.weights[t]) {
      row += kShades[static_cast<std::size_t>(std::min(9.0f, weight * 10))];
    }
    fmt::print("  {} {}\n", task.text({&written.ids[t], 1}), row);
  }
}

void measure(const tasks::Task& task, const seq2seq::Seq2Seq& model, uint64_t seed) {
  constexpr int64_t kHeldOut = 2000, kTogether = 100;
  int64_t exact = 0, ended = 0;
  double error = 0;
  for (int64_t first = 0; first < kHeldOut; first += kTogether) {
    const Batch batch = batch_of(task, seed + 1, first, kTogether, tasks::Split::held_out);
    const std::vector<seq2seq::Written> written = model.greedy(batch.source, 20);
    for (std::size_t b = 0; b < written.size(); ++b) {
      ended += written[b].stopped ? 1 : 0;
      if (written[b].ids != batch.examples[b].target) continue;
      ++exact;
      error += tasks::alignment_error(batch.examples[b], written[b].weights);
      if (first == 0 && b < 4) print_alignment(task, batch.examples[b], written[b]);
    }
  }
  fmt::print("\nheld-out dates: {} of {} exact ({:.2f} %), {} ended by themselves\n", exact,
             kHeldOut, 100.0 * static_cast<double>(exact) / kHeldOut, ended);
  fmt::print("alignment error rate {:.3f} over the exact ones\n",
             error / static_cast<double>(std::max<int64_t>(1, exact)));
}

}  // namespace

int main(int argc, char** argv) try {
  const int64_t steps = argc > 1 ? std::atoll(argv[1]) : 1000;
  const uint64_t seed = argc > 2 ? static_cast<uint64_t>(std::atoll(argv[2])) : 1;
  ThreadPool pool(argc > 3 ? std::atoi(argv[3]) : 2);
  const UsePool use(pool);

  const tasks::Task task("dates");
  const auto vocabulary = static_cast<int64_t>(task.vocabulary().size());
  nn::Parameters parameters;
  const seq2seq::Seq2Seq model({.source_vocabulary = vocabulary,
                                .target_vocabulary = vocabulary,
                                .width = 64,
                                .hidden = 128,
                                .cell = Cell::gru,
                                .bidirectional = true,
                                .context = seq2seq::Context::bahdanau,
                                .start = tasks::kStart,
                                .stop = tasks::kStop},
                               {&parameters, {seed}});
  fmt::print("{} parameters, {} steps of 64 dates\n", parameters.numbers(), steps);

  Optimiser optimiser(parameters);
  const auto start = std::chrono::steady_clock::now();
  const auto seconds = [&] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  for (int64_t step = 0; step < steps; ++step) {
    const Batch batch = batch_of(task, seed, step * 64, 64, tasks::Split::train);
    const seq2seq::Taught taught = model(batch.source, batch.target);
    backward(taught.loss);
    const double done = static_cast<double>(step) / static_cast<double>(steps);
    optimiser.step(static_cast<float>(2e-3 * 0.5 * (1 + std::cos(M_PI * done))), pool);
    if ((step + 1) % 250 == 0) {
      fmt::print("step {:5}  loss {:.4f}  {:.0f} s\n", step + 1, taught.loss.numbers<float>()[0],
                 seconds());
    }
  }
  measure(task, model, seed);
  fmt::print("{:.0f} s in all\n", seconds());
} catch (const regard::Error& error) {
  fmt::print(stderr, "{}\n", error.what());
  return 1;
}
