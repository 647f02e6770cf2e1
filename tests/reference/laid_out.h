// An array as callers have them: any dtype, any order of axes, with gaps, and guards around it that
// must neither be read nor written.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "random.h"
#include "regard/any_view.h"

namespace regard::testing {

enum class Layout : uint8_t {
  dense,       // [batch, tokens, heads, dim]
  head_first,  // [batch, heads, tokens, dim]
  packed,      // tokens lie three times as far apart: q, k and v of a token beside each other
  transposed,  // [batch, heads, dim, tokens]
  reversed,    // every axis runs backwards
  broadcast,   // all heads share their numbers; outputs: dense
};

class LaidOut {
 public:
  using Extents = InputView<4>::Extents;

  LaidOut() = default;
  LaidOut(const Extents& shape, DType dtype, Layout layout, bool is_output)
      : view_(nullptr, dtype, shape, {}) {
    if (is_output && layout == Layout::broadcast) layout = Layout::dense;
    const auto run = [&](std::initializer_list<int> order, int64_t step) {
      for (const int axis : order) {
        view_.strides[static_cast<std::size_t>(axis)] = step;
        step *= shape[static_cast<std::size_t>(axis)];
        if (axis == 2 && layout == Layout::packed) step *= 3;
      }
    };
    switch (layout) {
      case Layout::head_first:
        run({3, 1, 2, 0}, 1);
        break;
      case Layout::transposed:
        run({1, 3, 2, 0}, 1);
        break;
      default:
        run({3, 2, 1, 0}, 1);
    }
    if (layout == Layout::broadcast) view_.strides[2] = 0;
    int64_t first = kGuard, last = 0;
    for (std::size_t axis = 0; axis < 4; ++axis) {
      if (layout == Layout::reversed) {
        first += view_.strides[axis] * std::max<int64_t>(shape[axis] - 1, 0);
        view_.strides[axis] = -view_.strides[axis];
      }
      last += std::abs(view_.strides[axis]) * std::max<int64_t>(shape[axis] - 1, 0);
    }
    const auto size = static_cast<std::size_t>(info(dtype).block_bytes);
    bytes_.assign(static_cast<std::size_t>(last + 1 + 2 * kGuard) * size, std::byte{kPoison});
    view_.data = bytes_.data() + static_cast<std::size_t>(first) * size;
  }
  LaidOut(LaidOut&&) = default;
  LaidOut& operator=(LaidOut&&) = default;

  const OutputView<4>& view() const { return view_; }

  double get(int64_t a, int64_t b, int64_t c, int64_t d) const {
    switch (view_.dtype) {
      case DType::f64:
        return view_.as<double>()(a, b, c, d);
      case DType::f16:
        return to_f32(view_.as<f16>()(a, b, c, d));
      case DType::bf16:
        return to_f32(view_.as<bf16>()(a, b, c, d));
      default:
        return view_.as<float>()(a, b, c, d);
    }
  }
  void set(int64_t a, int64_t b, int64_t c, int64_t d, double x) {
    const auto rounded = static_cast<float>(x);
    switch (view_.dtype) {
      case DType::f64:
        view_.as<double>()(a, b, c, d) = x;
        return;
      case DType::f16:
        view_.as<f16>()(a, b, c, d) = to_f16(rounded);
        return;
      case DType::bf16:
        view_.as<bf16>()(a, b, c, d) = to_bf16(rounded);
        return;
      default:
        view_.as<float>()(a, b, c, d) = rounded;
    }
  }

  // visit(a, b, c, d) in row-major order.
  template <class Visit>
  void for_each(const Visit& visit) const {
    for (int64_t a = 0; a < view_.shape[0]; ++a)
      for (int64_t b = 0; b < view_.shape[1]; ++b)
        for (int64_t c = 0; c < view_.shape[2]; ++c)
          for (int64_t d = 0; d < view_.shape[3]; ++d) visit(a, b, c, d);
  }
  void fill_normal(Random& random) {
    for_each([&](int64_t a, int64_t b, int64_t c, int64_t d) { set(a, b, c, d, random.normal()); });
  }
  std::vector<double> numbers() const {  // row-major
    std::vector<double> all;
    for_each([&](int64_t a, int64_t b, int64_t c, int64_t d) { all.push_back(get(a, b, c, d)); });
    return all;
  }

  // Bytes that belong to no element and are not as they were made.
  int64_t stray_bytes() const {
    const auto size = static_cast<std::size_t>(info(view_.dtype).block_bytes);
    std::vector<std::byte> copy = bytes_;
    const std::ptrdiff_t first = static_cast<const std::byte*>(view_.data) - bytes_.data();
    for_each([&](int64_t a, int64_t b, int64_t c, int64_t d) {
      const int64_t at =
          a * view_.strides[0] + b * view_.strides[1] + c * view_.strides[2] + d * view_.strides[3];
      std::memset(copy.data() + first + at * static_cast<int64_t>(size), kPoison, size);
    });
    return static_cast<int64_t>(copy.size()) -
           std::count(copy.begin(), copy.end(), std::byte{kPoison});
  }

 private:
  static constexpr int64_t kGuard = 64;
  static constexpr unsigned char kPoison = 0xFF;  // a NaN in every dtype

  std::vector<std::byte> bytes_;
  OutputView<4> view_;
};

}  // namespace regard::testing
