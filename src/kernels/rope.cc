// Rotary position embedding: the table of angles, and the rotation.
#include "kernels/elementwise.h"
#include "kernels/gradients.h"
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

// In place, by the opposite angle: turning (b, a) forwards turns (a, b) backwards.
HWY_ATTR void rotate_row_back(float* x, const float* cosines, const float* sines, int64_t half,
                              RopeLayout layout) {
  const int64_t step = layout == RopeLayout::pairs ? 2 : 1;  // from pair to pair
  const int64_t apart = layout == RopeLayout::pairs ? 1 : half;
  alignas(64) float first[16] = {};
  alignas(64) float second[16] = {};
  for (int64_t i = 0; i < half; i += 16) {
    const int count = static_cast<int>(half - i < 16 ? half - i : 16);
    for (int p = 0; p < count; ++p) {
      first[p] = x[(i + p) * step];
      second[p] = x[(i + p) * step + apart];
    }
    F32x16 a = load(first);
    F32x16 b = load(second);
    rotate(b, a, load_first(cosines + i, count), load_first(sines + i, count));
    store(a, first);
    store(b, second);
    for (int p = 0; p < count; ++p) {
      x[(i + p) * step] = first[p];
      x[(i + p) * step + apart] = second[p];
    }
  }
}

}  // namespace regard::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace regard {

RopeTable::RopeTable(int64_t dim, double base, std::span<const float> factors, double scale,
                     double amplitude)
    : dim_(dim), base_(base), scale_(scale), amplitude_(amplitude) {
  require(dim >= 2 && dim % 2 == 0, "rope: dim ({}) is not a positive even number", dim);
  require(base >= 1 && base <= 1e30, "rope: base ({}) is not in [1, 1e30]", base);
  require(scale > 0 && scale <= 1e30, "rope: scale ({}) is not in (0, 1e30]", scale);
  require(amplitude > 0 && amplitude <= 1e30, "rope: amplitude ({}) is not in (0, 1e30]",
          amplitude);
  frequencies_ = divided(factors);
}

std::vector<double> RopeTable::divided(std::span<const float> factors) const {
  require(factors.empty() || static_cast<int64_t>(factors.size()) == dim_ / 2,
          "rope: {} factors for {} frequencies", factors.size(), dim_ / 2);
  std::vector<double> frequencies = f64::falling_powers(base_, dim_ / 2);
  for (std::size_t i = 0; i < frequencies.size(); ++i) {
    const double factor = factors.empty() ? 1.0 : double{factors[i]};
    require(factor > 0 && factor <= 1e30, "rope: factor {} ({}) is not in (0, 1e30]", i, factor);
    frequencies[i] = frequencies[i] / factor / scale_;
  }
  return frequencies;
}

void RopeTable::set_far(std::span<const float> factors, int64_t near) {
  require(near > 0 && positions_ == 0, "rope: far factors after {} positions, near is {}",
          positions_, near);
  far_frequencies_ = divided(factors);
  near_ = near;
}

void RopeTable::reserve(int64_t positions) {
  const int64_t rows = near_ + positions;
  if (rows <= positions_) return;
  for (const std::vector<double>* of : {&frequencies_, &far_frequencies_}) {
    for (const double frequency : *of) {
      const double largest = static_cast<double>(positions) * frequency;
      require(largest <= 0x1p31, "rope: {} positions reach an angle of {}; the limit is 2^31",
              positions, largest);
    }
  }
  table_.resize(static_cast<std::size_t>(rows * dim_));
  const int64_t half = dim_ / 2;
  for (int64_t row = positions_; row < rows; ++row) {
    float* numbers = table_.data() + row * dim_;
    const bool far = near_ > 0 && row >= near_;
    const std::vector<double>& frequencies = far ? far_frequencies_ : frequencies_;
    const auto position = static_cast<double>(far ? row - near_ : row);
    for (int64_t i = 0; i < half; ++i) {
      const f64::SinCos at = f64::sin_cos(position * frequencies[static_cast<std::size_t>(i)]);
      numbers[i] = static_cast<float>(at.cos * amplitude_);
      numbers[half + i] = static_cast<float>(at.sin * amplitude_);
    }
  }
  positions_ = rows;
}

namespace {

using RotateRow = decltype(REGARD_DISPATCH(rotate_row));

void turn(View<float, 3> x, const RopeTable& table, std::span<const int32_t> position,
          RopeLayout layout, RotateRow rotate) {
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
  for (int64_t token = 0; token < x.shape[0]; ++token) {
    const int32_t at = position[static_cast<std::size_t>(token)];
    for (int64_t head = 0; head < x.shape[1]; ++head) {
      rotate(x[token][head].data, table.cosines(at), table.sines(at), table.dim() / 2, layout);
    }
  }
}

}  // namespace

void rope(View<float, 3> x, const RopeTable& table, std::span<const int32_t> position,
          RopeLayout layout) {
  turn(x, table, position, layout, REGARD_DISPATCH(rotate_row));
}

void rope_gradient(View<float, 3> x, const RopeTable& table, std::span<const int32_t> position,
                   RopeLayout layout) {
  turn(x, table, position, layout, REGARD_DISPATCH(rotate_row_back));
}

}  // namespace regard
#endif
