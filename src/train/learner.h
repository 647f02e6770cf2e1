// Learner: what a trainer needs of a model: its leaves, its logits, and how it is written down.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>

#include "data/batch.h"
#include "nn/parameters.h"
#include "nn/pass.h"

namespace regard::train {

class Learner {
 public:
  virtual ~Learner() = default;

  virtual nn::Parameters& parameters() = 0;
  // Of those rows of the batch, ascending: [rows, vocabulary], on the tape where that records.
  virtual Tensor logits(const data::Batch& batch, std::span<const int64_t> rows,
                        const nn::PassOptions& options) const = 0;
  // Files that `generate` reads, into a folder that is there.
  virtual void save(const std::filesystem::path& folder) const = 0;
};

// The texts of a batch as a pass takes them.
inline nn::Texts texts_of(const data::Batch& batch) {
  return batch.row > 0 ? nn::Texts::padded(batch.lengths, batch.row)
                       : nn::Texts::packed(batch.lengths);
}

}  // namespace regard::train
