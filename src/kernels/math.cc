// The elementary functions of math-inl.h over arrays.
#include "kernels/elementwise.h"
#include "simd/highway.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/math.cc"
#include <hwy/foreach_target.h>

#include "kernels/row-inl.h"
#include "simd/math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace regard::HWY_NAMESPACE {

#define REGARD_ARRAY_FUNCTION(function)                                                  \
  struct Each_##function {                                                               \
    HWY_INLINE HWY_ATTR F32x16 operator()(const F32x16& x) const { return function(x); } \
  };                                                                                     \
  static void function##_array(const float* x, int64_t n, float* out) {                  \
    map_row(Each_##function(), n, out, x);                                               \
  }
REGARD_ARRAY_FUNCTION(exp)
REGARD_ARRAY_FUNCTION(tanh)
REGARD_ARRAY_FUNCTION(erf)
REGARD_ARRAY_FUNCTION(sin)
REGARD_ARRAY_FUNCTION(cos)
REGARD_ARRAY_FUNCTION(log)
#undef REGARD_ARRAY_FUNCTION

}  // namespace regard::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace regard {

void exp(const float* x, int64_t n, float* out) { REGARD_DISPATCH(exp_array)(x, n, out); }
void tanh(const float* x, int64_t n, float* out) { REGARD_DISPATCH(tanh_array)(x, n, out); }
void erf(const float* x, int64_t n, float* out) { REGARD_DISPATCH(erf_array)(x, n, out); }
void sin(const float* x, int64_t n, float* out) { REGARD_DISPATCH(sin_array)(x, n, out); }
void cos(const float* x, int64_t n, float* out) { REGARD_DISPATCH(cos_array)(x, n, out); }
void log(const float* x, int64_t n, float* out) { REGARD_DISPATCH(log_array)(x, n, out); }

}  // namespace regard
#endif
