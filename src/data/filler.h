// Filler: texts become a batch, one after another, until it is full.
#pragma once

#include <cstdint>
#include <span>
#include <utility>

#include "data/batch.h"

namespace regard::data {

class Filler {
 public:
  explicit Filler(const Filling& how) : how_(how) {
    if (!how.packed) batch_.row = how.length;
  }

  bool empty() const noexcept { return batch_.lengths.empty(); }
  // Is there room for a text of so many tokens, at most `length`?
  bool fits(int64_t tokens) const noexcept {
    return how_.packed ? batch_.tokens() + tokens <= how_.rows * how_.length
                       : std::ssize(batch_.lengths) < how_.rows;
  }
  // ids, targets, weights: [tokens], as many in each.
  void add(std::span<const Id> ids, std::span<const Id> targets, std::span<const float> weights) {
    batch_.ids.insert(batch_.ids.end(), ids.begin(), ids.end());
    batch_.targets.insert(batch_.targets.end(), targets.begin(), targets.end());
    batch_.weights.insert(batch_.weights.end(), weights.begin(), weights.end());
    batch_.lengths.push_back(std::ssize(ids));
    if (how_.packed) return;
    const auto whole = static_cast<std::size_t>(std::ssize(batch_.lengths) * how_.length);
    batch_.ids.resize(whole, 0);
    batch_.targets.resize(whole, 0);
    batch_.weights.resize(whole, 0);
  }
  Batch take() { return std::exchange(batch_, Batch{.row = batch_.row}); }

 private:
  Filling how_;
  Batch batch_;
};

}  // namespace regard::data
