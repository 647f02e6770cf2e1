// The loop: batches in, weights out, evaluated, logged and kept.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <vector>

#include "data/batch.h"
#include "train/checkpoint.h"
#include "train/config.h"
#include "train/learner.h"
#include "train/log.h"

namespace regard::train {

struct RunOptions {
  bool resume = false;     // from the folder's last checkpoint
  bool overfit = false;    // one batch over and over: does the loss go to nothing?
  int64_t stop_after = 0;  // stop and save once so many steps are done in all; 0 = run.steps
  std::function<void(const Update& update)> on_update = {};
  const std::atomic<bool>* interrupt = nullptr;  // true: save and stop behind this step
};

enum class Ended : uint8_t {
  finished,   // run.steps are done
  stopped,    // stop_after are
  no_better,  // run.patience ran out
  interrupted,
};

struct Outcome {
  Ended ended = Ended::finished;
  Progress progress;
  std::filesystem::path checkpoint;  // the last
};

// Trains until one of the ends, on current_pool(). In `folder`: checkpoints, log.jsonl, loss.svg.
// The numbers depend on the configuration and the data alone: not on threads, nor on where a run
// was stopped and resumed. Throws Error(failed) in one line for a loss that is no number, naming
// step and layer, and for one that grows without end; checkpoints stay.
Outcome train(const TrainConfig& config, Learner& learner, const data::Source& source,
              const InputHashes& inputs, const std::filesystem::path& folder,
              const RunOptions& options);

// How well batches are foreseen; nothing for none.
std::optional<Evaluation> evaluate(const Learner& learner, const std::vector<data::Batch>& batches);

}  // namespace regard::train
