// Gradients of RMSNorm and LayerNorm. A row's statistics are computed again, by the very sums of
// the norms: to keep them would cost a tensor, to compute them costs one read of a row that is
// needed anyway.
#include "kernels/gradients.h"
#include "kernels/rows.h"
#include "simd/highway.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/norm_gradients.cc"
#include <hwy/foreach_target.h>

#include "kernels/row-inl.h"

HWY_BEFORE_NAMESPACE();
namespace regard::HWY_NAMESPACE {

struct TwoSums {
  F32x16 first;
  F32x16 second;
};

// Σ x² and Σ gain dy x
struct SumsOfRms {
  HWY_INLINE HWY_ATTR void operator()(TwoSums& sums, const F32x16& x, const F32x16& dy,
                                      const F32x16& gain) const {
    sums.first = fma(x, x, sums.first);
    sums.second = fma(mul(gain, dy), x, sums.second);
  }
};
// sums + dy x r
struct AddScaled {
  F32x16 r;
  HWY_INLINE HWY_ATTR F32x16 operator()(const F32x16& sums, const F32x16& x,
                                        const F32x16& dy) const {
    return fma(mul(x, r), dy, sums);
  }
};
// r (gain dy - x pull)
struct RmsGradient {
  F32x16 r;
  F32x16 pull;
  HWY_INLINE HWY_ATTR F32x16 operator()(const F32x16& x, const F32x16& dy,
                                        const F32x16& gain) const {
    return mul(fnma(x, pull, mul(gain, dy)), r);
  }
};

static void rms_norm_gradient_rows(View<const float, 2> x, const float* gain, float epsilon,
                                   View<const float, 2> dy, View<float, 2> dx, float* gain_sums) {
  const int64_t width = x.shape[1];
  for (int64_t row = 0; row < x.shape[0]; ++row) {
    const float* in = x[row].data;
    const float* back = dy[row].data;
    TwoSums sums{zero(), zero()};
    fold_rows(SumsOfRms(), width, sums, in, back, gain);
    const F32x16 r = inverse_root(sum_lanes(sums.first), width, epsilon);
    const F32x16 mean = broadcast(sum_lanes(sums.second) / static_cast<float>(width));
    map_row(AddScaled{r}, width, gain_sums, gain_sums, in, back);
    map_row(RmsGradient{r, mul(mul(r, r), mean)}, width, dx[row].data, in, back, gain);
  }
}

struct SumOf {
  HWY_INLINE HWY_ATTR void operator()(F32x16& sum, const F32x16& x) const { sum = add(sum, x); }
};
struct SumOfSquaresAround {
  F32x16 mean;
  HWY_INLINE HWY_ATTR F32x16 operator()(const F32x16& total, const F32x16& x) const {
    const F32x16 d = sub(x, mean);
    return fma(d, d, total);
  }
};
// Σ gain dy and Σ gain dy h
struct SumsOfLayer {
  F32x16 mean;
  F32x16 r;
  HWY_INLINE HWY_ATTR void operator()(TwoSums& sums, const F32x16& x, const F32x16& dy,
                                      const F32x16& gain) const {
    const F32x16 back = mul(gain, dy);
    sums.first = add(sums.first, back);
    sums.second = fma(back, mul(sub(x, mean), r), sums.second);
  }
};
// sums + dy h
struct AddCentred {
  F32x16 mean;
  F32x16 r;
  HWY_INLINE HWY_ATTR F32x16 operator()(const F32x16& sums, const F32x16& x,
                                        const F32x16& dy) const {
    return fma(mul(sub(x, mean), r), dy, sums);
  }
};
struct Add {
  HWY_INLINE HWY_ATTR F32x16 operator()(const F32x16& a, const F32x16& b) const {
    return add(a, b);
  }
};
// r (gain dy - level - h pull)
struct LayerGradient {
  F32x16 mean;
  F32x16 r;
  F32x16 level;
  F32x16 pull;
  HWY_INLINE HWY_ATTR F32x16 operator()(const F32x16& x, const F32x16& dy,
                                        const F32x16& gain) const {
    const F32x16 h = mul(sub(x, mean), r);
    return mul(fnma(h, pull, sub(mul(gain, dy), level)), r);
  }
};

static void layer_norm_gradient_rows(View<const float, 2> x, const float* gain, float epsilon,
                                     View<const float, 2> dy, View<float, 2> dx, float* gain_sums,
                                     float* shift_sums) {
  const int64_t width = x.shape[1];
  const auto count = static_cast<float>(width);
  for (int64_t row = 0; row < x.shape[0]; ++row) {
    const float* in = x[row].data;
    const float* back = dy[row].data;
    F32x16 total = zero();
    fold_rows(SumOf(), width, total, in);
    const float centre = sum_lanes(total) / count;
    const F32x16 mean = broadcast(centre);
    const SumOfSquaresAround around{mean};
    const float spread = sum_lanes(fold_row(around, in, width, zero(), centre));
    const F32x16 r = inverse_root(spread, width, epsilon);
    TwoSums sums{zero(), zero()};
    fold_rows(SumsOfLayer{mean, r}, width, sums, in, back, gain);
    const F32x16 level = broadcast(sum_lanes(sums.first) / count);
    const F32x16 pull = broadcast(sum_lanes(sums.second) / count);
    map_row(AddCentred{mean, r}, width, gain_sums, gain_sums, in, back);
    map_row(Add(), width, shift_sums, shift_sums, back);
    map_row(LayerGradient{mean, r, level, pull}, width, dx[row].data, in, back, gain);
  }
}

}  // namespace regard::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace regard {

void rms_norm_gradient(View<const float, 2> x, const float* gain, float epsilon,
                       View<const float, 2> dy, View<float, 2> dx, float* gain_sums) {
  require_rows("rms_norm_gradient", x, dx);
  require_rows("rms_norm_gradient", dy, dx);
  REGARD_DISPATCH(rms_norm_gradient_rows)(x, gain, epsilon, dy, dx, gain_sums);
}

void layer_norm_gradient(View<const float, 2> x, const float* gain, float epsilon,
                         View<const float, 2> dy, View<float, 2> dx, float* gain_sums,
                         float* shift_sums) {
  require_rows("layer_norm_gradient", x, dx);
  require_rows("layer_norm_gradient", dy, dx);
  REGARD_DISPATCH(layer_norm_gradient_rows)(x, gain, epsilon, dy, dx, gain_sums, shift_sums);
}

}  // namespace regard
#endif
