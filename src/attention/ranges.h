// Which memory a view can touch: an output may overlap no input.
#pragma once

#include <cstddef>
#include <cstdint>

#include "regard/any_view.h"
#include "regard/dtype.h"
#include "regard/view.h"

namespace regard {

// The addresses [first, last) that a view can touch.
struct Range {
  uintptr_t first, last;
};
template <class T, int Rank>
Range range_of(const View<T, Rank>& view) {
  if (view.size() == 0) return {0, 0};
  int64_t low = 0, high = 0;
  for (int axis = 0; axis < Rank; ++axis) {
    const int64_t reach = (view.shape[axis] - 1) * view.strides[axis];
    (reach < 0 ? low : high) += reach;
  }
  const auto base = reinterpret_cast<uintptr_t>(view.data);
  return {base + static_cast<uintptr_t>(low * static_cast<int64_t>(sizeof(T))),
          base + static_cast<uintptr_t>((high + 1) * static_cast<int64_t>(sizeof(T)))};
}
template <int Rank>
Range range_of(const InputView<Rank>& view) {
  const int64_t size = row_bytes(view.dtype, 1);
  auto strides = view.strides;
  for (int64_t& stride : strides) stride *= size;
  Range bytes = range_of(
      View<const std::byte, Rank>(static_cast<const std::byte*>(view.data), view.shape, strides));
  if (view.size() > 0) bytes.last += static_cast<uintptr_t>(size - 1);
  return bytes;
}
template <int Rank>
Range range_of(const OutputView<Rank>& view) {
  return range_of(InputView<Rank>(view));
}
inline bool overlap(Range a, Range b) { return a.first < b.last && b.first < a.last; }

}  // namespace regard
