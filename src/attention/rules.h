// What the forward and the backward pass must agree on: which keys a row may use, and the scale.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "plan/rules.h"
#include "regard/attention.h"

namespace regard {

// 1/√dim unless the caller says otherwise; with dim 0 every score is 0, whatever the scale.
inline float scale_of(const AttentionOptions& options, int64_t dim) {
  return options.scale.value_or(
      dim == 0 ? 1.0f : static_cast<float>(1.0 / std::sqrt(static_cast<double>(dim))));
}

}  // namespace regard
