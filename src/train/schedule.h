// The learning rate of a step: warm-up, then a fall.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numbers>

namespace regard::train {

enum class Fall : uint8_t {
  none,
  cosine,  // Loshchilov and Hutter 2017
  linear,
  inverse_sqrt,  // Vaswani et al. 2017, eq. 3
};

struct Schedule {
  double rate = 1e-3;  // the largest
  Fall fall = Fall::cosine;
  int64_t warmup = 0;  // steps that it takes to get there, in a straight line
  double floor = 0.1;  // what is left at the end, as a share of rate; cosine and linear
  int64_t steps = 1;   // of the whole run

  // step counts from 0.
  double operator()(int64_t step) const noexcept {
    if (step < warmup) return rate * static_cast<double>(step + 1) / static_cast<double>(warmup);
    const auto behind = static_cast<double>(step - warmup);
    const double way =
        std::min(1.0, behind / static_cast<double>(std::max<int64_t>(1, steps - warmup)));
    switch (fall) {
      case Fall::cosine:
        return rate * (floor + (1 - floor) * 0.5 * (1 + std::cos(std::numbers::pi * way)));
      case Fall::linear:
        return rate * (floor + (1 - floor) * (1 - way));
      case Fall::inverse_sqrt: {
        const auto from = static_cast<double>(std::max<int64_t>(1, warmup));
        return rate * std::sqrt(from / (from + behind));
      }
      case Fall::none:
        break;
    }
    return rate;
  }
};

}  // namespace regard::train
