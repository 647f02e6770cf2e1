// Rows by index, and rows added back by index.
//
// A sum of rows that fall on one place takes them in the order of their indices: threads share the
// columns, so that each sum has one owner.
#include <cstring>
#include <utility>
#include <vector>

#include "ops/ops.h"
#include "ops/rows.h"

namespace regard {
namespace {

constexpr int64_t kColumnsPerTask = 64;

template <class Index>
void require_rows_of(const char* call, std::span<const Index> indices, int64_t rows) {
  for (const Index index : indices) {
    require(index >= 0 && index < rows, "{}: row {} is not in 0 .. {}", call, index, rows - 1);
  }
}

template <class T>
Tensor zeros_of(int64_t rows, int64_t width) {
  Tensor made({rows, width}, kDTypeOf<T>);
  T* const out = made.template writable_numbers<T>().data();
  over_rows(rows, width, [&](int64_t first, int64_t count) {
    std::fill_n(out + first * width, count * width, T{0});
  });
  return made;
}

// out[indices[n]] += weights[n] · rows[n], n ascending; weights null: 1.
template <class T>
void add_rows(View<const T, 2> rows, std::span<const int64_t> indices, const T* weights,
              View<T, 2> out) {
  const int64_t width = rows.shape[1], count = rows.shape[0];
  const auto add_columns = [&](int64_t task, int) {
    const int64_t first = task * kColumnsPerTask;
    const int64_t last = std::min(width, first + kColumnsPerTask);
    for (int64_t n = 0; n < count; ++n) {
      T* to = out[indices[static_cast<std::size_t>(n)]].data;
      const T* from = rows[n].data;
      if (weights == nullptr) {
        for (int64_t i = first; i < last; ++i) to[i] += from[i];
      } else {
        for (int64_t i = first; i < last; ++i) to[i] += weights[n] * from[i];
      }
    }
  };
  const int64_t tasks = (width + kColumnsPerTask - 1) / kColumnsPerTask;
  if (tasks == 1 || count * width <= kNumbersPerTask) {
    for (int64_t task = 0; task < tasks; ++task) add_columns(task, 0);
  } else {
    current_pool().parallel_for(tasks, add_columns);
  }
}

template <class T>
Tensor taken(const Tensor& x, std::span<const int64_t> indices) {
  const auto from = x.view<T, 2>();
  const int64_t width = from.shape[1];
  Tensor made({std::ssize(indices), width}, kDTypeOf<T>);
  const auto to = made.template writable<T, 2>();
  over_rows(to.shape[0], width, [&](int64_t first, int64_t count) {
    for (int64_t n = first; n < first + count; ++n) {
      const T* row = from[indices[static_cast<std::size_t>(n)]].data;
      std::copy_n(row, width, to[n].data);
    }
  });
  return made;
}

// `sums` (empty: zeros of that many places) with rows added to it where it lies.
template <class T>
Tensor added_up(Tensor sums, const Tensor& rows, std::span<const int64_t> indices, int64_t places) {
  if (!sums) sums = zeros_of<T>(places, rows.shape(1));
  add_rows<T>(rows.view<T, 2>(), indices, nullptr, sums.template writable<T, 2>());
  return sums;
}

// weights[n] · rows[n]
template <class T>
Tensor weighed(const Tensor& rows, const Tensor& weights) {
  Tensor made = Tensor::like(rows);
  const auto from = rows.view<T, 2>();
  const auto to = made.template writable<T, 2>();
  const T* const factors = weights.numbers<T>().data();
  for (int64_t n = 0; n < from.shape[0]; ++n) {
    for (int64_t i = 0; i < from.shape[1]; ++i) to(n, i) = factors[n] * from(n, i);
  }
  return made;
}

// Σ a[n] b[n] of each row, one chain.
template <class T>
Tensor dots(const Tensor& a, const Tensor& b) {
  const auto left = a.view<T, 2>(), right = b.view<T, 2>();
  Tensor made({left.shape[0]}, kDTypeOf<T>);
  for (int64_t n = 0; n < left.shape[0]; ++n) {
    T sum = 0;
    for (int64_t i = 0; i < left.shape[1]; ++i) sum += left(n, i) * right(n, i);
    made.template writable_numbers<T>()[static_cast<std::size_t>(n)] = sum;
  }
  return made;
}

template <class T>
void scatter(const Tensor& x, const Tensor& rows, std::span<const int64_t> indices,
             const Tensor& weights, Tensor& made) {
  const auto from = x.numbers<T>();
  const auto to = made.template writable_numbers<T>();
  if (from.data() != to.data()) std::ranges::copy(from, to.begin());
  add_rows<T>(rows.view<T, 2>(), indices, weights.numbers<T>().data(),
              made.template writable<T, 2>());
}

}  // namespace

Tensor embedding(const PackedMatrix& table, std::span<const int32_t> ids) {
  require_rows_of("embedding", ids, table.outputs());
  Tensor x({static_cast<int64_t>(ids.size()), table.inputs()});
  const auto rows = x.writable<float, 2>();
  over_rows(rows.shape[0], rows.shape[1], [&](int64_t first, int64_t count) {
    for (int64_t row = first; row < first + count; ++row) table.row(ids[row], rows[row].data);
  });
  return x;
}

Tensor embedding(const Tensor& table, std::span<const int32_t> ids) {
  const std::vector<int64_t> indices(ids.begin(), ids.end());
  return gather(table, indices);
}

Tensor gather(const Tensor& x, std::span<const int64_t> indices) {
  const bool wide = in_f64("gather", {&x});
  require(x.rank() == 2, "gather: {} has no rows to choose from; it must be [rows, width]", x);
  require_rows_of("gather", indices, x.shape(0));
  Tensor made = wide ? taken<double>(x, indices) : taken<float>(x, indices);
  if (!recording({&x})) return made;
  return record(std::move(made), {&x},
                [wide, places = x.shape(0), chosen = std::vector(indices.begin(), indices.end())](
                    const Tensor& g, InputGradients& to) {
                  // A large table is neither cleared nor walked for the few rows of a step.
                  Tensor sums = to.take(0);
                  to.add(0, wide ? added_up<double>(std::move(sums), g, chosen, places)
                                 : added_up<float>(std::move(sums), g, chosen, places));
                });
}

Tensor scatter_add(Tensor x, const Tensor& rows, std::span<const int64_t> indices,
                   const Tensor& weights) {
  const bool wide = in_f64("scatter_add", {&x, &rows, &weights});
  require(x.rank() == 2 && rows.rank() == 2 && weights.rank() == 1 &&
              std::ssize(indices) == rows.shape(0) && weights.shape(0) == rows.shape(0) &&
              x.shape(1) == rows.shape(1),
          "scatter_add: {} indices and weights {} for {} into {}", indices.size(), weights, rows,
          x);
  require_rows_of("scatter_add", indices, x.shape(0));
  const bool recorded = recording({&x, &rows, &weights});
  Tensor made = recorded ? Tensor::like(x) : place_of(x);
  wide ? scatter<double>(x, rows, indices, weights, made)
       : scatter<float>(x, rows, indices, weights, made);
  if (!recorded) return made;
  return record(
      std::move(made), {&x, &rows, &weights},
      [wide, rows = rows.detach(), weights = weights.detach(),
       chosen = std::vector(indices.begin(), indices.end())](const Tensor& g, InputGradients& to) {
        to.add(0, g);
        const Tensor back = wide ? taken<double>(g, chosen) : taken<float>(g, chosen);
        if (to.wants(1)) {
          to.add(1, wide ? weighed<double>(back, weights) : weighed<float>(back, weights));
        }
        if (to.wants(2)) to.add(2, wide ? dots<double>(back, rows) : dots<float>(back, rows));
      });
}

Tensor scatter_add(Tensor x, const Tensor& rows, std::span<const int64_t> indices,
                   std::span<const float> weights) {
  return scatter_add(std::move(x), rows, indices, tensor_of(weights));
}

Tensor zeros(Tensor::Extents shape, DType dtype) {
  Tensor made(shape, dtype);
  if (in_f64("zeros", {&made})) {
    std::ranges::fill(made.writable_numbers<double>(), 0.0);
  } else {
    std::ranges::fill(made.writable_numbers<float>(), 0.0f);
  }
  return made;
}

}  // namespace regard
