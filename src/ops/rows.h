// What operations share: a tensor seen as rows of its last axis, how rows are shared between
// threads, and sums over rows.
#pragma once

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <utility>

#include "base/check.h"
#include "tensor/pool.h"
#include "tensor/tape.h"

namespace regard {

// Are the numbers f64, for the formula, or f32, for the kernels? Throws Error for any other dtype,
// and unless all tensors that are not empty agree.
inline bool in_f64(const char* call, std::initializer_list<const Tensor*> tensors) {
  const Tensor* first = nullptr;
  for (const Tensor* x : tensors) {
    if (!*x) continue;
    require(x->dtype() == DType::f32 || x->dtype() == DType::f64,
            "{}: {} is neither f32 nor f64; cast() it", call, *x);
    if (first == nullptr) first = x;
    require(x->dtype() == first->dtype(), "{}: {} and {} differ in dtype; cast() one", call, *first,
            *x);
  }
  require(first != nullptr, "{}: an empty tensor", call);
  return first->dtype() == DType::f64;
}

inline int64_t width_of(const Tensor& x) { return x.rank() > 0 ? x.shape(x.rank() - 1) : 0; }
inline int64_t rows_in(const Tensor& x) {
  int64_t rows = 1;
  for (int axis = 0; axis + 1 < x.rank(); ++axis) rows *= x.shape(axis);
  return rows;
}

// x [..., width] as [rows, width].
template <class T>
View<const T, 2> rows_of(const Tensor& x) {
  return {x.numbers<T>().data(), {rows_in(x), width_of(x)}};
}
template <class T>
View<T, 2> writable_rows(Tensor& x) {
  return {x.writable_numbers<T>().data(), {rows_in(x), width_of(x)}};
}

inline bool same_shape(const Tensor& a, const Tensor& b) {
  return std::ranges::equal(a.shape(), b.shape());
}
inline void require_same_shape(const char* call, const Tensor& a, const Tensor& b) {
  require(same_shape(a, b), "{}: {} and {} differ", call, a, b);
}

// Storage for a result shaped like x, which its operation was given by value: x's own when nobody
// else needs it. Call it only where nothing is recorded.
inline Tensor place_of(const Tensor& x) { return x.sole_owner() ? x.detach() : Tensor::like(x); }

// Row kernels are shared out from this many numbers on; below, waking a thread costs more.
inline constexpr int64_t kNumbersPerTask = 8192;

// Calls work(first, count) for ranges that cover [0, rows), on the pool when it pays.
template <class Work>
void over_rows(int64_t rows, int64_t width, const Work& work) {
  ThreadPool& pool = current_pool();
  const int64_t block = std::max<int64_t>(1, kNumbersPerTask / std::max<int64_t>(1, width));
  if (pool.threads() == 1 || rows <= block) return work(int64_t{0}, rows);
  const int64_t tasks = (rows + block - 1) / block;
  pool.parallel_for(
      tasks, [&](int64_t task, int) { work(task * block, std::min(block, rows - task * block)); });
}

// Rows whose sums are one chain; the sums of such blocks are added in order.
inline constexpr int64_t kSumRows = 64;

// The sums of every block, [blocks, width], in an order that no thread changes: work(first, count,
// sums) adds the rows of one block in ascending order to its own sums, zero at first.
template <class T, class Work>
Tensor block_sums(int64_t rows, int64_t width, const Work& work) {
  const int64_t blocks = std::max<int64_t>(1, (rows + kSumRows - 1) / kSumRows);
  Tensor made({blocks, width}, kDTypeOf<T>);
  const View<T, 2> sums = made.template writable<T, 2>();
  std::fill_n(sums.data, sums.size(), T{0});
  const auto one = [&](int64_t block, int) {
    const int64_t first = block * kSumRows;
    if (first < rows) work(first, std::min(kSumRows, rows - first), sums[block].data);
  };
  if (rows * width <= kNumbersPerTask || current_pool().threads() == 1) {
    for (int64_t block = 0; block < blocks; ++block) one(block, 0);
  } else {
    current_pool().parallel_for(blocks, one);
  }
  return made;
}

// Columns [first, first + numbers of shape) of those sums, the blocks added in order to what is
// there: `so_far` is InputGradients::take()'s, shaped like the result or empty. So passes over
// whole blocks of rows give, together, the bits of one pass.
template <class T>
Tensor add_blocks(const Tensor& sums, int64_t first, Tensor so_far, Tensor::Shape shape) {
  const auto blocks = sums.view<T, 2>();
  const bool begun = static_cast<bool>(so_far);
  Tensor total = begun ? std::move(so_far) : Tensor(shape, kDTypeOf<T>);
  const std::span<T> out = total.template writable_numbers<T>();
  for (int64_t block = 0; block < blocks.shape[0]; ++block) {
    const T* from = blocks[block].data + first;
    if (block == 0 && !begun) {
      std::copy_n(from, out.size(), out.data());
    } else {
      for (std::size_t i = 0; i < out.size(); ++i) out[i] += from[i];
    }
  }
  return total;
}

// Σ over rows of x [..., width], on top of so_far: [width].
Tensor column_sums(const Tensor& x, Tensor so_far = {});

}  // namespace regard
