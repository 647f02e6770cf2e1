#include "train/trainer.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "base/check.h"
#include "base/printable.h"
#include "learning/losses.h"
#include "nn/init.h"
#include "tensor/tape.h"
#include "writers/atomic_file.h"

namespace regard::train {
namespace {

constexpr double kKept = 0.95;        // of the average of losses with each step
constexpr double kDiverged = 4;       // times what the model began with, or knew nothing with
constexpr int64_t kMostEmpty = 1000;  // batches without a target, one after another

// The rows that count, and what they should foresee.
struct Counted {
  std::vector<int64_t> rows;
  std::vector<int32_t> targets;
  std::vector<float> weights;

  explicit Counted(const data::Batch& batch) {
    for (std::size_t i = 0; i < batch.weights.size(); ++i) {
      if (batch.weights[i] == 0) continue;
      rows.push_back(static_cast<int64_t>(i));
      targets.push_back(batch.targets[i]);
      weights.push_back(batch.weights[i]);
    }
  }
};

// Where in a pass the first number that is not finite is seen.
class FirstBad final : public nn::Observer {
 public:
  void see(int64_t layer, nn::Site site, const Tensor& value) override {
    if (!where.empty() || value.dtype() != DType::f32) return;
    const auto numbers = value.numbers<float>();
    if (std::ranges::all_of(numbers, [](float x) { return std::isfinite(x); })) return;
    where = site == nn::Site::embedding ? "the embedding"
                                        : fmt::format("{} of blk.{}", name(site), layer);
  }
  std::string where;

 private:
  static std::string_view name(nn::Site site) noexcept {
    switch (site) {
      case nn::Site::query:
        return "the queries";
      case nn::Site::key:
        return "the keys";
      case nn::Site::value:
        return "the values";
      case nn::Site::attended:
        return "attention";
      default:
        return "the output";
    }
  }
};

class Run {
 public:
  Run(const TrainConfig& config, Learner& learner, const data::Source& source,
      const InputHashes& inputs, const std::filesystem::path& folder, const RunOptions& options)
      : config_(config),
        learner_(learner),
        source_(source),
        options_(options),
        optimiser_(learner.parameters(), config.optimiser, config.run.precision == "bf16"),
        checkpoints_(folder, config, inputs) {
    if (options.resume) {
      progress_ = checkpoints_.load(optimiser_);
    } else {
      require(!checkpoints_.has("last"),
              "{}: there are checkpoints already; --resume goes on from them, or give another "
              "folder",
              printable(folder.native(), 1024));
    }
    log_.emplace(folder / "log.jsonl", progress_.step);
    if (!options.overfit) held_out_ = source.held_out(config.run.eval_batches);
  }

  Outcome run() {
    const int64_t most = options_.stop_after > 0 ? std::min(options_.stop_after, config_.run.steps)
                                                 : config_.run.steps;
    Ended ended = most < config_.run.steps ? Ended::stopped : Ended::finished;
    while (progress_.step < most) {
      if (interrupted()) {
        ended = Ended::interrupted;
        break;
      }
      Update update = step();
      const bool evaluated = is_due(config_.run.eval_every, most);
      bool best = false;
      if (evaluated) {
        update.evaluation = evaluate(learner_, held_out_);
        best = note(update.evaluation);
      }
      log_->write(update);
      if (options_.on_update) options_.on_update(update);
      const bool over = config_.run.patience > 0 && progress_.waited >= config_.run.patience;
      const int64_t every = config_.run.save_every;
      if (best || over || (every == 0 ? evaluated : is_due(every, most))) save(best);
      if (over) {
        ended = Ended::no_better;
        break;
      }
    }
    if (saved_.empty() || saved_step_ != progress_.step) save(false);
    draw();
    return {ended, progress_, saved_};
  }

 private:
  bool interrupted() const { return options_.interrupt != nullptr && *options_.interrupt; }
  bool is_due(int64_t every, int64_t most) const {
    return progress_.step % every == 0 || progress_.step == most;
  }

  std::vector<data::Batch> next_batches() {
    std::vector<data::Batch> made;
    if (options_.overfit) progress_.cursor = {};
    for (int64_t empty = 0; std::ssize(made) < config_.run.accumulate;) {
      data::Batch batch = source_.next(progress_.cursor);
      if (batch.weight() > 0) {
        made.push_back(std::move(batch));
        empty = 0;
      } else if (++empty == kMostEmpty) {
        fail(ErrorKind::failed, "step {}: {} batches in a row have no target that counts",
             progress_.step + 1, empty);
      }
    }
    return made;
  }

  // One update: gradients of all batches, divided by what counts in all of them.
  Update step() {
    const auto start = std::chrono::steady_clock::now();
    const std::vector<data::Batch> batches = next_batches();
    Update update{.step = progress_.step + 1, .rate = config_.schedule(progress_.step)};
    double weight = 0;
    for (const data::Batch& batch : batches) weight += batch.weight();
    for (std::size_t i = 0; i < batches.size(); ++i) {
      update.loss += learn(batches[i], weight, static_cast<uint64_t>(i));
      update.tokens += batches[i].real_tokens();
    }
    try {
      update.norm = optimiser_.norm();
    } catch (const Error& error) {
      stop(fmt::format("step {}: {}", update.step, error.what()));
    }
    optimiser_.step(progress_.step, update.rate, update.norm);
    if (progress_.step == 0) progress_.first = update.loss;
    // The mean of all to begin with.
    const double share = std::max(1 - kKept, 1 / static_cast<double>(progress_.step + 1));
    progress_.average += share * (update.loss - progress_.average);
    update.average = progress_.average;
    progress_.step += 1;
    const double knows_nothing = std::log(static_cast<double>(source_.vocabulary()));
    if (progress_.average > kDiverged * std::max(progress_.first, knows_nothing)) {
      stop(fmt::format("step {}: the loss grows: {:.4g} on average, {:.4g} in the first step",
                       update.step, progress_.average, progress_.first));
    }
    update.seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    return update;
  }

  // Adds a batch's gradients; its share of the loss.
  double learn(const data::Batch& batch, double weight, uint64_t part) {
    const Counted counted(batch);
    const auto number = static_cast<uint64_t>(progress_.step * config_.run.accumulate) + part;
    const nn::PassOptions options{
        .random = nn::derived_seed(static_cast<uint64_t>(config_.run.seed), "step", number)};
    const Tensor logits = learner_.logits(batch, counted.rows, options);
    const CrossEntropy made = cross_entropy(logits, counted.targets,
                                            {.weights = counted.weights,
                                             .smoothing = static_cast<float>(config_.run.smoothing),
                                             .normaliser = weight});
    const double loss = made.loss.numbers<float>()[0];
    if (!std::isfinite(loss)) refuse_loss(loss, batch, counted, options);
    backward(made.loss);
    return loss;
  }

  [[noreturn]] void refuse_loss(double loss, const data::Batch& batch, const Counted& counted,
                                nn::PassOptions options) const {
    const NoGradient quiet;
    FirstBad first;
    options.observer = &first;
    learner_.logits(batch, counted.rows, options);
    stop(
        fmt::format("step {}: the loss is {}; the first numbers that are not finite are those of "
                    "{}",
                    progress_.step + 1, loss, first.where.empty() ? "the logits" : first.where));
  }

  [[noreturn]] void stop(const std::string& what) const {
    const std::string kept =
        checkpoints_.has("last")
            ? printable((checkpoints_.folder() / "last").native(), 1024) + " is kept"
            : "no checkpoint was reached";
    fail(ErrorKind::failed,
         "{}; a lower schedule.rate ({:g}) or a longer schedule.warmup ({}) may help; {}", what,
         config_.schedule.rate, config_.schedule.warmup, kept);
  }

  // Is it the best so far?
  bool note(const std::optional<Evaluation>& evaluation) {
    if (!evaluation) return false;
    if (progress_.best && evaluation->loss >= *progress_.best) {
      progress_.waited += 1;
      return false;
    }
    progress_.best = evaluation->loss;
    progress_.best_step = progress_.step;
    progress_.waited = 0;
    return true;
  }

  void save(bool best) {
    saved_ = checkpoints_.save(progress_, learner_, optimiser_, best);
    saved_step_ = progress_.step;
  }

  void draw() const {
    write_atomically(checkpoints_.folder() / "loss.svg",
                     draw_losses(read_log(checkpoints_.folder() / "log.jsonl")));
  }

  const TrainConfig& config_;
  Learner& learner_;
  const data::Source& source_;
  const RunOptions& options_;
  Optimiser optimiser_;
  Checkpoints checkpoints_;
  Progress progress_ = {};
  std::optional<Log> log_;
  std::vector<data::Batch> held_out_;
  std::filesystem::path saved_;
  int64_t saved_step_ = -1;
};

}  // namespace

std::optional<Evaluation> evaluate(const Learner& learner,
                                   const std::vector<data::Batch>& batches) {
  const NoGradient quiet;
  double loss = 0, weight = 0;
  int64_t right = 0, counted_rows = 0, exact = 0, texts = 0;
  for (const data::Batch& batch : batches) {
    const Counted counted(batch);
    if (counted.rows.empty()) continue;
    const Tensor logits = learner.logits(batch, counted.rows, {});
    const CrossEntropy made = cross_entropy(logits, counted.targets, {.weights = counted.weights});
    const double here = batch.weight();
    loss += here * static_cast<double>(made.loss.numbers<float>()[0]);
    weight += here;
    const View<const float, 2> all = logits.view<float, 2>();
    std::vector<bool> is_right(batch.weights.size(), true);
    for (std::size_t i = 0; i < counted.rows.size(); ++i) {
      const float* const row = all[static_cast<int64_t>(i)].data;
      const auto likeliest = std::max_element(row, row + all.shape[1]) - row;
      is_right[static_cast<std::size_t>(counted.rows[i])] = likeliest == counted.targets[i];
      right += likeliest == counted.targets[i];
    }
    counted_rows += std::ssize(counted.rows);
    int64_t first = 0;
    for (const int64_t length : batch.lengths) {
      const auto begin = is_right.begin() + first;
      exact += std::all_of(begin, begin + length, [](bool one) { return one; });
      first += batch.row > 0 ? batch.row : length;
      ++texts;
    }
  }
  if (weight == 0) return std::nullopt;
  return Evaluation{.loss = loss / weight,
                    .accuracy = static_cast<double>(right) / static_cast<double>(counted_rows),
                    .exact = static_cast<double>(exact) / static_cast<double>(texts)};
}

Outcome train(const TrainConfig& config, Learner& learner, const data::Source& source,
              const InputHashes& inputs, const std::filesystem::path& folder,
              const RunOptions& options) {
  return Run(config, learner, source, inputs, folder, options).run();
}

}  // namespace regard::train
