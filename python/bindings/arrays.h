// Array: numbers that Python owns, read and written where they lie.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "regard/view.h"

namespace regard::python {

namespace nb = nanobind;

enum class Access { read, write };

// Memory of NumPy, torch or whoever offers DLPack or the buffer protocol, kept alive and shared:
// nothing is copied. It carries a name for messages, and its axes as letters of "bthd".
class Array {
 public:
  // Throws TypeError unless source is an array of float32 on the CPU, ValueError unless it has as
  // many axes as letters, starts at a multiple of 4 bytes and, if it is to be written, is writable
  // and gives each element memory of its own.
  Array(nb::handle source, std::string name, std::string axes, Access access);

  // A shape without numbers, dense in the order of axes: enough to explain.
  Array(std::string name, std::string axes, std::vector<int64_t> shape);

  const std::string& name() const noexcept { return name_; }
  const std::string& axes() const noexcept { return axes_; }
  const std::vector<int64_t>& shape() const noexcept { return shape_; }  // in the order of axes

  // [batch, tokens, heads, dim]; an axis that has no letter here has extent 1.
  const View<float, 4>& view() const noexcept { return view_; }

 private:
  void arrange(const std::vector<int64_t>& strides);

  std::string name_;
  std::string axes_;
  std::vector<int64_t> shape_;
  View<float, 4> view_;
  nb::ndarray<nb::ro> input_;  // the one that is set keeps the memory alive
  nb::ndarray<> output_;
};

// Throws ValueError unless axes names each of "thd" once, and "b" at most once.
void check_layout(std::string_view axes);

// Sizes of [batch, tokens, heads, dim] in the order of axes: "2 x 128 x 8 x 64".
std::string in_words(const View<float, 4>::Extents& sizes, std::string_view axes);

// Throws ValueError when the memory of two arrays overlaps.
void check_apart(const Array& output, const Array& input);

}  // namespace regard::python
