// RMSNorm and LayerNorm. A row's sums have one fixed shape (row-inl.h), so a row alone equals the
// row in a batch; everything is f32.
#include "kernels/elementwise.h"
#include "kernels/rows.h"
#include "simd/highway.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/norms.cc"
#include <hwy/foreach_target.h>

#include "kernels/row-inl.h"

HWY_BEFORE_NAMESPACE();
namespace regard::HWY_NAMESPACE {

struct Sum {
  HWY_INLINE HWY_ATTR F32x16 operator()(const F32x16& total, const F32x16& x) const {
    return add(total, x);
  }
};
struct SumOfSquares {
  HWY_INLINE HWY_ATTR F32x16 operator()(const F32x16& total, const F32x16& x) const {
    return fma(x, x, total);
  }
};
struct SumOfSquaresAround {
  F32x16 mean;
  HWY_INLINE HWY_ATTR F32x16 operator()(const F32x16& total, const F32x16& x) const {
    const F32x16 d = sub(x, mean);
    return fma(d, d, total);
  }
};
struct Scaled {
  F32x16 scale;
  HWY_INLINE HWY_ATTR F32x16 operator()(const F32x16& x, const F32x16& gain) const {
    return mul(mul(x, scale), gain);
  }
};
struct Centred {
  F32x16 mean;
  F32x16 scale;
  HWY_INLINE HWY_ATTR F32x16 operator()(const F32x16& x, const F32x16& gain) const {
    return mul(mul(sub(x, mean), scale), gain);
  }
  HWY_INLINE HWY_ATTR F32x16 operator()(const F32x16& x, const F32x16& gain,
                                        const F32x16& shift) const {
    return fma(mul(sub(x, mean), scale), gain, shift);
  }
};

static void rms_norm_rows(View<const float, 2> x, const float* gain, float epsilon,
                          View<float, 2> out) {
  const int64_t width = x.shape[1];
  for (int64_t row = 0; row < x.shape[0]; ++row) {
    const float* in = x[row].data;
    const float total = sum_lanes(fold_row(SumOfSquares(), in, width, zero(), 0));
    map_row(Scaled{inverse_root(total, width, epsilon)}, width, out[row].data, in, gain);
  }
}

static void layer_norm_rows(View<const float, 2> x, const float* gain, const float* shift,
                            float epsilon, View<float, 2> out) {
  const int64_t width = x.shape[1];
  for (int64_t row = 0; row < x.shape[0]; ++row) {
    const float* in = x[row].data;
    const float total = sum_lanes(fold_row(Sum(), in, width, zero(), 0));
    const float mean = total / static_cast<float>(width);
    const SumOfSquaresAround around{broadcast(mean)};
    const float spread = sum_lanes(fold_row(around, in, width, zero(), mean));
    const Centred centred{broadcast(mean), inverse_root(spread, width, epsilon)};
    if (shift != nullptr) {
      map_row(centred, width, out[row].data, in, gain, shift);
    } else {
      map_row(centred, width, out[row].data, in, gain);
    }
  }
}

}  // namespace regard::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace regard {

void rms_norm(View<const float, 2> x, const float* gain, float epsilon, View<float, 2> out) {
  require_rows("rms_norm", x, out);
  REGARD_DISPATCH(rms_norm_rows)(x, gain, epsilon, out);
}

void layer_norm(View<const float, 2> x, const float* gain, const float* shift, float epsilon,
                View<float, 2> out) {
  require_rows("layer_norm", x, out);
  REGARD_DISPATCH(layer_norm_rows)(x, gain, shift, epsilon, out);
}

}  // namespace regard
#endif
