// regard train: trains a model as a TOML file says, and keeps what it had learned.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "base/check.h"
#include "base/printable.h"
#include "command_line.h"
#include "regard/model.h"
#include "tensor/pool.h"
#include "terminal.h"
#include "train/gradcheck.h"
#include "train/prepare.h"
#include "train/trainer.h"
#include "verbs.h"

namespace regard::app {

namespace {

namespace fs = std::filesystem;

std::string duration(double seconds) {
  const auto whole = static_cast<int64_t>(std::llround(std::max(0.0, seconds)));
  if (whole < 3600) return fmt::format("{}:{:02}", whole / 60, whole % 60);
  return fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
}

// The progress of a run: a bar on a terminal, and everywhere a line for some steps.
class Meter {
 public:
  Meter(int64_t steps, int64_t every) : steps_(steps), every_(every) {}

  void show(const train::Update& update) {
    tokens_ += update.tokens;
    seconds_ += update.seconds;
    pace_ = pace_ == 0 ? update.seconds : 0.9 * pace_ + 0.1 * update.seconds;
    const std::string left = duration(pace_ * static_cast<double>(steps_ - update.step)) + " left";
    const std::string line = text(update, bar_.shown() ? "" : "  " + left);
    if (bar_.shown()) {
      const auto width = static_cast<size_t>(std::max(1, terminal_width() - 1));
      bar_.show(fmt::format("{} {}  {}", bar(update.step), left, line).substr(0, width));
    }
    const bool said = update.evaluation.has_value() || update.step == steps_ ||
                      (!bar_.shown() && update.step % every_ == 0);
    if (!said) return;
    bar_.clear();
    fmt::print(stderr, "{}\n", line);
    std::fflush(stderr);
  }
  void clear() { bar_.clear(); }
  double tokens_per_second() const {
    return seconds_ > 0 ? static_cast<double>(tokens_) / seconds_ : 0;
  }

 private:
  std::string bar(int64_t step) const {
    constexpr int kCells = 20;
    const auto full = static_cast<int>(kCells * step / std::max<int64_t>(1, steps_));
    std::string made = "[";
    for (int i = 0; i < kCells; ++i) made += i < full ? '#' : '.';
    return made + "]";
  }
  static std::string rate_text(const train::Update& update) {
    const double rate =
        update.seconds > 0 ? static_cast<double>(update.tokens) / update.seconds : 0;
    return fmt::format("{:.0f} tokens/s", rate);
  }
  std::string text(const train::Update& update, const std::string& left) const {
    std::string made = fmt::format(
        "step {} of {}  loss {:.4f}  average {:.4f}  rate {:.3g}  norm {:.3g}  {}{}", update.step,
        steps_, update.loss, update.average, update.rate, update.norm, rate_text(update), left);
    if (const auto& held_out = update.evaluation) {
      made += fmt::format("  held out {:.4f}  right {:.1f} %", held_out->loss,
                          100 * held_out->accuracy);
      if (held_out->exact > 0) made += fmt::format("  whole texts {:.1f} %", 100 * held_out->exact);
    }
    return made;
  }

  Progress bar_;
  int64_t steps_, every_, tokens_ = 0;
  double seconds_ = 0, pace_ = 0;
};

int check_gradients(const train::TrainConfig& config) {
  double worst = 0;
  for (const train::LeafError& one : train::gradcheck(config)) {
    print(fmt::format("{:<28}{:.1e}\n", one.name, one.error));
    worst = std::max(worst, one.error);
  }
  flush();
  if (!(worst <= train::kMostError)) {
    fail(ErrorKind::failed, "gradcheck: an error of {:.1e} is more than {:.0e}", worst,
         train::kMostError);
  }
  return kOk;
}

std::string ended(const train::Outcome& outcome) {
  switch (outcome.ended) {
    case train::Ended::no_better:
      return fmt::format("no better since step {}", outcome.progress.best_step);
    case train::Ended::interrupted:
      return "interrupted";
    case train::Ended::stopped:
      return "stopped";
    case train::Ended::finished:
      break;
  }
  return "done";
}

}  // namespace

int train(const Arguments& arguments) {
  CommandLine line("train",
                   "Trains a model as a TOML file says. regard train --keys lists what it may say; "
                   "docs/training.md is the guide.",
                   "regard train examples/train/reverse.toml --out runs/reverse");
  std::string file, out;
  bool keys = false, show = false, gradcheck = false;
  int threads = 0;
  int64_t every = 10;
  train::RunOptions options;
  line.text("config", file, "a TOML file", "CONFIG");
  line.text("--out", out, "a folder for checkpoints, log.jsonl and loss.svg", "DIR [runs/CONFIG]");
  line.flag("--resume", options.resume, "go on from the folder's last checkpoint");
  line.whole("--stop-after", options.stop_after, 0, int64_t{1} << 40,
             "save and stop once so many steps are done in all", "N [run.steps]");
  line.flag("--overfit-batch", options.overfit,
            "train on one batch only: a loss that stays up is a mistake somewhere");
  line.flag("--gradcheck", gradcheck,
            "do not train; compare gradients of the model, made small, with differences in f64");
  line.flag("--keys", keys, "all keys of a configuration, their ranges and defaults");
  line.flag("--print-config", show, "the whole configuration, with what is not said");
  line.whole("--every", every, 1, int64_t{1} << 40, "steps a line where there is no terminal",
             "N [10]");
  line.whole("-t,--threads", threads, 0, 1024, "threads; 0 = all cores. No bit depends on it",
             "N [0]");
  if (!line.read(arguments)) return kOk;
  if (keys) return print(train::explain_keys()), kOk;
  require(!file.empty(),
          "give a configuration, such as examples/train/reverse.toml; regard train "
          "--keys lists what it may say");
  train::TrainConfig config = train::read_config(file);
  if (!config.model.start.empty()) config.model.start = find_model(config.model.start);
  if (show) return print(config.to_toml()), kOk;

  ThreadPool pool(threads);
  const UsePool use(pool);
  if (gradcheck) return check_gradients(config);
  if (out.empty()) out = (fs::path("runs") / fs::path(file).stem()).string();
  const train::Prepared prepared = train::prepare(config, pool);
  fmt::print(stderr, "{} weights, {}, {} threads\n", prepared.learner->parameters().numbers(),
             prepared.tokens > 0 ? fmt::format("{} tokens of text", prepared.tokens)
                                 : "a task without end",
             pool.threads());
  Meter meter(config.run.steps, every);
  options.on_update = [&](const train::Update& update) { meter.show(update); };
  options.interrupt = &interrupts();
  const train::Outcome outcome =
      train::train(config, *prepared.learner, *prepared.source, prepared.inputs, out, options);
  meter.clear();
  fmt::print(stderr, "{} at step {}: {:.0f} tokens/s, average loss {:.4f}{}\n", ended(outcome),
             outcome.progress.step, meter.tokens_per_second(), outcome.progress.average,
             outcome.progress.best ? fmt::format(", best held-out loss {:.4f} at step {}",
                                                 *outcome.progress.best, outcome.progress.best_step)
                                   : "");
  print(outcome.checkpoint.string() + "\n");
  flush();
  return outcome.ended == train::Ended::interrupted ? kInterrupted : kOk;
}

}  // namespace regard::app
