// What is computed number by number: sums, activations, scaling.
#include <utility>

#include "ops/ops.h"
#include "ops/rows.h"

namespace regard {
namespace {

// Storage for a result shaped like x.
Tensor like(const Tensor& x) { return Tensor::like(x); }

// x [rows, width] number by number, where it lies when nobody else has it.
template <class Work>
Tensor map_rows(Tensor x, const Work& work) {
  const auto in = std::as_const(x).view<float, 2>();
  Tensor made = x.sole_owner() ? std::move(x) : like(x);
  const auto out = made.writable<float, 2>();
  over_rows(out.shape[0], out.shape[1], [&](int64_t first, int64_t count) {
    work(in.rows(first, count), out.rows(first, count));
  });
  return made;
}

}  // namespace

Tensor add(const Tensor& a, Tensor b) {
  require_same_shape("add", a, b);
  Tensor sum = b.sole_owner() ? std::move(b) : like(a);
  const auto left = a.view<float, 2>();
  const auto out = sum.writable<float, 2>();
  const View<const float, 2> right = b ? b.view<float, 2>() : View<const float, 2>(out);
  over_rows(out.shape[0], out.shape[1], [&](int64_t first, int64_t count) {
    regard::add(left.rows(first, count), right.rows(first, count), out.rows(first, count));
  });
  return sum;
}

Tensor activate_gated(Activation function, const Tensor& gate, Tensor up) {
  require_same_shape("activate_gated", gate, up);
  Tensor gated = up.sole_owner() ? std::move(up) : like(gate);
  const auto g = gate.view<float, 2>();
  const auto out = gated.writable<float, 2>();
  const View<const float, 2> u = up ? up.view<float, 2>() : View<const float, 2>(out);
  over_rows(out.shape[0], out.shape[1], [&](int64_t first, int64_t count) {
    regard::activate_gated(function, g.rows(first, count), u.rows(first, count),
                           out.rows(first, count));
  });
  return gated;
}

Tensor activate(Activation function, Tensor x) {
  return map_rows(std::move(x), [&](View<const float, 2> in, View<float, 2> out) {
    regard::activate(function, in, out);
  });
}

Tensor scale(Tensor x, float factor) {
  return map_rows(std::move(x), [&](View<const float, 2> in, View<float, 2> out) {
    regard::scale(in, factor, out);
  });
}

Tensor softcap(Tensor x, float cap) {
  require(cap > 0, "softcap: a cap of {} is not positive", cap);
  return map_rows(std::move(x), [&](View<const float, 2> in, View<float, 2> out) {
    regard::softcap(in, cap, out);
  });
}

}  // namespace regard
