// Rotary position embedding: RoFormer (Su et al. 2021). Pairs of numbers of a head are turned by an
// angle that grows with the position, so that q·k depends on the distance alone.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "regard/view.h"

namespace regard {

// Which numbers of a head form a rotated pair.
enum class RopeLayout { halves, pairs };  // (i, i + dim/2) of the table's dim, or (2i, 2i + 1)

// cos and sin of every angle position · base^(-2i/dim) / factor_i, computed in f64 by functions of
// our own and stored as f32. RoFormer, eq. 34.
class RopeTable {
 public:
  // dim: how many leading numbers of a head are rotated, even. factors: dim/2 divisors of the
  // frequencies (Llama 3.1's rope_freqs), or empty. scale: positions are divided by it.
  // Throws Error unless dim is positive and even, 1 <= base <= 1e30, and divisors are positive.
  // amplitude: of cosines and sines (YaRN, Peng et al. 2023).
  RopeTable(int64_t dim, double base, std::span<const float> factors = {}, double scale = 1.0,
            double amplitude = 1.0);

  // LongRoPE (Ding et al. 2024): texts longer than `near` are turned by other factors. Row near + p
  // is then position p of such a text. Before the first reserve().
  void set_far(std::span<const float> factors, int64_t near);
  int64_t near() const noexcept { return near_; }  // 0 = every text is turned alike

  // Makes rows up to (not including) that position available. Not thread-safe;
  // pointers into the table end. Throws Error when an angle passes 2^31.
  void reserve(int64_t positions);

  int64_t dim() const noexcept { return dim_; }
  int64_t positions() const noexcept { return positions_; }  // rows, those of far texts included
  const float* cosines(int64_t position) const noexcept { return table_.data() + position * dim_; }
  const float* sines(int64_t position) const noexcept { return cosines(position) + dim_ / 2; }

 private:
  std::vector<double> divided(std::span<const float> factors) const;

  int64_t dim_;
  double base_, scale_, amplitude_;
  int64_t positions_ = 0;
  int64_t near_ = 0;
  std::vector<double> frequencies_, far_frequencies_;  // [dim / 2]
  std::vector<float> table_;                           // [positions][cos dim/2, sin dim/2]
};

// Rotates x [tokens, heads, dim] in place; numbers beyond table.dim() stay. position[t] is that of
// token t and is below table.positions(). The last axis has unit stride.
// Throws Error when shapes or positions break these rules.
void rope(View<float, 3> x, const RopeTable& table, std::span<const int32_t> position,
          RopeLayout layout);

}  // namespace regard
