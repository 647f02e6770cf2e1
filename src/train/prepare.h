// From a configuration to what is trained and what it is trained on.
#pragma once

#include <memory>

#include "base/threads.h"
#include "data/batch.h"
#include "data/tokens.h"
#include "train/checkpoint.h"
#include "train/config.h"
#include "train/learner.h"
#include "trainable/trainable.h"

namespace regard::train {

// A model of one of the families.
class FamilyLearner final : public Learner {
 public:
  FamilyLearner(models::Trainable model, const TrainConfig& config, data::Tokens tokens);

  nn::Parameters& parameters() override { return model_.parameters; }
  Tensor logits(const data::Batch& batch, std::span<const int64_t> rows,
                const nn::PassOptions& options) const override;
  void save(const std::filesystem::path& folder) const override;
  const models::Trainable& model() const noexcept { return model_; }

 private:
  models::Trainable model_;
  data::Tokens tokens_;
  std::string start_;  // where files of the tokenizer are
  DType dtype_;
};

struct Prepared {
  std::unique_ptr<data::Source> source;
  std::unique_ptr<FamilyLearner> learner;
  InputHashes inputs;
  int64_t tokens = 0;  // of text that is trained on; 0: a task, without end
};

// Reads all files. Throws Error naming the file or the key.
Prepared prepare(const TrainConfig& config, ThreadPool& pool);

// The model of a configuration with random numbers.
models::Trainable new_model(const TrainConfig& config, int64_t vocabulary,
                            DType dtype = DType::f32);

}  // namespace regard::train
