// Borrowed: numbers that Python owns, read and written where they lie.
#pragma once

#include <fmt/format.h>
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "regard/any_view.h"

namespace regard::python {

namespace nb = nanobind;

enum class Access { read, write };

// What messages call an array: "attention: q".
struct Naming {
  std::string call, name;
};

// "list", "ndarray of object"
std::string kind_of(nb::handle source);
// As NumPy and torch write it: float64, bfloat16, int32, bool.
std::string dtype_name(nb::dlpack::dtype dtype);

// Memory of NumPy, torch or whoever offers DLPack or the buffer protocol, kept alive and shared:
// nothing is copied. Its axes are letters of "bthd".
class Borrowed {
 public:
  // Throws TypeError unless source is an array on the CPU of float64, float32, float16, bfloat16 or
  // int32, ValueError unless it has as many axes as letters, starts at a multiple of its element's
  // size and, if it is to be written, is writable and gives each element memory of its own.
  // bits_of_bf16: uint16 stands for bfloat16, which NumPy does not share.
  Borrowed(nb::handle source, Naming naming, std::string axes, Access access, bool bits_of_bf16);

  // A shape of float32 without numbers, dense in the order of axes: enough to explain.
  Borrowed(Naming naming, std::string axes, std::vector<int64_t> shape);

  const std::string& call() const noexcept { return naming_.call; }
  const std::string& name() const noexcept { return naming_.name; }
  const std::string& axes() const noexcept { return axes_; }
  const std::vector<int64_t>& shape() const noexcept { return shape_; }  // in the order of axes
  bool holds_int32() const noexcept { return int32_; }
  std::string dtype() const;

  // [batch, tokens, heads, dim]; an axis that has no letter here has extent 1. Of floating point.
  const OutputView<4>& view() const noexcept { return view_; }
  // The same where the elements are T: float or int32_t.
  template <class T>
  View<T, 4> as() const noexcept {
    return {static_cast<T*>(view_.data), view_.shape, view_.strides};
  }

 private:
  template <class Memory>
  void take(const Memory& memory, bool bits_of_bf16);
  void arrange(const std::vector<int64_t>& strides);
  int64_t element_bytes() const noexcept;

  Naming naming_;
  std::string axes_;
  std::vector<int64_t> shape_;
  OutputView<4> view_;
  bool int32_ = false;
  nb::ndarray<nb::ro> input_;  // the one that is set keeps the memory alive
  nb::ndarray<> output_;

  friend void check_apart(const Borrowed& output, const Borrowed& input);
};

// Throws ValueError unless axes names each of "thd" once, and "b" at most once.
void check_layout(std::string_view axes);

// Sizes of [batch, tokens, heads, dim] in the order of axes: "2 x 128 x 8 x 64".
std::string in_words(const std::array<int64_t, 4>& sizes, std::string_view axes);

// Throws ValueError when the memory of two arrays overlaps.
void check_apart(const Borrowed& output, const Borrowed& input);

template <class... Args>
[[noreturn]] void refuse_type(fmt::format_string<Args...> format, Args&&... args) {
  throw nb::type_error(fmt::format(format, std::forward<Args>(args)...).c_str());
}

}  // namespace regard::python
