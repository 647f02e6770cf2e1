// The thresholds of sparsemax and entmax-1.5, found row by row.
//
//   sparsemax   p = [z - t]₊     z = s - max s          Martins and Astudillo 2016
//   entmax-1.5  p = [z - t]₊²    z = (s - max s) / 2    Peters et al. 2019
//
// t is where Σ p = 1. Newton's method from t = -1, below, on a convex sum: t only rises and stops
// where it no longer does. Σ is 16 virtual lanes (key mod 16) and the fixed tree, so the bits
// depend on the row alone. Differences from the largest score are exact where p > 0 and s is close
// to it, however large s is.
#pragma once

#include <cstdint>

namespace regard {

struct Threshold {
  float largest;  // -inf: no key
  float t;
};

// scores [keys rounded up to 16], -inf where masked and beyond keys. A NaN makes t NaN.
Threshold sparsemax_threshold(const float* scores, int64_t keys) noexcept;
Threshold entmax15_threshold(const float* scores, int64_t keys) noexcept;

}  // namespace regard
