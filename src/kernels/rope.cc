// Rotary position embedding: the table of angles, and the rotation.
#include "kernels/elementwise.h"
#include "kernels/rows.h"
#include "simd/f64_math.h"
#include "simd/highway.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/rope.cc"
#include <hwy/foreach_target.h>

#include "simd/rotate-inl.h"

HWY_BEFORE_NAMESPACE();
namespace regard::HWY_NAMESPACE {

// In place.
HWY_ATTR void rotate_row(float* x, const float* cosines, const float* sines, int64_t half,
                         RopeLayout layout) {
  rotate(x, cosines, sines, half, layout == RopeLayout::pairs);
}

}  // namespace regard::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace regard {

RopeTable::RopeTable(int64_t dim, double base, std::span<const float> factors, double scale)
    : dim_(dim) {
  require(dim >= 2 && dim % 2 == 0, "rope: dim ({}) is not a positive even number", dim);
  require(base >= 1 && base <= 1e30, "rope: base ({}) is not in [1, 1e30]", base);
  require(factors.empty() || static_cast<int64_t>(factors.size()) == dim / 2,
          "rope: {} factors for {} frequencies", factors.size(), dim / 2);
  require(scale > 0 && scale <= 1e30, "rope: scale ({}) is not in (0, 1e30]", scale);
  frequencies_ = f64::falling_powers(base, dim / 2);
  for (std::size_t i = 0; i < frequencies_.size(); ++i) {
    const double factor = factors.empty() ? 1.0 : double{factors[i]};
    require(factor > 0 && factor <= 1e30, "rope: factor {} ({}) is not in (0, 1e30]", i, factor);
    frequencies_[i] = frequencies_[i] / factor / scale;
  }
}

void RopeTable::reserve(int64_t positions) {
  if (positions <= positions_) return;
  for (const double frequency : frequencies_) {
    const double largest = static_cast<double>(positions) * frequency;
    require(largest <= 0x1p31, "rope: {} positions reach an angle of {}; the limit is 2^31",
            positions, largest);
  }
  table_.resize(static_cast<std::size_t>(positions * dim_));
  const int64_t half = dim_ / 2;
  for (int64_t position = positions_; position < positions; ++position) {
    float* row = table_.data() + position * dim_;
    for (int64_t i = 0; i < half; ++i) {
      const double angle =
          static_cast<double>(position) * frequencies_[static_cast<std::size_t>(i)];
      const f64::SinCos at = f64::sin_cos(angle);
      row[i] = static_cast<float>(at.cos);
      row[half + i] = static_cast<float>(at.sin);
    }
  }
  positions_ = positions;
}

void rope(View<float, 3> x, const RopeTable& table, std::span<const int32_t> position,
          RopeLayout layout) {
  require(x.strides[2] == 1 || x.shape[2] <= 1, "rope: x has stride {} along a head; it must be 1",
          x.strides[2]);
  require(table.dim() <= x.shape[2], "rope: {} rotated numbers in a head of {}", table.dim(),
          x.shape[2]);
  require(static_cast<int64_t>(position.size()) == x.shape[0], "rope: {} positions for {} tokens",
          position.size(), x.shape[0]);
  for (const int32_t at : position) {
    require(at >= 0 && at < table.positions(), "rope: position {} is not in the table's [0, {})",
            at, table.positions());
  }
  const auto rotate = REGARD_DISPATCH(rotate_row);
  for (int64_t token = 0; token < x.shape[0]; ++token) {
    const int32_t at = position[static_cast<std::size_t>(token)];
    for (int64_t head = 0; head < x.shape[1]; ++head) {
      rotate(x[token][head].data, table.cosines(at), table.sines(at), table.dim() / 2, layout);
    }
  }
}

}  // namespace regard
#endif
