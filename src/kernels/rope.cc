// Rotary position embedding: the table of angles, and the rotation.
#include "kernels/elementwise.h"
#include "kernels/rows.h"
#include "simd/f64_math.h"
#include "simd/highway.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/rope.cc"
#include <hwy/foreach_target.h>

#include "simd/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace regard::HWY_NAMESPACE {

// (a, b) becomes (a cos - b sin, b cos + a sin).
REGARD_INLINE void rotate(F32x16& a, F32x16& b, const F32x16& cosine, const F32x16& sine) {
  const F32x16 turned = fnma(b, sine, mul(a, cosine));
  b = fma(a, sine, mul(b, cosine));
  a = turned;
}

static void rotate_halves(float* x, const float* cosine, const float* sine, int64_t half) {
  int64_t i = 0;
  for (; i + 16 <= half; i += 16) {
    F32x16 a = load(x + i);
    F32x16 b = load(x + half + i);
    rotate(a, b, load(cosine + i), load(sine + i));
    store(a, x + i);
    store(b, x + half + i);
  }
  const int left = static_cast<int>(half - i);
  if (left == 0) return;
  F32x16 a = load_first(x + i, left);
  F32x16 b = load_first(x + half + i, left);
  rotate(a, b, load_first(cosine + i, left), load_first(sine + i, left));
  store_first(a, x + i, left);
  store_first(b, x + half + i, left);
}

static void rotate_pairs(float* x, const float* cosine, const float* sine, int64_t half) {
  alignas(64) float first[16] = {};
  alignas(64) float second[16] = {};
  for (int64_t i = 0; i < half; i += 16) {
    const int count = static_cast<int>(half - i < 16 ? half - i : 16);
    float* pairs = x + 2 * i;
    for (int p = 0; p < count; ++p) {
      first[p] = pairs[2 * p];
      second[p] = pairs[2 * p + 1];
    }
    F32x16 a = load(first);
    F32x16 b = load(second);
    rotate(a, b, load_first(cosine + i, count), load_first(sine + i, count));
    store(a, first);
    store(b, second);
    for (int p = 0; p < count; ++p) {
      pairs[2 * p] = first[p];
      pairs[2 * p + 1] = second[p];
    }
  }
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
  const auto rotate =
      layout == RopeLayout::halves ? REGARD_DISPATCH(rotate_halves) : REGARD_DISPATCH(rotate_pairs);
  for (int64_t token = 0; token < x.shape[0]; ++token) {
    const int32_t at = position[static_cast<std::size_t>(token)];
    for (int64_t head = 0; head < x.shape[1]; ++head) {
      rotate(x[token][head].data, table.cosines(at), table.sines(at), table.dim() / 2);
    }
  }
}

}  // namespace regard
#endif
