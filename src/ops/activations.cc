// Activations, gates and the soft cap. f64 has the formulas.
#include <cmath>
#include <utility>

#include "kernels/gradients.h"
#include "ops/ops.h"
#include "ops/rows.h"

namespace regard {
namespace {

double sigma(double x) { return x < 0 ? std::exp(x) / (1 + std::exp(x)) : 1 / (1 + std::exp(-x)); }
double bell(double x) { return std::exp(-x * x / 2) / std::sqrt(2 * M_PI); }  // φ
double share(double x) { return std::erfc(-x / std::sqrt(2.0)) / 2; }         // Φ

// gelu_tanh(x) = x σ(t)
double inner(double x) { return 2 * std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x); }
double inner_slope(double x) { return 2 * std::sqrt(2 / M_PI) * (1 + 3 * 0.044715 * x * x); }

double value(Activation function, double x) {
  switch (function) {
    case Activation::silu:
      return x * sigma(x);
    case Activation::gelu_tanh:
      return x * sigma(inner(x));
    case Activation::gelu_erf:
      return x * share(x);
    case Activation::relu:
      return x > 0 ? x : 0;
    case Activation::tanh:
      return std::tanh(x);
    case Activation::sigmoid:
      return sigma(x);
    case Activation::identity:
      return x;
  }
  return 0;
}

double slope(Activation function, double x) {
  switch (function) {
    case Activation::silu:
      return sigma(x) * (1 + x * sigma(-x));
    case Activation::gelu_tanh: {
      const double s = sigma(inner(x));
      return s + x * s * sigma(-inner(x)) * inner_slope(x);
    }
    case Activation::gelu_erf:
      return share(x) + x * bell(x);
    case Activation::relu:
      return x > 0 ? 1 : 0;
    case Activation::tanh:
      return 1 - std::tanh(x) * std::tanh(x);
    case Activation::sigmoid:
      return sigma(x) * sigma(-x);
    case Activation::identity:
      return 1;
  }
  return 0;
}

// out = work(in...) in f64.
template <class Work, class... In>
Tensor map_f64(Tensor out, const Work& work, const In&... in) {
  const std::span<double> to = out.writable_numbers<double>();
  for (std::size_t i = 0; i < to.size(); ++i) to[i] = work(in.template numbers<double>()[i]...);
  return out;
}

// The same in f32, by a kernel that takes rows of each.
template <class Work, class... In>
Tensor map_f32(Tensor out, const Work& work, const In&... in) {
  const auto to = writable_rows<float>(out);
  over_rows(to.shape[0], to.shape[1], [&](int64_t first, int64_t count) {
    work(rows_of<float>(in).rows(first, count)..., to.rows(first, count));
  });
  return out;
}

}  // namespace

Tensor activate(Activation function, Tensor x) {
  const bool wide = in_f64("activate", {&x});
  const bool recorded = recording({&x});
  Tensor place = recorded ? Tensor::like(x) : place_of(x);
  Tensor made = wide
                    ? map_f64(
                          std::move(place), [&](double v) { return value(function, v); }, x)
                    : map_f32(
                          std::move(place),
                          [&](const auto& in, const auto& out) { activate(function, in, out); }, x);
  if (!recorded) return made;
  return record(
      std::move(made), {&x}, [function, wide, x = x.detach()](const Tensor& g, InputGradients& to) {
        to.add(0, wide ? map_f64(
                             Tensor::like(g),
                             [&](double v, double dy) { return dy * slope(function, v); }, x, g)
                       : map_f32(
                             Tensor::like(g),
                             [&](const auto& in, const auto& dy, const auto& dx) {
                               activate_gradient(function, in, dy, dx);
                             },
                             x, g));
      });
}

Tensor activate_gated(Activation function, const Tensor& gate, Tensor up) {
  const bool wide = in_f64("activate_gated", {&gate, &up});
  require_same_shape("activate_gated", gate, up);
  const bool recorded = recording({&gate, &up});
  Tensor place = recorded ? Tensor::like(up) : place_of(up);
  Tensor made = wide ? map_f64(
                           std::move(place),
                           [&](double g, double u) { return value(function, g) * u; }, gate, up)
                     : map_f32(
                           std::move(place),
                           [&](const auto& g, const auto& u, const auto& out) {
                             activate_gated(function, g, u, out);
                           },
                           gate, up);
  if (!recorded) return made;
  return record(
      std::move(made), {&gate, &up},
      [function, wide, gate = gate.detach(), up = up.detach()](const Tensor& dy,
                                                               InputGradients& to) {
        Tensor dgate = Tensor::like(dy), dup = Tensor::like(dy);
        if (wide) {
          dgate = map_f64(
              std::move(dgate),
              [&](double g, double u, double d) { return d * u * slope(function, g); }, gate, up,
              dy);
          dup = map_f64(
              std::move(dup), [&](double g, double d) { return d * value(function, g); }, gate, dy);
        } else {
          const auto g = rows_of<float>(gate), u = rows_of<float>(up), d = rows_of<float>(dy);
          const auto to_gate = writable_rows<float>(dgate), to_up = writable_rows<float>(dup);
          over_rows(g.shape[0], g.shape[1], [&](int64_t first, int64_t count) {
            activate_gated_gradient(function, g.rows(first, count), u.rows(first, count),
                                    d.rows(first, count), to_gate.rows(first, count),
                                    to_up.rows(first, count));
          });
        }
        to.add(0, std::move(dgate));
        to.add(1, std::move(dup));
      });
}

Tensor softcap(Tensor x, float cap) {
  require(cap > 0, "softcap: a cap of {} is not positive", cap);
  const bool wide = in_f64("softcap", {&x});
  const bool recorded = recording({&x});
  Tensor place = recorded ? Tensor::like(x) : place_of(x);
  Tensor made = wide ? map_f64(
                           std::move(place), [&](double v) { return std::tanh(v / cap) * cap; }, x)
                     : map_f32(
                           std::move(place),
                           [&](const auto& in, const auto& out) { softcap(in, cap, out); }, x);
  if (!recorded) return made;
  return record(std::move(made), {&x},
                [cap, wide, x = x.detach()](const Tensor& g, InputGradients& to) {
                  to.add(0, wide ? map_f64(
                                       Tensor::like(g),
                                       [&](double v, double dy) {
                                         return dy * slope(Activation::tanh, v / double{cap});
                                       },
                                       x, g)
                                 : map_f32(
                                       Tensor::like(g),
                                       [&](const auto& in, const auto& dy, const auto& dx) {
                                         softcap_gradient(in, cap, dy, dx);
                                       },
                                       x, g));
                });
}

}  // namespace regard
