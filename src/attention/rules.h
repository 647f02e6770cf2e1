// What the forward and the backward pass must agree on: which keys a row may use, and the scale.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "regard/attention.h"

namespace regard {

inline int64_t round_up(int64_t x, int64_t step) { return (x + step - 1) / step * step; }

// How many keys row `token` of `tokens` may use: always the first ones.
inline int64_t keys_of_row(Mask mask, int64_t token, int64_t tokens, int64_t keys) {
  if (mask.kind() == Mask::Kind::full) return keys;
  const int64_t end =
      mask.align() == Mask::Align::bottom_right ? keys - tokens + token + 1 : token + 1;
  return std::clamp<int64_t>(end, 0, keys);
}

// 1/√dim unless the caller says otherwise; with dim 0 every score is 0, whatever the scale.
inline float scale_of(const AttentionOptions& options, int64_t dim) {
  return options.scale.value_or(
      dim == 0 ? 1.0f : static_cast<float>(1.0 / std::sqrt(static_cast<double>(dim))));
}

}  // namespace regard
