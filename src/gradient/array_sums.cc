#include "gradient/array_sums.h"

#include <algorithm>
#include <thread>

#include "base/check.h"

namespace regard {

ArraySums::ArraySums(std::span<const ArrayGradient> gradients, std::span<const Array> by_tasks,
                     const std::optional<Array>& always_small, int64_t tasks)
    : slots_(std::min(tasks, kSlots)),
      done_(static_cast<std::size_t>(std::max<int64_t>(slots_, 1))) {
  for (const ArrayGradient& gradient : gradients) {
    const Array& array = gradient.array;
    const int rank = array.rank();
    Sum sum{.array = array, .to = static_cast<float*>(gradient.data)};
    for (int axis = rank - 1; axis >= 0; --axis) {
      sum.strides[axis] = gradient.strides.empty() ? sum.size : gradient.strides[axis];
      sum.size *= array.shape(axis);
    }
    const bool by_task = std::find(by_tasks.begin(), by_tasks.end(), array) != by_tasks.end();
    if (by_task && (sum.size <= kSlotNumbers || (always_small && *always_small == array))) {
      sum.first = slot_numbers_;
      slot_numbers_ += (sum.size + 15) / 16 * 16;
    }
    sums_.push_back(sum);
  }
  memory_ = Buffer(static_cast<std::size_t>(slots_ * slot_numbers_) * sizeof(float),
                   "attention_backward's sums of arrays");
}

int ArraySums::find(const Array& array) const {
  for (std::size_t n = 0; n < sums_.size(); ++n) {
    if (sums_[n].array == array) return static_cast<int>(n);
  }
  return -1;
}

void ArraySums::clear() noexcept {
  for (const Sum& sum : sums_) {
    for_each_element(sum, [&](int64_t at) { sum.to[at] = 0.0f; });
  }
}

ArraySums::Target ArraySums::direct(const Sum& sum) const noexcept {
  Target target{sum.to, {}};
  std::copy_n(sum.strides, Array::kMaxRank, target.strides);
  return target;
}

void ArraySums::begin_task(int64_t task, Target* targets) noexcept {
  if (sums_.empty()) return;
  const int64_t slot = task % kSlots;
  auto& done = done_[static_cast<std::size_t>(slot)];
  while (done.load(std::memory_order_acquire) < task / kSlots) std::this_thread::yield();
  for (std::size_t n = 0; n < sums_.size(); ++n) {
    const Sum& sum = sums_[n];
    targets[n] = {};
    if (sum.first < 0) continue;
    targets[n].numbers = memory_.as<float>() + slot * slot_numbers_ + sum.first;
    int64_t step = 1;
    for (int axis = sum.array.rank() - 1; axis >= 0; --axis) {
      targets[n].strides[axis] = step;
      step *= sum.array.shape(axis);
    }
  }
}

void ArraySums::end_task(int64_t task) noexcept {
  if (sums_.empty()) return;
  done_[static_cast<std::size_t>(task % kSlots)].fetch_add(1, std::memory_order_release);
}

void ArraySums::add_slots() noexcept {
  for (const Sum& sum : sums_) {
    if (sum.first < 0) continue;
    int64_t index = 0;
    for_each_element(sum, [&](int64_t at) {
      float total = 0;
      for (int64_t slot = 0; slot < slots_; ++slot) {
        total += memory_.as<float>()[slot * slot_numbers_ + sum.first + index];
      }
      sum.to[at] += total;
      ++index;
    });
  }
}

}  // namespace regard
