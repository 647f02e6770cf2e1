// Softmax, its logarithm, and the logarithm of the sum of exponentials, over the last axis. f64 has
// the formulas.
#include <cmath>
#include <limits>
#include <utility>

#include "kernels/gradients.h"
#include "ops/ops.h"
#include "ops/rows.h"

namespace regard {
namespace {

constexpr double kNothing = -std::numeric_limits<double>::infinity();

double log_sum_exp_f64(const double* x, int64_t width) {
  const double most = width > 0 ? *std::max_element(x, x + width) : kNothing;
  if (most == kNothing) return kNothing;
  double sum = 0;
  for (int64_t i = 0; i < width; ++i) sum += std::exp(x[i] - most);
  return most + std::log(sum);
}

// Calls kernel(rows of each of in, rows of out) on all threads.
template <class Kernel, class... In>
void run_f32(Tensor& out, const Kernel& kernel, const In&... in) {
  const auto to = writable_rows<float>(out);
  over_rows(to.shape[0], to.shape[1], [&](int64_t first, int64_t count) {
    kernel(rows_of<float>(in).rows(first, count)..., to.rows(first, count));
  });
}

// log = x - log Σ exp(x), or its exponential: zeros for a row of -inf.
void softmax_f64(const Tensor& x, bool log, Tensor& y) {
  const auto in = rows_of<double>(x);
  const auto out = writable_rows<double>(y);
  for (int64_t row = 0; row < in.shape[0]; ++row) {
    const double whole = log_sum_exp_f64(in[row].data, in.shape[1]);
    for (int64_t i = 0; i < in.shape[1]; ++i) {
      const double v = in(row, i) - whole;
      out(row, i) = log ? v : (whole == kNothing ? 0 : std::exp(v));
    }
  }
}

Tensor softmax_gradient_f64(const Tensor& y, bool log, const Tensor& dy) {
  Tensor dx = Tensor::like(y);
  const auto made = rows_of<double>(y), back = rows_of<double>(dy);
  const auto out = writable_rows<double>(dx);
  for (int64_t row = 0; row < made.shape[0]; ++row) {
    double sum = 0;
    for (int64_t i = 0; i < made.shape[1]; ++i) {
      sum += log ? back(row, i) : made(row, i) * back(row, i);
    }
    for (int64_t i = 0; i < made.shape[1]; ++i) {
      out(row, i) =
          log ? back(row, i) - std::exp(made(row, i)) * sum : made(row, i) * (back(row, i) - sum);
    }
  }
  return dx;
}

Tensor normalise(const char* call, Tensor x, bool log) {
  const bool wide = in_f64(call, {&x});
  const bool recorded = recording({&x});
  Tensor made = recorded ? Tensor::like(x) : place_of(x);
  if (wide) {
    softmax_f64(x, log, made);
  } else {
    run_f32(
        made,
        [&](const auto& in, const auto& out) { log ? log_softmax(in, out) : softmax(in, out); }, x);
  }
  if (!recorded) return made;
  const Tensor y = made;
  return record(std::move(made), {&x}, [y, log, wide](const Tensor& dy, InputGradients& to) {
    if (wide) return to.add(0, softmax_gradient_f64(y, log, dy));
    Tensor dx = Tensor::like(y);
    run_f32(
        dx,
        [&](const auto& of, const auto& back, const auto& out) {
          log ? log_softmax_gradient(of, back, out) : softmax_gradient(of, back, out);
        },
        y, dy);
    to.add(0, std::move(dx));
  });
}

}  // namespace

Tensor softmax(Tensor x) { return normalise("softmax", std::move(x), false); }
Tensor log_softmax(Tensor x) { return normalise("log_softmax", std::move(x), true); }

Tensor log_sum_exp(const Tensor& x) {
  const bool wide = in_f64("log_sum_exp", {&x});
  const int64_t rows = rows_in(x), width = width_of(x);
  Tensor sums({rows}, x.dtype());
  if (wide) {
    const auto in = rows_of<double>(x);
    for (int64_t row = 0; row < rows; ++row) {
      sums.writable_numbers<double>()[row] = log_sum_exp_f64(in[row].data, width);
    }
  } else {
    const auto in = rows_of<float>(x);
    float* const out = sums.writable_numbers<float>().data();
    over_rows(rows, width, [&](int64_t first, int64_t count) {
      log_sum_exp(in.rows(first, count), out + first);
    });
  }
  if (!recording({&x})) return sums;
  const Tensor s = sums;
  return record(std::move(sums), {&x}, [s, x = x.detach(), wide](const Tensor& ds, auto& to) {
    Tensor dx = Tensor::like(x);
    if (wide) {
      const auto in = rows_of<double>(x);
      const auto out = writable_rows<double>(dx);
      for (int64_t row = 0; row < in.shape[0]; ++row) {
        const double whole = s.numbers<double>()[row], back = ds.template numbers<double>()[row];
        for (int64_t i = 0; i < in.shape[1]; ++i) {
          out(row, i) = whole == kNothing ? 0 : back * std::exp(in(row, i) - whole);
        }
      }
    } else {
      const auto in = rows_of<float>(x);
      const auto out = writable_rows<float>(dx);
      const float* const whole = s.numbers<float>().data();
      const float* const back = ds.template numbers<float>().data();
      over_rows(in.shape[0], in.shape[1], [&](int64_t first, int64_t count) {
        log_sum_exp_gradient(in.rows(first, count), whole + first, back + first,
                             out.rows(first, count));
      });
    }
    to.add(0, std::move(dx));
  });
}

}  // namespace regard
