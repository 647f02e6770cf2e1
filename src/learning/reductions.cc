#include "learning/reductions.h"

#include <array>
#include <vector>

#include "ops/ops.h"
#include "ops/rows.h"

namespace regard {
namespace {

constexpr int64_t kBlock = 16384;

template <class T>
double sum_of(const T* x, int64_t count) {
  std::array<double, 16> lanes{};
  int64_t i = 0;
  for (; i + 16 <= count; i += 16) {
    for (int64_t lane = 0; lane < 16; ++lane) lanes[static_cast<std::size_t>(lane)] += x[i + lane];
  }
  for (int64_t lane = 0; i < count; ++i, ++lane) lanes[static_cast<std::size_t>(lane)] += x[i];
  for (std::size_t half = 8; half >= 1; half /= 2) {
    for (std::size_t lane = 0; lane < half; ++lane) lanes[lane] += lanes[lane + half];
  }
  return lanes[0];
}

template <class T>
Tensor sum_of_all(const Tensor& x) {
  const std::span<const T> numbers = x.numbers<T>();
  const int64_t count = std::ssize(numbers);
  std::vector<double> blocks(static_cast<std::size_t>((count + kBlock - 1) / kBlock));
  over_rows(std::ssize(blocks), kBlock, [&](int64_t first, int64_t some) {
    for (int64_t block = first; block < first + some; ++block) {
      blocks[static_cast<std::size_t>(block)] =
          sum_of(numbers.data() + block * kBlock, std::min(kBlock, count - block * kBlock));
    }
  });
  double total = 0;
  for (const double block : blocks) total += block;
  const T made = static_cast<T>(total);
  return Tensor::of(&made, {1});
}

template <class T>
Tensor sum_of_rows(const Tensor& x) {
  const auto in = rows_of<T>(x);
  Tensor made({in.shape[0]}, x.dtype());
  T* const out = made.template writable_numbers<T>().data();
  over_rows(in.shape[0], in.shape[1], [&](int64_t first, int64_t count) {
    for (int64_t row = first; row < first + count; ++row) {
      out[row] = static_cast<T>(sum_of(in[row].data, in.shape[1]));
    }
  });
  return made;
}

// The gradient of a sum, back over what was summed.
template <class T>
void spread(const Tensor& g, Over over, Tensor& x) {
  const auto out = writable_rows<T>(x);
  const T* const from = g.numbers<T>().data();
  over_rows(out.shape[0], out.shape[1], [&](int64_t first, int64_t count) {
    for (int64_t row = first; row < first + count; ++row) {
      if (over == Over::rows) {
        std::copy_n(from, out.shape[1], out[row].data);
      } else {
        std::fill_n(out[row].data, out.shape[1], from[over == Over::all ? 0 : row]);
      }
    }
  });
}

}  // namespace

Tensor sum(const Tensor& x, Over over) {
  const bool wide = in_f64("sum", {&x});
  Tensor made;
  if (over == Over::rows) {
    made = column_sums(x);
  } else if (over == Over::all) {
    made = wide ? sum_of_all<double>(x) : sum_of_all<float>(x);
  } else {
    made = wide ? sum_of_rows<double>(x) : sum_of_rows<float>(x);
  }
  if (!recording({&x})) return made;
  std::vector<int64_t> shape(x.shape().begin(), x.shape().end());
  return record(std::move(made), {&x},
                [over, wide, shape = std::move(shape)](const Tensor& g, InputGradients& to) {
                  Tensor back(Tensor::Shape(shape.data(), shape.size()), g.dtype());
                  wide ? spread<double>(g, over, back) : spread<float>(g, over, back);
                  to.add(0, std::move(back));
                });
}

Tensor mean(const Tensor& x, Over over) {
  const int64_t counted = over == Over::all    ? x.size()
                          : over == Over::rows ? rows_in(x)
                                               : width_of(x);
  require(counted > 0, "mean: {} has nothing to count", x);
  if (x.dtype() == DType::f64) {
    const double share = 1.0 / static_cast<double>(counted);
    return mul(sum(x, over), Tensor::of(&share, {1}));
  }
  const float share = 1.0f / static_cast<float>(counted);
  return scale(sum(x, over), share);
}

}  // namespace regard
