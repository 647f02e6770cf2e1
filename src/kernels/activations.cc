// Activations, the soft cap, scaling and the residual sum, row by row.
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
struct Relu {
  HWY_INLINE HWY_ATTR F32x16 operator()(const F32x16& x) const {
    return select(less(x, zero()), zero(), x);
  }
};
struct Tanh {
  HWY_INLINE HWY_ATTR F32x16 operator()(const F32x16& x) const { return tanh(x); }
};
struct Sigmoid {
  HWY_INLINE HWY_ATTR F32x16 operator()(const F32x16& x) const { return sigmoid(x); }
};
struct Identity {
  HWY_INLINE HWY_ATTR F32x16 operator()(const F32x16& x) const { return x; }
};
template <class Function>
struct Gated {
  HWY_INLINE HWY_ATTR F32x16 operator()(const F32x16& gate, const F32x16& up) const {
    return mul(Function()(gate), up);
  }
};
struct Scale {
  F32x16 factor;
  HWY_INLINE HWY_ATTR F32x16 operator()(const F32x16& x) const { return mul(x, factor); }
};
struct Softcap {
  F32x16 cap;
  HWY_INLINE HWY_ATTR F32x16 operator()(const F32x16& x) const {
    return mul(tanh(div(x, cap)), cap);
  }
};
struct Add {
  HWY_INLINE HWY_ATTR F32x16 operator()(const F32x16& a, const F32x16& b) const {
    return add(a, b);
  }
};

template <class Function>
static void map_rows(View<const float, 2> x, View<float, 2> out,
                     const Function& function = Function()) {
  for (int64_t row = 0; row < x.shape[0]; ++row) {
    map_row(function, x.shape[1], out[row].data, x[row].data);
  }
}
template <class Function>
static void map_two_rows(View<const float, 2> a, View<const float, 2> b, View<float, 2> out) {
  for (int64_t row = 0; row < a.shape[0]; ++row) {
    map_row(Function(), a.shape[1], out[row].data, a[row].data, b[row].data);
  }
}

static void activate_rows(Activation function, View<const float, 2> x, View<float, 2> out) {
  switch (function) {
    case Activation::silu:
      return map_rows<Silu>(x, out);
    case Activation::gelu_tanh:
      return map_rows<GeluTanh>(x, out);
    case Activation::gelu_erf:
      return map_rows<GeluErf>(x, out);
    case Activation::relu:
      return map_rows<Relu>(x, out);
    case Activation::tanh:
      return map_rows<Tanh>(x, out);
    case Activation::sigmoid:
      return map_rows<Sigmoid>(x, out);
    case Activation::identity:
      return map_rows<Identity>(x, out);
  }
}
static void activate_gated_rows(Activation function, View<const float, 2> gate,
                                View<const float, 2> up, View<float, 2> out) {
  switch (function) {
    case Activation::silu:
      return map_two_rows<Gated<Silu>>(gate, up, out);
    case Activation::gelu_tanh:
      return map_two_rows<Gated<GeluTanh>>(gate, up, out);
    case Activation::gelu_erf:
      return map_two_rows<Gated<GeluErf>>(gate, up, out);
    case Activation::relu:
      return map_two_rows<Gated<Relu>>(gate, up, out);
    case Activation::tanh:
      return map_two_rows<Gated<Tanh>>(gate, up, out);
    case Activation::sigmoid:
      return map_two_rows<Gated<Sigmoid>>(gate, up, out);
    case Activation::identity:
      return map_two_rows<Gated<Identity>>(gate, up, out);
  }
}
static void scale_rows(View<const float, 2> x, float factor, View<float, 2> out) {
  map_rows(x, out, Scale{broadcast(factor)});
}
static void softcap_rows(View<const float, 2> x, float cap, View<float, 2> out) {
  map_rows(x, out, Softcap{broadcast(cap)});
}
static void add_rows(View<const float, 2> a, View<const float, 2> b, View<float, 2> out) {
  map_two_rows<Add>(a, b, out);
}

}  // namespace regard::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace regard {

void activate(Activation function, View<const float, 2> x, View<float, 2> out) {
  require_rows("activate", x, out);
  REGARD_DISPATCH(activate_rows)(function, x, out);
}

void silu(View<const float, 2> x, View<float, 2> out) { activate(Activation::silu, x, out); }
void gelu_tanh(View<const float, 2> x, View<float, 2> out) {
  activate(Activation::gelu_tanh, x, out);
}
void gelu_erf(View<const float, 2> x, View<float, 2> out) {
  activate(Activation::gelu_erf, x, out);
}
void relu(View<const float, 2> x, View<float, 2> out) { activate(Activation::relu, x, out); }

void activate_gated(Activation function, View<const float, 2> gate, View<const float, 2> up,
                    View<float, 2> out) {
  require_rows("activate_gated", gate, out);
  require_rows("activate_gated", up, out);
  REGARD_DISPATCH(activate_gated_rows)(function, gate, up, out);
}

void swiglu(View<const float, 2> gate, View<const float, 2> up, View<float, 2> out) {
  activate_gated(Activation::silu, gate, up, out);
}

void scale(View<const float, 2> x, float factor, View<float, 2> out) {
  require_rows("scale", x, out);
  REGARD_DISPATCH(scale_rows)(x, factor, out);
}

void softcap(View<const float, 2> x, float cap, View<float, 2> out) {
  require_rows("softcap", x, out);
  REGARD_DISPATCH(softcap_rows)(x, cap, out);
}

void add(View<const float, 2> a, View<const float, 2> b, View<float, 2> out) {
  require_rows("add", a, out);
  require_rows("add", b, out);
  REGARD_DISPATCH(add_rows)(a, b, out);
}

}  // namespace regard
#endif
