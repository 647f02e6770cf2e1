// Activations and the residual sum, row by row.
#include "kernels/elementwise.h"
#include "kernels/rows.h"
#include "simd/highway.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/activations.cc"
#include <hwy/foreach_target.h>

#include "kernels/row-inl.h"
#include "simd/math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace regard::HWY_NAMESPACE {

struct Silu {
  HWY_INLINE HWY_ATTR F32x16 operator()(const F32x16& x) const { return silu(x); }
};
struct GeluTanh {
  HWY_INLINE HWY_ATTR F32x16 operator()(const F32x16& x) const { return gelu_tanh(x); }
};
struct GeluErf {
  HWY_INLINE HWY_ATTR F32x16 operator()(const F32x16& x) const { return gelu_erf(x); }
};
struct Swiglu {
  HWY_INLINE HWY_ATTR F32x16 operator()(const F32x16& gate, const F32x16& up) const {
    return mul(silu(gate), up);
  }
};
struct Add {
  HWY_INLINE HWY_ATTR F32x16 operator()(const F32x16& a, const F32x16& b) const {
    return add(a, b);
  }
};

template <class Function>
static void map_rows(View<const float, 2> x, View<float, 2> out) {
  for (int64_t row = 0; row < x.shape[0]; ++row) {
    map_row(Function(), x.shape[1], out[row].data, x[row].data);
  }
}
template <class Function>
static void map_two_rows(View<const float, 2> a, View<const float, 2> b, View<float, 2> out) {
  for (int64_t row = 0; row < a.shape[0]; ++row) {
    map_row(Function(), a.shape[1], out[row].data, a[row].data, b[row].data);
  }
}

static void silu_rows(View<const float, 2> x, View<float, 2> out) { map_rows<Silu>(x, out); }
static void gelu_tanh_rows(View<const float, 2> x, View<float, 2> out) {
  map_rows<GeluTanh>(x, out);
}
static void gelu_erf_rows(View<const float, 2> x, View<float, 2> out) { map_rows<GeluErf>(x, out); }
static void swiglu_rows(View<const float, 2> gate, View<const float, 2> up, View<float, 2> out) {
  map_two_rows<Swiglu>(gate, up, out);
}
static void add_rows(View<const float, 2> a, View<const float, 2> b, View<float, 2> out) {
  map_two_rows<Add>(a, b, out);
}

}  // namespace regard::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace regard {

void silu(View<const float, 2> x, View<float, 2> out) {
  require_rows("silu", x, out);
  REGARD_DISPATCH(silu_rows)(x, out);
}

void gelu_tanh(View<const float, 2> x, View<float, 2> out) {
  require_rows("gelu_tanh", x, out);
  REGARD_DISPATCH(gelu_tanh_rows)(x, out);
}

void gelu_erf(View<const float, 2> x, View<float, 2> out) {
  require_rows("gelu_erf", x, out);
  REGARD_DISPATCH(gelu_erf_rows)(x, out);
}

void swiglu(View<const float, 2> gate, View<const float, 2> up, View<float, 2> out) {
  require_rows("swiglu", gate, out);
  require_rows("swiglu", up, out);
  REGARD_DISPATCH(swiglu_rows)(gate, up, out);
}

void add(View<const float, 2> a, View<const float, 2> b, View<float, 2> out) {
  require_rows("add", a, out);
  require_rows("add", b, out);
  REGARD_DISPATCH(add_rows)(a, b, out);
}

}  // namespace regard
#endif
