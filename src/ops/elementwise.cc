// Sums, differences and products, number by number. The second operand may be one row that meets
// every row, or one number; its gradient is then the sum over whatever it met.
#include "kernels/elementwise.h"

#include <utility>

#include "ops/ops.h"
#include "ops/rows.h"

namespace regard {
namespace {

enum class Fit { same, row, number };

Fit fit(const char* call, const Tensor& a, const Tensor& b) {
  if (same_shape(a, b)) return Fit::same;
  const bool row = b.rank() == 1 && b.shape(0) == width_of(a);
  require(row || (b.rank() == 1 && b.shape(0) == 1),
          "{}: {} and {} differ, and the second is neither one row nor one number", call, a, b);
  return row ? Fit::row : Fit::number;
}

template <class T, class Work>
void over_pairs(const Tensor& a, const Tensor& b, Fit how, Tensor& out, const Work& work) {
  const auto left = rows_of<T>(a);
  const T* const right = b.numbers<T>().data();
  const auto to = writable_rows<T>(out);
  const int64_t width = left.shape[1];
  over_rows(left.shape[0], width, [&](int64_t first, int64_t count) {
    for (int64_t row = first; row < first + count; ++row) {
      const T* x = left[row].data;
      T* y = to[row].data;
      if (how == Fit::number) {
        const T one = *right;
        for (int64_t i = 0; i < width; ++i) y[i] = work(x[i], one);
      } else {
        const T* z = how == Fit::same ? right + row * width : right;
        for (int64_t i = 0; i < width; ++i) y[i] = work(x[i], z[i]);
      }
    }
  });
}

// work(a, b) in whichever precision they have.
template <class Work>
Tensor combine(const char* call, const Tensor& a, const Tensor& b, Fit how, Tensor out,
               const Work& work) {
  if (in_f64(call, {&a, &b})) {
    over_pairs<double>(a, b, how, out, work);
  } else {
    over_pairs<float>(a, b, how, out, work);
  }
  return out;
}

Tensor product(const Tensor& a, const Tensor& b, Fit how) {
  return combine("mul", a, b, how, Tensor::like(a), [](auto x, auto y) { return x * y; });
}

template <class T>
Tensor sum_of(const Tensor& row) {
  T sum = 0;
  for (const T x : row.numbers<T>()) sum += x;
  return Tensor::of(&sum, {1});
}

// Gives the second operand its gradient: `full`, shaped like the first, summed over what it met.
void give_second(Tensor full, Fit how, InputGradients& to) {
  if (how == Fit::same) return to.add(1, std::move(full));
  if (how == Fit::row) return to.add(1, column_sums(full, to.take(1)));
  const Tensor row = column_sums(full);
  to.add(1, row.dtype() == DType::f64 ? sum_of<double>(row) : sum_of<float>(row));
}

template <class T>
Tensor sums_of_columns(const Tensor& x, Tensor so_far) {
  const auto in = rows_of<T>(x);
  const int64_t width = in.shape[1];
  const Tensor sums = block_sums<T>(in.shape[0], width, [&](int64_t first, int64_t count, T* to) {
    for (int64_t row = first; row < first + count; ++row) {
      const T* from = in[row].data;
      for (int64_t i = 0; i < width; ++i) to[i] += from[i];
    }
  });
  const int64_t shape[] = {width};
  return add_blocks<T>(sums, 0, std::move(so_far), shape);
}

}  // namespace

Tensor column_sums(const Tensor& x, Tensor so_far) {
  return in_f64("column_sums", {&x}) ? sums_of_columns<double>(x, std::move(so_far))
                                     : sums_of_columns<float>(x, std::move(so_far));
}

Tensor add(const Tensor& a, Tensor b) {
  if (a.size() < b.size() || a.rank() < b.rank()) return add(b, a);
  const bool wide = in_f64("add", {&a, &b});
  const Fit how = fit("add", a, b);
  const bool recorded = recording({&a, &b});
  Tensor sum = how == Fit::same && !recorded ? place_of(b) : Tensor::like(a);
  if (how == Fit::same && !wide) {
    const auto left = rows_of<float>(a), right = rows_of<float>(b);
    const auto out = writable_rows<float>(sum);
    over_rows(out.shape[0], out.shape[1], [&](int64_t first, int64_t count) {
      regard::add(left.rows(first, count), right.rows(first, count), out.rows(first, count));
    });
  } else {
    sum = combine("add", a, b, how, std::move(sum), [](auto x, auto y) { return x + y; });
  }
  if (!recorded) return sum;
  return record(std::move(sum), {&a, &b}, [how](const Tensor& g, InputGradients& to) {
    to.add(0, g);
    if (to.wants(1)) give_second(g, how, to);
  });
}

Tensor sub(const Tensor& a, const Tensor& b) {
  const Fit how = fit("sub", a, b);
  Tensor made = combine("sub", a, b, how, Tensor::like(a), [](auto x, auto y) { return x - y; });
  if (!recording({&a, &b})) return made;
  return record(std::move(made), {&a, &b}, [how](const Tensor& g, InputGradients& to) {
    to.add(0, g);
    if (to.wants(1)) give_second(scale(g, -1), how, to);
  });
}

Tensor mul(const Tensor& a, const Tensor& b) {
  if (a.size() < b.size() || a.rank() < b.rank()) return mul(b, a);
  const Fit how = fit("mul", a, b);
  Tensor made = product(a, b, how);
  if (!recording({&a, &b})) return made;
  return record(std::move(made), {&a, &b},
                [a = a.detach(), b = b.detach(), how](const Tensor& g, InputGradients& to) {
                  if (to.wants(0)) to.add(0, product(g, b, how));
                  if (to.wants(1)) give_second(product(g, a, Fit::same), how, to);
                });
}

Tensor scale(Tensor x, float factor) {
  const bool recorded = recording({&x});
  Tensor made = recorded ? Tensor::like(x) : place_of(x);
  if (in_f64("scale", {&x})) {
    const auto in = x.numbers<double>();
    std::ranges::transform(in, made.writable_numbers<double>().begin(),
                           [factor](double v) { return v * double{factor}; });
  } else {
    const auto in = rows_of<float>(x);
    const auto out = writable_rows<float>(made);
    over_rows(out.shape[0], out.shape[1], [&](int64_t first, int64_t count) {
      regard::scale(in.rows(first, count), factor, out.rows(first, count));
    });
  }
  if (!recorded) return made;
  return record(std::move(made), {&x},
                [factor](const Tensor& g, InputGradients& to) { to.add(0, scale(g, factor)); });
}

}  // namespace regard
