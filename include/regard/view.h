// View<T, Rank>: pointer, shape and strides. It crosses every boundary and never owns.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace regard {

// Strides count elements, may be zero or negative, and are 64-bit: a view may span more than
// 2^31 elements. Indexing is unchecked; whoever accepts a view from outside checks its shape.
template <class T, int Rank>
struct View {
  static_assert(Rank >= 1);
  using Extents = std::array<int64_t, Rank>;

  T* data = nullptr;
  Extents shape{};
  Extents strides{};

  View() = default;
  View(T* first, const Extents& extents, const Extents& steps)
      : data(first), shape(extents), strides(steps) {}

  // Row-major and dense: the last index runs fastest.
  View(T* first, const Extents& extents) : data(first), shape(extents) {
    int64_t step = 1;
    for (int axis = Rank - 1; axis >= 0; --axis) {
      strides[axis] = step;
      step *= shape[axis];
    }
  }

  // View<T> converts to View<const T>.
  template <class U>
  requires(std::is_same_v<const U, T> && !std::is_same_v<U, T>) View(const View<U, Rank>& other)
      : data(other.data), shape(other.shape), strides(other.strides) {}

  template <class... Index>
  requires(sizeof...(Index) == Rank) T& operator()(Index... index) const noexcept {
    const Extents at{static_cast<int64_t>(index)...};
    int64_t offset = 0;
    for (int axis = 0; axis < Rank; ++axis) offset += at[axis] * strides[axis];
    return data[offset];
  }

  // The view of everything behind the first index.
  View<T, Rank - 1> operator[](int64_t index) const noexcept requires(Rank > 1) {
    View<T, Rank - 1> inner;
    inner.data = data + index * strides[0];
    for (int axis = 1; axis < Rank; ++axis) {
      inner.shape[axis - 1] = shape[axis];
      inner.strides[axis - 1] = strides[axis];
    }
    return inner;
  }
  T& operator[](int64_t index) const noexcept requires(Rank == 1) {
    return data[index * strides[0]];
  }

  // Rows [first, first + count) of the first axis.
  View rows(int64_t first, int64_t count) const noexcept {
    View part = *this;
    part.data += first * strides[0];
    part.shape[0] = count;
    return part;
  }

  int64_t size() const noexcept {
    int64_t count = 1;
    for (int64_t extent : shape) count *= extent;
    return count;
  }
};

}  // namespace regard
