// Softmax, its logarithm, and log-sum-exp of rows.
#include "kernels/elementwise.h"
#include "kernels/rows.h"
#include "simd/highway.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/softmax.cc"
#include <hwy/foreach_target.h>

#include "kernels/row-inl.h"
#include "simd/math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace regard::HWY_NAMESPACE {

struct Largest {  // passes over NaN; the sum of exponentials meets it later
  HWY_INLINE HWY_ATTR F32x16 operator()(const F32x16& most, const F32x16& x) const {
    return max(x, most);
  }
};
struct Exponential {
  F32x16 offset;
  HWY_INLINE HWY_ATTR F32x16 operator()(const F32x16& x) const {
    return exp_nonpositive(sub(x, offset));
  }
};
struct SumOfExponentials {
  F32x16 offset;
  HWY_INLINE HWY_ATTR F32x16 operator()(const F32x16& total, const F32x16& x) const {
    return add(total, exp_nonpositive(sub(x, offset)));
  }
};
struct Sum {
  HWY_INLINE HWY_ATTR F32x16 operator()(const F32x16& total, const F32x16& x) const {
    return add(total, x);
  }
};
struct Difference {
  F32x16 offset;
  HWY_INLINE HWY_ATTR F32x16 operator()(const F32x16& x) const { return sub(x, offset); }
};
struct Quotient {
  F32x16 divisor;
  HWY_INLINE HWY_ATTR F32x16 operator()(const F32x16& x) const { return div(x, divisor); }
};

// The row's largest number, or 0 where that is -inf, so that x - offset is never inf - inf there.
REGARD_INLINE float offset_of(const float* in, int64_t width) {
  const float most = max_lanes(fold_row(Largest(), in, width, broadcast(-kInfinity), -kInfinity));
  return most == -kInfinity ? 0.0f : most;
}

static void softmax_rows(View<const float, 2> x, View<float, 2> out) {
  const int64_t width = x.shape[1];
  for (int64_t row = 0; row < x.shape[0]; ++row) {
    const float* in = x[row].data;
    float* to = out[row].data;
    map_row(Exponential{broadcast(offset_of(in, width))}, width, to, in);
    const float total = sum_lanes(fold_row(Sum(), to, width, zero(), 0));
    const float divisor = total == 0.0f ? 1.0f : total;
    map_row(Quotient{broadcast(divisor)}, width, to, to);
  }
}

// log Σ exp(x), in every lane.
REGARD_INLINE F32x16 log_sum_exp_of(const float* in, int64_t width) {
  const float offset = offset_of(in, width);
  const SumOfExponentials sum{broadcast(offset)};
  const float total = sum_lanes(fold_row(sum, in, width, zero(), -kInfinity));
  return add(broadcast(offset), log(broadcast(total)));
}

static void log_sum_exp_rows(View<const float, 2> x, float* out) {
  for (int64_t row = 0; row < x.shape[0]; ++row) {
    store_first(log_sum_exp_of(x[row].data, x.shape[1]), out + row, 1);
  }
}

static void log_softmax_rows(View<const float, 2> x, View<float, 2> out) {
  const int64_t width = x.shape[1];
  for (int64_t row = 0; row < x.shape[0]; ++row) {
    const Difference difference{log_sum_exp_of(x[row].data, width)};
    map_row(difference, width, out[row].data, x[row].data);
  }
}

}  // namespace regard::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace regard {

void softmax(View<const float, 2> x, View<float, 2> out) {
  require_rows("softmax", x, out);
  REGARD_DISPATCH(softmax_rows)(x, out);
}

void log_softmax(View<const float, 2> x, View<float, 2> out) {
  require_rows("log_softmax", x, out);
  REGARD_DISPATCH(log_softmax_rows)(x, out);
}

void log_sum_exp(View<const float, 2> x, float* out) {
  require_unit_stride("log_sum_exp", "x", x);
  REGARD_DISPATCH(log_sum_exp_rows)(x, out);
}

}  // namespace regard
#endif
