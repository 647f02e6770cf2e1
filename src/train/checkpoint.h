// Checkpoints of a run: folders step-N that appear whole or not at all, and the links `last` and
// `best` to two of them. Each is a model that generate, score and inspect load, and beside it all
// that going on needs.
//
//   model.safetensors, config.json, tokenizer.json   the model
//   state.safetensors     NAME, NAME.first, NAME.second: f32 weights and AdamW's moments
//   training.json         step, cursor, best loss, configuration, hashes of inputs and of files
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>

#include "data/batch.h"
#include "train/config.h"
#include "train/learner.h"
#include "train/optimiser.h"

namespace regard::train {

// All of a run but its weights and moments.
struct Progress {
  int64_t step = 0;  // updates done
  data::Cursor cursor = {};
  double first = 0;                 // the loss of the first step
  double average = 0;               // of losses, exponential
  std::optional<double> best = {};  // of held-out data
  int64_t best_step = 0;
  int64_t waited = 0;  // evaluations since
};

// What a run depends on besides its configuration: hashes of the text and of the tokenizer.
using InputHashes = std::map<std::string, std::string>;

class Checkpoints {
 public:
  // One run at a time writes into a folder: it is made, and locked until this goes. What killed
  // runs left half-written there is removed. Throws Error naming the folder.
  Checkpoints(std::filesystem::path folder, TrainConfig config, InputHashes inputs);
  ~Checkpoints();
  Checkpoints(const Checkpoints&) = delete;
  Checkpoints& operator=(const Checkpoints&) = delete;

  const std::filesystem::path& folder() const noexcept { return folder_; }
  bool has(const char* link) const;  // "last", "best"

  // best: it becomes `best`, too. Older ones go, but for `keep` and the best.
  // Throws Error(failed) with the system's reason; what was there is still there then.
  std::filesystem::path save(const Progress& progress, const Learner& learner, Optimiser& optimiser,
                             bool best);

  // Out of `last`. Throws Error(unreadable): for a damaged file, which it names, and for one of
  // another configuration or other data, naming the key.
  Progress load(Optimiser& optimiser) const;

 private:
  void link(const char* name, const std::string& to) const;
  void remove_old() const;
  std::string target(const char* link) const;

  std::filesystem::path folder_;
  TrainConfig config_;
  InputHashes inputs_;
  int lock_ = -1;
};

// XXH64 in hexadecimal.
std::string hash_of(std::string_view bytes);

}  // namespace regard::train
