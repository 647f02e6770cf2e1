// Draws of one example: numbers from a counting generator, and bounds of what is drawn.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "tasks/tasks.h"

namespace regard::tasks {

class Draw {
 public:
  explicit Draw(uint64_t stream) noexcept : stream_(stream) {}

  // In [first, last], each as likely.
  int64_t between(int64_t first, int64_t last) noexcept {
    return first + static_cast<int64_t>(uniform(stream_, position_++) *
                                        static_cast<double>(last - first + 1));
  }
  bool coin(double chance = 0.5) noexcept { return uniform(stream_, position_++) < chance; }

 private:
  uint64_t stream_;
  uint64_t position_ = 0;
};

// What makes the examples of one name.
struct Maker {
  std::string_view name;
  std::vector<std::string> (*vocabulary)(const TaskOptions& options);
  Example (*make)(const Task& task, uint64_t stream);
  bool aligned = false;
  bool nested = false;       // depth counts
  int64_t least_length = 1;  // that longest may be
};

// sequences.cc
extern const Maker kCopy, kReverse, kSort, kInduction, kRecall;
// texts.cc
extern const Maker kDates, kAddition;
// trees.cc
extern const Maker kDyck, kListops;
// shapes.cc
extern const Maker kShapes;

}  // namespace regard::tasks
