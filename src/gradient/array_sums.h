// ArraySums: where the gradients of captured arrays are added up, so that every element receives
// its terms in one order, whatever the threads.
//
// A small array (up to kSlotNumbers elements) has a copy for each of kSlots slots. The chunk task
// of number t adds to slot t mod kSlots once task t - kSlots is done; at the end the slots are
// added in order. A larger array has one copy, the caller's, and a pass of its own
// (backward_arrays.cc), whose tasks never share an element.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/buffer.h"
#include "regard/attention.h"

namespace regard {

class ArraySums {
 public:
  static constexpr int64_t kSlots = 64;
  static constexpr int64_t kSlotNumbers = int64_t{1} << 15;

  struct Sum {
    Array array;
    float* to;  // the caller's
    int64_t strides[Array::kMaxRank] = {};
    int64_t size = 1;    // elements
    int64_t first = -1;  // of slot 0 in the slots' memory; -1: it has none
  };
  // Where an element's number lies: index 0 .. n - 1 of each axis, times its stride. Null: these
  // terms are not wanted here.
  struct Target {
    float* numbers = nullptr;
    int64_t strides[Array::kMaxRank] = {};
  };

  // by_tasks: the arrays that chunk tasks add to; always_small: the one that must have slots.
  ArraySums(std::span<const ArrayGradient> gradients, std::span<const Array> by_tasks,
            const std::optional<Array>& always_small, int64_t tasks);

  std::vector<Sum>& sums() noexcept { return sums_; }
  const std::vector<Sum>& sums() const noexcept { return sums_; }
  // The number of the array's sum; -1: its gradient is not wanted.
  int find(const Array& array) const;
  int64_t memory_bytes() const noexcept { return static_cast<int64_t>(memory_.size()); }

  // The caller's arrays become zeros.
  void clear() noexcept;
  // Waits until the task may add to its slot, and says where: targets [sums()].
  void begin_task(int64_t task, Target* targets) noexcept;
  void end_task(int64_t task) noexcept;
  // The slots' numbers, added to the caller's.
  void add_slots() noexcept;
  Target direct(const Sum& sum) const noexcept;

 private:
  std::vector<Sum> sums_;
  Buffer memory_;  // [kSlots][numbers of all small arrays]
  int64_t slot_numbers_ = 0;
  int64_t slots_;
  std::vector<std::atomic<int64_t>> done_;  // tasks of each slot
};

// visit(offset) for every element, row-major.
template <class Visit>
void for_each_element(const ArraySums::Sum& sum, const Visit& visit) {
  int64_t shape[Array::kMaxRank] = {1, 1, 1, 1};
  for (int axis = 0; axis < sum.array.rank(); ++axis) shape[axis] = sum.array.shape(axis);
  const int64_t* const s = sum.strides;
  for (int64_t a = 0; a < shape[0]; ++a)
    for (int64_t b = 0; b < shape[1]; ++b)
      for (int64_t c = 0; c < shape[2]; ++c)
        for (int64_t d = 0; d < shape[3]; ++d) visit(a * s[0] + b * s[1] + c * s[2] + d * s[3]);
}

}  // namespace regard
