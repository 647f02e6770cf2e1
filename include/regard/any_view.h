// InputView, OutputView: views of numbers whose dtype is known at run time, so that one function
// serves f64, f32, f16 and bf16.
#pragma once

#include <array>
#include <cstdint>
#include <type_traits>

#include "regard/dtype.h"
#include "regard/half.h"
#include "regard/view.h"

namespace regard {

// The DType of a plain number.
template <class T>
constexpr DType dtype_of() {
  static_assert(std::is_same_v<T, double> || std::is_same_v<T, float> || std::is_same_v<T, f16> ||
                    std::is_same_v<T, bf16>,
                "numbers are double, float, regard::f16 or regard::bf16");
  if constexpr (std::is_same_v<T, double>) return DType::f64;
  if constexpr (std::is_same_v<T, f16>) return DType::f16;
  if constexpr (std::is_same_v<T, bf16>) return DType::bf16;
  return DType::f32;
}

// Strides count elements, as in View. data is null where an optional view is not given.
template <int Rank>
struct InputView {
  using Extents = std::array<int64_t, Rank>;

  const void* data = nullptr;
  DType dtype = DType::f32;  // f64, f32, f16 or bf16
  Extents shape{};
  Extents strides{};

  InputView() = default;
  template <class T>
  InputView(const View<T, Rank>& view)  // NOLINT: implicit by design
      : data(view.data),
        dtype(dtype_of<std::remove_const_t<T>>()),
        shape(view.shape),
        strides(view.strides) {}
  // Row-major and dense: InputView<3>(numbers, {tokens, heads, dim}).
  template <class T, std::size_t N>
  requires(N == Rank) InputView(const T* first, const int64_t (&extents)[N])
      : InputView(View<const T, Rank>(first, std::to_array(extents))) {}
  InputView(const void* first, DType type, const Extents& extents, const Extents& steps)
      : data(first), dtype(type), shape(extents), strides(steps) {}

  // Requires: dtype is T's.
  template <class T>
  View<const T, Rank> as() const noexcept {
    return {static_cast<const T*>(data), shape, strides};
  }
  int64_t size() const noexcept {
    int64_t count = 1;
    for (int64_t extent : shape) count *= extent;
    return count;
  }
};

template <int Rank>
struct OutputView {
  using Extents = std::array<int64_t, Rank>;

  void* data = nullptr;
  DType dtype = DType::f32;  // f64, f32, f16 or bf16
  Extents shape{};
  Extents strides{};

  OutputView() = default;
  template <class T>
  requires(!std::is_const_v<T>) OutputView(const View<T, Rank>& view)  // NOLINT: implicit by design
      : data(view.data), dtype(dtype_of<T>()), shape(view.shape), strides(view.strides) {}
  template <class T, std::size_t N>
  requires(N == Rank) OutputView(T* first, const int64_t (&extents)[N])
      : OutputView(View<T, Rank>(first, std::to_array(extents))) {}
  OutputView(void* first, DType type, const Extents& extents, const Extents& steps)
      : data(first), dtype(type), shape(extents), strides(steps) {}

  template <class T>
  View<T, Rank> as() const noexcept {
    return {static_cast<T*>(data), shape, strides};
  }
  operator InputView<Rank>() const noexcept { return {data, dtype, shape, strides}; }  // NOLINT
  int64_t size() const noexcept { return InputView<Rank>(*this).size(); }
};

}  // namespace regard
