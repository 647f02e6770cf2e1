// RMSNorm and LayerNorm over the last axis. f64 has the formulas.
#include <cmath>
#include <utility>
#include <vector>

#include "kernels/gradients.h"
#include "ops/ops.h"
#include "ops/rows.h"

namespace regard {
namespace {

// The two norms differ in the mean that is taken away, which RMSNorm takes for 0.
enum class Centre { zero, mean };

// One row made ready: h = (x - centre) r.
struct Normalised {
  std::vector<double> h;
  double r;
};
Normalised normalise(const double* x, int64_t width, Centre centre, double epsilon) {
  Normalised row{{x, x + width}, 0};
  const auto count = static_cast<double>(width);
  if (centre == Centre::mean) {
    double sum = 0;
    for (const double v : row.h) sum += v;
    for (double& v : row.h) v -= sum / count;
  }
  double squares = 0;
  for (const double v : row.h) squares += v * v;
  row.r = 1 / std::sqrt(squares / count + epsilon);
  for (double& v : row.h) v *= row.r;
  return row;
}

void norm_f64(const Tensor& x, const Tensor& gain, const Tensor& shift, Centre centre,
              double epsilon, Tensor& y) {
  const auto in = rows_of<double>(x);
  const auto out = writable_rows<double>(y);
  for (int64_t row = 0; row < in.shape[0]; ++row) {
    const Normalised one = normalise(in[row].data, in.shape[1], centre, epsilon);
    for (int64_t i = 0; i < in.shape[1]; ++i) {
      out(row, i) = one.h[i] * gain.numbers<double>()[i];
      if (shift) out(row, i) += shift.numbers<double>()[i];
    }
  }
}

// dx = r (gain dy - mean(gain dy) - h mean(gain dy h)), without the first mean for RMSNorm.
// sums [2 width]: dy h and dy.
void gradient_f64(const Tensor& x, const Tensor& gain, Centre centre, double epsilon,
                  const Tensor& dy, Tensor& dx, Tensor& sums) {
  const auto in = rows_of<double>(x), back = rows_of<double>(dy);
  const auto out = writable_rows<double>(dx);
  const int64_t width = in.shape[1];
  const std::span<double> to = sums.writable_numbers<double>();
  std::ranges::fill(to, 0.0);
  for (int64_t row = 0; row < in.shape[0]; ++row) {
    const Normalised one = normalise(in[row].data, width, centre, epsilon);
    double level = 0, pull = 0;
    for (int64_t i = 0; i < width; ++i) {
      const double d = back(row, i) * gain.numbers<double>()[i];
      level += d / static_cast<double>(width);
      pull += d * one.h[i] / static_cast<double>(width);
      to[i] += back(row, i) * one.h[i];
      to[width + i] += back(row, i);
    }
    if (centre == Centre::zero) level = 0;
    for (int64_t i = 0; i < width; ++i) {
      const double d = back(row, i) * gain.numbers<double>()[i];
      out(row, i) = one.r * (d - level - one.h[i] * pull);
    }
  }
}

void norm_f32(const Tensor& x, const Tensor& gain, const Tensor& shift, Centre centre,
              float epsilon, Tensor& y) {
  const auto in = rows_of<float>(x);
  const auto out = writable_rows<float>(y);
  const float* const gains = gain.numbers<float>().data();
  const float* const shifts = shift ? shift.numbers<float>().data() : nullptr;
  over_rows(out.shape[0], out.shape[1], [&](int64_t first, int64_t count) {
    if (centre == Centre::zero) {
      rms_norm(in.rows(first, count), gains, epsilon, out.rows(first, count));
    } else {
      layer_norm(in.rows(first, count), gains, shifts, epsilon, out.rows(first, count));
    }
  });
}

Tensor gradient_f32(const Tensor& x, const Tensor& gain, Centre centre, float epsilon,
                    const Tensor& dy, Tensor& dx) {
  const auto in = rows_of<float>(x), back = rows_of<float>(dy);
  const auto out = writable_rows<float>(dx);
  const int64_t width = in.shape[1];
  const float* const gains = gain.numbers<float>().data();
  return block_sums<float>(in.shape[0], 2 * width, [&](int64_t first, int64_t count, float* sums) {
    const auto some = in.rows(first, count), backs = back.rows(first, count);
    const auto to = out.rows(first, count);
    if (centre == Centre::zero) {
      rms_norm_gradient(some, gains, epsilon, backs, to, sums);
    } else {
      layer_norm_gradient(some, gains, epsilon, backs, to, sums, sums + width);
    }
  });
}

Tensor norm(const char* call, const Tensor& x, const Tensor& gain, const Tensor& shift,
            Centre centre, float epsilon) {
  const bool wide = in_f64(call, {&x, &gain, &shift});
  require(gain.size() == width_of(x) && (!shift || shift.size() == gain.size()),
          "{}: a gain {} and a shift {} for {}", call, gain, shift, x);
  Tensor made = Tensor::like(x);
  if (wide) {
    norm_f64(x, gain, shift, centre, epsilon, made);
  } else {
    norm_f32(x, gain, shift, centre, epsilon, made);
  }
  if (!recording({&x, &gain, &shift})) return made;
  return record(std::move(made), {&x, &gain, &shift},
                [x = x.detach(), gain = gain.detach(), shift = shift.detach(), centre, epsilon,
                 wide](const Tensor& dy, InputGradients& to) {
                  Tensor dx = Tensor::like(x);
                  Tensor sums;  // [blocks, 2 width]
                  if (wide) {
                    sums = Tensor({1, 2 * gain.size()}, DType::f64);
                    gradient_f64(x, gain, centre, epsilon, dy, dx, sums);
                  } else {
                    sums = gradient_f32(x, gain, centre, epsilon, dy, dx);
                  }
                  to.add(0, std::move(dx));
                  const auto add = wide ? add_blocks<double> : add_blocks<float>;
                  if (to.wants(1)) to.add(1, add(sums, 0, to.take(1), gain.shape()));
                  if (to.wants(2)) to.add(2, add(sums, gain.size(), to.take(2), shift.shape()));
                });
}

}  // namespace

Tensor rms_norm(const Tensor& x, const Tensor& gain, float epsilon) {
  return norm("rms_norm", x, gain, {}, Centre::zero, epsilon);
}

Tensor layer_norm(const Tensor& x, const Tensor& gain, const Tensor& shift, float epsilon) {
  return norm("layer_norm", x, gain, shift, Centre::mean, epsilon);
}

}  // namespace regard
