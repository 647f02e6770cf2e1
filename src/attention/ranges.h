// Which memory a view can touch: an output may overlap no input.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "regard/any_view.h"
#include "regard/dtype.h"
#include "regard/view.h"

namespace regard {

// The addresses [first, last) that a view can touch, and its steps between them.
struct Range {
  uintptr_t first = 0, last = 0;
  int axes = 0;
  struct Axis {
    int64_t stride = 0, reach = 0;  // bytes, not negative; from the first element to the last
  } axis[4] = {};
};

// element: bytes.
inline Range range_of(const void* data, int64_t element, const int64_t* shape,
                      const int64_t* strides, int rank) {
  Range range;
  int64_t low = 0, high = element;
  for (int k = 0; k < rank; ++k) {
    if (shape[k] == 0) return {};
    const int64_t reach = (shape[k] - 1) * strides[k] * element;
    (reach < 0 ? low : high) += reach;
    if (reach != 0) range.axis[range.axes++] = {std::abs(strides[k] * element), std::abs(reach)};
  }
  const auto base = reinterpret_cast<uintptr_t>(data);
  range.first = base + static_cast<uintptr_t>(low);
  range.last = base + static_cast<uintptr_t>(high);
  return range;
}
template <class T, int Rank>
Range range_of(const View<T, Rank>& view) {
  return range_of(view.data, static_cast<int64_t>(sizeof(T)), view.shape.data(),
                  view.strides.data(), Rank);
}
template <int Rank>
Range range_of(const InputView<Rank>& view) {
  return range_of(view.data, row_bytes(view.dtype, 1), view.shape.data(), view.strides.data(),
                  Rank);
}

template <int Rank>
Range range_of(const OutputView<Rank>& view) {
  return range_of(InputView<Rank>(view));
}

// Do views that step by multiples of `step` or stay within it use different parts of it, as the
// columns of one matrix do?
inline bool interleaved(const Range& a, const Range& b, int64_t step) {
  int64_t inner[2];
  const Range* const both[] = {&a, &b};
  for (int n = 0; n < 2; ++n) {
    inner[n] = static_cast<int64_t>(both[n]->last - both[n]->first);
    for (int k = 0; k < both[n]->axes; ++k) {
      const Range::Axis& axis = both[n]->axis[k];
      if (axis.stride % step == 0) {
        inner[n] -= axis.reach;
      } else if (axis.stride > step) {
        return false;
      }
    }
  }
  const auto size = static_cast<uintptr_t>(step);
  const auto apart = static_cast<int64_t>((b.first % size + size - a.first % size) % size);
  return apart >= inner[0] && apart + inner[1] <= step;
}

inline bool overlap(const Range& a, const Range& b) {
  if (a.first >= b.last || b.first >= a.last) return false;
  for (int k = 0; k < a.axes; ++k) {
    if (interleaved(a, b, a.axis[k].stride)) return false;
  }
  return true;
}

}  // namespace regard
