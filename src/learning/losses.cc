#include "learning/losses.h"

#include <cmath>
#include <utility>
#include <vector>

#include "kernels/gradients.h"
#include "learning/reductions.h"
#include "ops/ops.h"
#include "ops/rows.h"

namespace regard {
namespace {

// What forward and backward both need; the tape keeps it.
struct Rows {
  Tensor logits;  // [rows, classes]
  std::vector<int32_t> targets;
  std::vector<float> weights;
  double normaliser;
  double smoothing;

  Smoothed distribution() const {
    return {static_cast<float>(1 - smoothing),
            static_cast<float>(smoothing / static_cast<double>(logits.shape(1)))};
  }
};

// Losses and log Σ exp of the rows that count, both [rows].
void forward_f64(const Rows& rows, Tensor& losses, Tensor& lse) {
  const auto x = rows.logits.view<double, 2>();
  const int64_t classes = x.shape[1];
  for (int64_t row = 0; row < x.shape[0]; ++row) {
    const auto at = static_cast<std::size_t>(row);
    double& loss = losses.writable_numbers<double>()[at];
    double& whole = lse.writable_numbers<double>()[at];
    loss = whole = 0;
    if (rows.weights[at] == 0) continue;
    const double most = *std::max_element(x[row].data, x[row].data + classes);
    double all = 0, sum = 0;
    for (int64_t i = 0; i < classes; ++i) {
      all += std::exp(x(row, i) - most);
      sum += x(row, i);
    }
    whole = most + std::log(all);
    loss = whole - (1 - rows.smoothing) * x(row, rows.targets[at]);
    if (rows.smoothing > 0) loss -= rows.smoothing / static_cast<double>(classes) * sum;
  }
}

void backward_f64(const Rows& rows, const Tensor& lse, double g, Tensor& dx) {
  const auto x = rows.logits.view<double, 2>();
  const auto out = dx.writable<double, 2>();
  const double each = rows.smoothing / static_cast<double>(x.shape[1]);
  for (int64_t row = 0; row < x.shape[0]; ++row) {
    const auto at = static_cast<std::size_t>(row);
    const double factor = rows.weights[at] == 0 ? 0 : g * rows.weights[at] / rows.normaliser;
    for (int64_t i = 0; i < x.shape[1]; ++i) {
      const double q = each + (i == rows.targets[at] ? 1 - rows.smoothing : 0);
      out(row, i) =
          factor == 0 ? 0 : factor * (std::exp(x(row, i) - lse.numbers<double>()[at]) - q);
    }
  }
}

void forward_f32(const Rows& rows, Tensor& losses, Tensor& lse) {
  const auto x = rows.logits.view<float, 2>();
  float* const to_losses = losses.writable_numbers<float>().data();
  float* const to_lse = lse.writable_numbers<float>().data();
  over_rows(x.shape[0], x.shape[1], [&](int64_t first, int64_t count) {
    cross_entropy(x.rows(first, count), rows.targets.data() + first, rows.weights.data() + first,
                  rows.distribution(), to_losses + first, to_lse + first);
  });
}

void backward_f32(const Rows& rows, const Tensor& lse, double g, Tensor& dx) {
  const auto x = rows.logits.view<float, 2>();
  const auto out = dx.writable<float, 2>();
  const float* const whole = lse.numbers<float>().data();
  std::vector<float> factors(rows.weights.size());
  for (std::size_t row = 0; row < factors.size(); ++row) {
    if (rows.weights[row] == 0) continue;
    factors[row] = static_cast<float>(g * double{rows.weights[row]} / rows.normaliser);
  }
  over_rows(x.shape[0], x.shape[1], [&](int64_t first, int64_t count) {
    cross_entropy_gradient(x.rows(first, count), rows.targets.data() + first,
                           factors.data() + first, rows.distribution(), whole + first,
                           out.rows(first, count));
  });
}

Rows made_ready(const Tensor& logits, std::span<const int32_t> targets,
                const CrossEntropyOptions& options) {
  require(logits.rank() == 2 && std::ssize(targets) == logits.shape(0),
          "cross_entropy: {} targets for logits {}, which must be [rows, classes]", targets.size(),
          logits);
  require(options.weights.empty() || options.weights.size() == targets.size(),
          "cross_entropy: {} weights for {} rows", options.weights.size(), targets.size());
  require(options.smoothing >= 0 && options.smoothing < 1,
          "cross_entropy: smoothing {} is not in [0, 1)", options.smoothing);
  require(options.normaliser >= 0 && std::isfinite(options.normaliser),
          "cross_entropy: normaliser {} is not positive", options.normaliser);
  Rows rows{logits.detach(),
            {targets.begin(), targets.end()},
            {options.weights.begin(), options.weights.end()},
            options.normaliser,
            double{options.smoothing}};
  if (rows.weights.empty()) rows.weights.assign(targets.size(), 1.0f);
  double sum = 0;
  for (std::size_t row = 0; row < targets.size(); ++row) {
    const float weight = rows.weights[row];
    require(weight >= 0 && std::isfinite(weight),
            "cross_entropy: weight {} of row {} is not a positive number or 0", weight, row);
    sum += double{weight};
    if (weight == 0) {
      rows.targets[row] = 0;
      continue;
    }
    require(targets[row] >= 0 && targets[row] < logits.shape(1),
            "cross_entropy: target {} of row {} is not in 0 .. {}", targets[row], row,
            logits.shape(1) - 1);
  }
  if (rows.normaliser == 0) rows.normaliser = sum > 0 ? sum : 1;
  return rows;
}

template <class T>
Tensor weighed_sum(const Rows& rows, const Tensor& losses) {
  double sum = 0;
  for (std::size_t row = 0; row < rows.weights.size(); ++row) {
    if (rows.weights[row] != 0) {
      sum += double{rows.weights[row]} * double{losses.numbers<T>()[row]};
    }
  }
  const T made = static_cast<T>(sum / rows.normaliser);
  return Tensor::of(&made, {1});
}

}  // namespace

CrossEntropy cross_entropy(const Tensor& logits, std::span<const int32_t> targets,
                           const CrossEntropyOptions& options) {
  const bool wide = in_f64("cross_entropy", {&logits});
  Rows rows = made_ready(logits, targets, options);
  Tensor losses({logits.shape(0)}, logits.dtype()), lse = Tensor::like(losses);
  wide ? forward_f64(rows, losses, lse) : forward_f32(rows, losses, lse);
  Tensor loss = wide ? weighed_sum<double>(rows, losses) : weighed_sum<float>(rows, losses);
  if (!recording({&logits})) return {std::move(loss), std::move(losses)};
  loss = record(std::move(loss), {&logits},
                [rows = std::move(rows), lse, wide](const Tensor& g, InputGradients& to) {
                  Tensor dx = Tensor::like(rows.logits);
                  if (wide) {
                    backward_f64(rows, lse, g.numbers<double>()[0], dx);
                  } else {
                    backward_f32(rows, lse, double{g.numbers<float>()[0]}, dx);
                  }
                  to.add(0, std::move(dx));
                });
  return {std::move(loss), std::move(losses)};
}

Tensor mean_squared_error(const Tensor& a, const Tensor& b) {
  const Tensor difference = sub(a, b);
  return mean(mul(difference, difference));
}

}  // namespace regard
