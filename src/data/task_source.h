// TaskSource: batches of a generated task, read by one decoder as source, <start>, target, <stop>.
#pragma once

#include <cstdint>
#include <vector>

#include "data/batch.h"
#include "data/documents.h"
#include "tasks/tasks.h"

namespace regard::data {

class TaskSource final : public Source {
 public:
  // Loss::answer: the target and <stop> count alone, for nobody can foresee a random source.
  TaskSource(tasks::Task task, const Filling& filling, uint64_t seed, Loss loss)
      : task_(std::move(task)), filling_(filling), seed_(seed), loss_(loss) {}

  int64_t vocabulary() const noexcept override { return std::ssize(task_.vocabulary()); }
  // Throws Error for an example that is longer than filling.length.
  Batch next(Cursor& cursor) const override;
  std::vector<Batch> held_out(int64_t most) const override;

 private:
  // Fills from example cursor.next on, which moves.
  Batch fill(Cursor& cursor, tasks::Split split) const;

  tasks::Task task_;
  Filling filling_;
  uint64_t seed_;
  Loss loss_;
};

}  // namespace regard::data
