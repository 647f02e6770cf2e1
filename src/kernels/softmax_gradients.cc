// Gradients of softmax, its logarithm and log-sum-exp; cross-entropy and its gradient.
#include <algorithm>
#include <limits>

#include "kernels/gradients.h"
#include "kernels/rows.h"
#include "simd/highway.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/softmax_gradients.cc"
#include <hwy/foreach_target.h>

#include "kernels/row-inl.h"
#include "simd/math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace regard::HWY_NAMESPACE {

struct SumOf {
  HWY_INLINE HWY_ATTR void operator()(F32x16& sum, const F32x16& x) const { sum = add(sum, x); }
};
struct SumOfProducts {
  HWY_INLINE HWY_ATTR void operator()(F32x16& sum, const F32x16& a, const F32x16& b) const {
    sum = fma(a, b, sum);
  }
};
// y (dy - mean)
struct Around {
  F32x16 mean;
  HWY_INLINE HWY_ATTR F32x16 operator()(const F32x16& y, const F32x16& dy) const {
    return mul(y, sub(dy, mean));
  }
};
// dy - exp(y) total
struct LessItsShare {
  F32x16 total;
  HWY_INLINE HWY_ATTR F32x16 operator()(const F32x16& y, const F32x16& dy) const {
    return fnma(exp_nonpositive(y), total, dy);
  }
};
// factor (exp(x - lse) - each)
struct Share {
  F32x16 lse;
  F32x16 factor;
  F32x16 each;
  HWY_INLINE HWY_ATTR F32x16 operator()(const F32x16& x) const {
    return mul(factor, sub(exp_nonpositive(sub(x, lse)), each));
  }
};

static void softmax_gradient_rows(View<const float, 2> y, View<const float, 2> dy,
                                  View<float, 2> dx) {
  const int64_t width = y.shape[1];
  for (int64_t row = 0; row < y.shape[0]; ++row) {
    F32x16 sum = zero();
    fold_rows(SumOfProducts(), width, sum, y[row].data, dy[row].data);
    map_row(Around{broadcast(sum_lanes(sum))}, width, dx[row].data, y[row].data, dy[row].data);
  }
}

static void log_softmax_gradient_rows(View<const float, 2> y, View<const float, 2> dy,
                                      View<float, 2> dx) {
  const int64_t width = y.shape[1];
  for (int64_t row = 0; row < y.shape[0]; ++row) {
    F32x16 sum = zero();
    fold_rows(SumOf(), width, sum, dy[row].data);
    const LessItsShare less{broadcast(sum_lanes(sum))};
    map_row(less, width, dx[row].data, y[row].data, dy[row].data);
  }
}

static void log_sum_exp_gradient_rows(View<const float, 2> x, const float* s, const float* ds,
                                      View<float, 2> dx) {
  for (int64_t row = 0; row < x.shape[0]; ++row) {
    const float offset = s[row] == -kInfinity ? 0.0f : s[row];  // never inf - inf
    const Share share{broadcast(offset), broadcast(ds[row]), zero()};
    map_row(share, x.shape[1], dx[row].data, x[row].data);
  }
}

static float sum_of_row(const float* x, int64_t width) {
  F32x16 sum = zero();
  fold_rows(SumOf(), width, sum, x);
  return sum_lanes(sum);
}

static void share_row(const float* x, int64_t width, float lse, float factor, float each,
                      float* out) {
  const Share share{broadcast(lse), broadcast(factor), broadcast(each)};
  map_row(share, width, out, x);
}

}  // namespace regard::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace regard {

void softmax_gradient(View<const float, 2> y, View<const float, 2> dy, View<float, 2> dx) {
  require_rows("softmax_gradient", y, dx);
  require_rows("softmax_gradient", dy, dx);
  REGARD_DISPATCH(softmax_gradient_rows)(y, dy, dx);
}

void log_softmax_gradient(View<const float, 2> y, View<const float, 2> dy, View<float, 2> dx) {
  require_rows("log_softmax_gradient", y, dx);
  require_rows("log_softmax_gradient", dy, dx);
  REGARD_DISPATCH(log_softmax_gradient_rows)(y, dy, dx);
}

void log_sum_exp_gradient(View<const float, 2> x, const float* s, const float* ds,
                          View<float, 2> dx) {
  require_rows("log_sum_exp_gradient", x, dx);
  REGARD_DISPATCH(log_sum_exp_gradient_rows)(x, s, ds, dx);
}

void cross_entropy(View<const float, 2> x, const int32_t* targets, const float* used,
                   const Smoothed& q, float* losses, float* lse) {
  require_unit_stride("cross_entropy", "x", x);
  const auto sum_of = REGARD_DISPATCH(sum_of_row);
  for (int64_t row = 0; row < x.shape[0]; ++row) {
    losses[row] = 0;
    lse[row] = -std::numeric_limits<float>::infinity();
    if (used[row] == 0) continue;
    log_sum_exp(x.rows(row, 1), lse + row);
    const float* in = x[row].data;
    float expected = q.target * in[targets[row]];
    if (q.each != 0) expected += q.each * sum_of(in, x.shape[1]);
    losses[row] = lse[row] - expected;
  }
}

void cross_entropy_gradient(View<const float, 2> x, const int32_t* targets, const float* factors,
                            const Smoothed& q, const float* lse, View<float, 2> dx) {
  require_rows("cross_entropy_gradient", x, dx);
  const auto share = REGARD_DISPATCH(share_row);
  for (int64_t row = 0; row < x.shape[0]; ++row) {
    float* out = dx[row].data;
    if (factors[row] == 0) {
      std::fill_n(out, x.shape[1], 0.0f);
      continue;
    }
    share(x[row].data, x.shape[1], lse[row], factors[row], q.each, out);
    out[targets[row]] -= factors[row] * q.target;
  }
}

}  // namespace regard
#endif
