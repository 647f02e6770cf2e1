#include "learning/batch_norm.h"

#include <cmath>
#include <utility>
#include <vector>

#include "ops/ops.h"
#include "ops/rows.h"

namespace regard {
namespace {

// Columns go side by side, so that plain loops are vectors; sums over rows as everywhere.
template <class T>
struct Columns {
  std::vector<T> mean, r;  // r = 1 / sqrt(variance + epsilon)
};

template <class T>
void find(const Tensor& x, Phase phase, float epsilon, RunningStatistics& running, bool move,
          Columns<T>& columns) {
  const auto in = rows_of<T>(x);
  const int64_t rows = in.shape[0], width = in.shape[1];
  const auto size = static_cast<std::size_t>(width);
  std::vector<T> variance(size);
  columns.mean.resize(size);
  columns.r.resize(size);
  if (phase == Phase::eval) {
    std::ranges::copy(running.mean.numbers<T>(), columns.mean.begin());
    std::ranges::copy(running.variance.numbers<T>(), variance.begin());
  } else {
    const Tensor sums = column_sums(x);
    for (std::size_t i = 0; i < size; ++i) {
      columns.mean[i] = sums.numbers<T>()[i] / static_cast<T>(rows);
    }
    const T* const mean = columns.mean.data();
    const Tensor blocks = block_sums<T>(rows, width, [&](int64_t first, int64_t count, T* to) {
      for (int64_t row = first; row < first + count; ++row) {
        const T* from = in[row].data;
        for (int64_t i = 0; i < width; ++i) {
          const T d = from[i] - mean[i];
          to[i] += d * d;
        }
      }
    });
    const Tensor squares = add_blocks<T>(blocks, 0, {}, running.mean.shape());
    for (std::size_t i = 0; i < size; ++i) {
      variance[i] = squares.numbers<T>()[i] / static_cast<T>(rows);
    }
  }
  for (std::size_t i = 0; i < size; ++i) {
    columns.r[i] = T{1} / std::sqrt(variance[i] + static_cast<T>(epsilon));
  }
  if (!move || phase == Phase::eval) return;
  Tensor mean = Tensor::like(running.mean), spread = Tensor::like(running.variance);
  const T part = static_cast<T>(running.momentum);
  const T unbiased = static_cast<T>(rows) / static_cast<T>(rows - 1);
  for (std::size_t i = 0; i < size; ++i) {
    mean.writable_numbers<T>()[i] =
        (1 - part) * running.mean.numbers<T>()[i] + part * columns.mean[i];
    spread.writable_numbers<T>()[i] =
        (1 - part) * running.variance.numbers<T>()[i] + part * unbiased * variance[i];
  }
  running.mean = std::move(mean);
  running.variance = std::move(spread);
}

template <class T>
Tensor normalised(const Tensor& x, const Tensor& gain, const Tensor& shift,
                  const Columns<T>& columns) {
  Tensor made = Tensor::like(x);
  const auto in = rows_of<T>(x);
  const auto out = writable_rows<T>(made);
  const T* const gains = gain.numbers<T>().data();
  const T* const shifts = shift.numbers<T>().data();
  const T* const mean = columns.mean.data();
  const T* const r = columns.r.data();
  over_rows(in.shape[0], in.shape[1], [&](int64_t first, int64_t count) {
    for (int64_t row = first; row < first + count; ++row) {
      const T* from = in[row].data;
      T* to = out[row].data;
      for (int64_t i = 0; i < in.shape[1]; ++i) {
        to[i] = (from[i] - mean[i]) * r[i] * gains[i] + shifts[i];
      }
    }
  });
  return made;
}

// dshift = Σ dy, dgain = Σ dy h with h = (x - mean) r, and in training
// dx = gain r (dy - dshift / n - h dgain / n); in evaluation mean and r are constants.
template <class T>
void pull(const Tensor& x, const Tensor& gain, const Columns<T>& columns, Phase phase,
          const Tensor& dy, InputGradients& to) {
  const auto in = rows_of<T>(x), back = rows_of<T>(dy);
  const int64_t rows = in.shape[0], width = in.shape[1];
  const T* const mean = columns.mean.data();
  const T* const r = columns.r.data();
  const Tensor blocks = block_sums<T>(rows, 2 * width, [&](int64_t first, int64_t count, T* out) {
    for (int64_t row = first; row < first + count; ++row) {
      const T* from = in[row].data;
      const T* d = back[row].data;
      for (int64_t i = 0; i < width; ++i) {
        out[i] += d[i] * ((from[i] - mean[i]) * r[i]);
        out[width + i] += d[i];
      }
    }
  });
  const int64_t both[] = {2 * width};
  const Tensor sums = add_blocks<T>(blocks, 0, {}, both);
  if (to.wants(0)) {
    Tensor dx = Tensor::like(x);
    const auto out = writable_rows<T>(dx);
    const T* const gains = gain.numbers<T>().data();
    const T* const of_gain = sums.numbers<T>().data();
    const T* const of_shift = of_gain + width;
    const T share = phase == Phase::train ? T{1} / static_cast<T>(rows) : T{0};
    over_rows(rows, width, [&](int64_t first, int64_t count) {
      for (int64_t row = first; row < first + count; ++row) {
        const T* from = in[row].data;
        const T* d = back[row].data;
        T* here = out[row].data;
        for (int64_t i = 0; i < width; ++i) {
          const T h = (from[i] - mean[i]) * r[i];
          here[i] = gains[i] * r[i] * (d[i] - share * of_shift[i] - h * (share * of_gain[i]));
        }
      }
    });
    to.add(0, std::move(dx));
  }
  if (to.wants(1)) to.add(1, add_blocks<T>(blocks, 0, to.take(1), gain.shape()));
  if (to.wants(2)) to.add(2, add_blocks<T>(blocks, width, to.take(2), gain.shape()));
}

template <class T>
Tensor batch_norm_of(const Tensor& x, const Tensor& gain, const Tensor& shift,
                     RunningStatistics& running, float epsilon, Phase phase) {
  const bool recorded = recording({&x, &gain, &shift});
  Columns<T> columns;
  find(x, phase, epsilon, running, recorded, columns);
  Tensor made = normalised(x, gain, shift, columns);
  if (!recorded) return made;
  return record(
      std::move(made), {&x, &gain, &shift},
      [x = x.detach(), gain = gain.detach(), columns = std::move(columns), phase](
          const Tensor& dy, InputGradients& to) { pull(x, gain, columns, phase, dy, to); });
}

}  // namespace

RunningStatistics RunningStatistics::of_width(int64_t width, DType dtype) {
  RunningStatistics made;
  made.mean = zeros({width}, dtype);
  made.variance = zeros({width}, dtype);
  if (dtype == DType::f64) {
    std::ranges::fill(made.variance.writable_numbers<double>(), 1.0);
  } else {
    std::ranges::fill(made.variance.writable_numbers<float>(), 1.0f);
  }
  return made;
}

Tensor batch_norm(const Tensor& x, const Tensor& gain, const Tensor& shift,
                  RunningStatistics& running, float epsilon, Phase phase) {
  const bool wide = in_f64("batch_norm", {&x, &gain, &shift, &running.mean, &running.variance});
  const int64_t width = width_of(x);
  for (const Tensor* of :
       {&gain, &shift, &std::as_const(running.mean), &std::as_const(running.variance)}) {
    require(of->rank() == 1 && of->shape(0) == width, "batch_norm: {} for {}", *of, x);
  }
  require(phase == Phase::eval || rows_in(x) >= 2,
          "batch_norm: {} has one row; training needs two for a variance", x);
  return wide ? batch_norm_of<double>(x, gain, shift, running, epsilon, phase)
              : batch_norm_of<float>(x, gain, shift, running, epsilon, phase);
}

}  // namespace regard
