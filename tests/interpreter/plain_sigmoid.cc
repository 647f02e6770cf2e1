// The one elementary function of the interpreter that no room offers for arrays, for plain.h.
#include <algorithm>

#include "simd/highway.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "interpreter/plain_sigmoid.cc"
#include <hwy/foreach_target.h>

#include "simd/math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace regard::HWY_NAMESPACE {

static void sigmoid_array(const float* x, int64_t n, float* out) {
  for (int64_t i = 0; i < n; i += 16) store(sigmoid(load(x + i)), out + i);
}

}  // namespace regard::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include "interpreter/plain.h"

namespace regard {

float plain_sigmoid(float x) {
  const ScopedTarget forced(Target::scalar);
  float in[16], out[16];
  std::fill(in, in + 16, x);
  REGARD_DISPATCH(sigmoid_array)(in, 16, out);
  return out[0];
}

}  // namespace regard
#endif
