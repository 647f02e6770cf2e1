// The order of an epoch: a permutation drawn by counting, from (seed, epoch) alone.
#pragma once

#include <cstdint>
#include <numeric>
#include <utility>
#include <vector>

#include "base/random.h"

namespace regard::data {

// Fisher and Yates 1938; draw i decides place i.
inline std::vector<uint32_t> shuffled(std::size_t count, uint64_t seed, uint64_t epoch) {
  std::vector<uint32_t> order(count);
  std::iota(order.begin(), order.end(), 0u);
  const uint64_t stream = seed * 0x9E3779B97F4A7C15u + epoch;
  for (std::size_t i = 0; i + 1 < count; ++i) {
    const double drawn = uniform(stream, i) * static_cast<double>(count - i);
    std::swap(order[i], order[i + static_cast<std::size_t>(drawn)]);
  }
  return order;
}

// In [0, count): where the windows of an epoch begin.
inline int64_t shift(int64_t count, uint64_t seed, uint64_t epoch) {
  const uint64_t stream = ~(seed * 0x9E3779B97F4A7C15u + epoch);
  return static_cast<int64_t>(uniform(stream, 0) * static_cast<double>(count));
}

}  // namespace regard::data
