// Slopes of activations and of the soft cap, row by row.
//
// Slopes of the logistic family are made from e^-|x|, so that they keep their digits where they are
// small, and arguments are bounded where the slope has reached its limit: no infinity meets a zero.
#include "kernels/gradients.h"
#include "kernels/rows.h"
#include "simd/highway.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/activation_gradients.cc"
#include <hwy/foreach_target.h>

#include "kernels/row-inl.h"
#include "simd/math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace regard::HWY_NAMESPACE {

REGARD_INLINE F32x16 bounded(const F32x16& x, float limit) {
  return min(broadcast(limit), max(broadcast(-limit), x));  // NaN stays
}

// σ(x) σ(-x), the slope of σ.
REGARD_INLINE F32x16 sigmoid_slope(const F32x16& x) {
  const F32x16 shrunk = exp_nonpositive(neg(abs(x)));
  const F32x16 whole = add(broadcast(1.0f), shrunk);
  return div(shrunk, mul(whole, whole));
}

// Each knows its value and its slope.
struct Silu {
  HWY_INLINE HWY_ATTR F32x16 value(const F32x16& x) const { return silu(x); }
  HWY_INLINE HWY_ATTR F32x16 slope(const F32x16& x) const {
    const F32x16 within = bounded(x, 256.0f);
    return fma(within, sigmoid_slope(within), sigmoid(within));
  }
};
struct GeluTanh {  // x σ(t), t = x (a + b x²)
  HWY_INLINE HWY_ATTR F32x16 value(const F32x16& x) const { return gelu_tanh(x); }
  HWY_INLINE HWY_ATTR F32x16 slope(const F32x16& x) const {
    const F32x16 within = bounded(x, 16.0f);
    const F32x16 square = mul(within, within);
    const F32x16 a = broadcast(0x1.988454p+0f);
    const F32x16 t = mul(within, fma(square, broadcast(0x1.2444f2p-4f), a));
    const F32x16 growth = fma(square, broadcast(3 * 0x1.2444f2p-4f), a);  // dt/dx
    return fma(mul(within, growth), sigmoid_slope(t), sigmoid(t));
  }
};
struct GeluErf {  // Φ(x) + x φ(x)
  HWY_INLINE HWY_ATTR F32x16 value(const F32x16& x) const { return gelu_erf(x); }
  HWY_INLINE HWY_ATTR F32x16 slope(const F32x16& x) const {
    const F32x16 within = bounded(x, 16.0f);
    const F32x16 half = broadcast(0.5f);
    const F32x16 share = fma(erf(mul(within, broadcast(0x1.6a09e6p-1f))), half, half);
    const F32x16 bell = exp_nonpositive(neg(mul(mul(within, within), half)));
    return fma(mul(within, broadcast(0x1.988454p-2f)), bell, share);
  }
};
struct Relu {
  HWY_INLINE HWY_ATTR F32x16 value(const F32x16& x) const {
    return select(less(x, zero()), zero(), x);
  }
  HWY_INLINE HWY_ATTR F32x16 slope(const F32x16& x) const {
    return select(not_less(zero(), x), zero(), broadcast(1.0f));
  }
};
struct Tanh {
  HWY_INLINE HWY_ATTR F32x16 value(const F32x16& x) const { return tanh(x); }
  HWY_INLINE HWY_ATTR F32x16 slope(const F32x16& x) const {
    return mul(broadcast(4.0f), sigmoid_slope(add(x, x)));
  }
};
struct Sigmoid {
  HWY_INLINE HWY_ATTR F32x16 value(const F32x16& x) const { return sigmoid(x); }
  HWY_INLINE HWY_ATTR F32x16 slope(const F32x16& x) const { return sigmoid_slope(x); }
};
struct Identity {
  HWY_INLINE HWY_ATTR F32x16 value(const F32x16& x) const { return x; }
  HWY_INLINE HWY_ATTR F32x16 slope(const F32x16&) const { return broadcast(1.0f); }
};

template <class Function>
struct Pulled {
  HWY_INLINE HWY_ATTR F32x16 operator()(const F32x16& x, const F32x16& dy) const {
    return mul(dy, Function().slope(x));
  }
};
struct PulledThroughCap {
  F32x16 cap;
  HWY_INLINE HWY_ATTR F32x16 operator()(const F32x16& x, const F32x16& dy) const {
    return mul(dy, Tanh().slope(div(x, cap)));
  }
};

template <class Function>
static void pull_rows(View<const float, 2> x, View<const float, 2> dy, View<float, 2> dx,
                      const Function& function = Function()) {
  for (int64_t row = 0; row < x.shape[0]; ++row) {
    map_row(function, x.shape[1], dx[row].data, x[row].data, dy[row].data);
  }
}

template <class Function>
static void pull_gated_rows(View<const float, 2> gate, View<const float, 2> up,
                            View<const float, 2> dy, View<float, 2> dgate, View<float, 2> dup) {
  const int64_t width = gate.shape[1];
  const Function function;
  for (int64_t row = 0; row < gate.shape[0]; ++row) {
    const float* g = gate[row].data;
    const float* u = up[row].data;
    const float* d = dy[row].data;
    float* to_gate = dgate[row].data;
    float* to_up = dup[row].data;
    int64_t i = 0;
    for (; i + 16 <= width; i += 16) {
      const F32x16 at = load(g + i), back = load(d + i);
      const F32x16 of_gate = mul(mul(back, load(u + i)), function.slope(at));
      store(mul(back, function.value(at)), to_up + i);
      store(of_gate, to_gate + i);
    }
    const int left = static_cast<int>(width - i);
    if (left == 0) continue;
    const F32x16 at = load_first(g + i, left), back = load_first(d + i, left);
    const F32x16 of_gate = mul(mul(back, load_first(u + i, left)), function.slope(at));
    store_first(mul(back, function.value(at)), to_up + i, left);
    store_first(of_gate, to_gate + i, left);
  }
}

// Calls work with the function that has that name.
template <class Work>
static void with_function(Activation function, const Work& work) {
  switch (function) {
    case Activation::silu:
      return work(Silu());
    case Activation::gelu_tanh:
      return work(GeluTanh());
    case Activation::gelu_erf:
      return work(GeluErf());
    case Activation::relu:
      return work(Relu());
    case Activation::tanh:
      return work(Tanh());
    case Activation::sigmoid:
      return work(Sigmoid());
    case Activation::identity:
      return work(Identity());
  }
}

static void activate_gradient_rows(Activation name, View<const float, 2> x, View<const float, 2> dy,
                                   View<float, 2> dx) {
  with_function(name, [&](auto function) { pull_rows<Pulled<decltype(function)>>(x, dy, dx); });
}
static void activate_gated_gradient_rows(Activation name, View<const float, 2> gate,
                                         View<const float, 2> up, View<const float, 2> dy,
                                         View<float, 2> dgate, View<float, 2> dup) {
  with_function(
      name, [&](auto function) { pull_gated_rows<decltype(function)>(gate, up, dy, dgate, dup); });
}
static void softcap_gradient_rows(View<const float, 2> x, float cap, View<const float, 2> dy,
                                  View<float, 2> dx) {
  pull_rows(x, dy, dx, PulledThroughCap{broadcast(cap)});
}

}  // namespace regard::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace regard {

void activate_gradient(Activation function, View<const float, 2> x, View<const float, 2> dy,
                       View<float, 2> dx) {
  require_rows("activate_gradient", x, dx);
  require_rows("activate_gradient", dy, dx);
  REGARD_DISPATCH(activate_gradient_rows)(function, x, dy, dx);
}

void activate_gated_gradient(Activation function, View<const float, 2> gate,
                             View<const float, 2> up, View<const float, 2> dy, View<float, 2> dgate,
                             View<float, 2> dup) {
  require_rows("activate_gated_gradient", gate, dgate);
  require_rows("activate_gated_gradient", up, dgate);
  require_rows("activate_gated_gradient", dy, dgate);
  require_rows("activate_gated_gradient", dy, dup);
  REGARD_DISPATCH(activate_gated_gradient_rows)(function, gate, up, dy, dgate, dup);
}

void softcap_gradient(View<const float, 2> x, float cap, View<const float, 2> dy,
                      View<float, 2> dx) {
  require_rows("softcap_gradient", x, dx);
  require_rows("softcap_gradient", dy, dx);
  REGARD_DISPATCH(softcap_gradient_rows)(x, cap, dy, dx);
}

}  // namespace regard
#endif
