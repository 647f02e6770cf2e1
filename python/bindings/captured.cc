// How a captured array holds on to the memory of Python.
#include "captured.h"

#include <fmt/format.h>
#include <nanobind/ndarray.h>

#include <memory>
#include <utility>

#include "arrays.h"

namespace regard::python {
namespace {

using Memory = nb::ndarray<nb::ro>;

// The last expression that reads an array may die on a thread without the interpreter's lock, or
// after the interpreter: then the memory is left to the end of the process.
std::shared_ptr<const void> keeper(Memory memory) {
  return {new Memory(std::move(memory)), [](const void* kept) {
            if (!nb::is_alive()) return;
            nb::gil_scoped_acquire lock;
            delete static_cast<const Memory*>(kept);
          }};
}

Array capture(nb::handle source, std::string name, bool differentiable) {
  Memory memory;
  if (!nb::try_cast(source, memory, false) || !memory.is_valid()) {
    throw nb::type_error(
        fmt::format("array: {} ({}) is no array of numbers", name, kind_of(source)).c_str());
  }
  if (memory.device_type() != nb::device::cpu::value) {
    throw nb::type_error(fmt::format("array: {} must lie in CPU memory", name).c_str());
  }
  ElementType type;
  if (memory.dtype() == nb::dtype<float>()) {
    type = ElementType::f32;
  } else if (memory.dtype() == nb::dtype<int32_t>()) {
    type = ElementType::i32;
  } else if (memory.dtype() == nb::dtype<bool>()) {
    type = ElementType::boolean;
  } else {
    throw nb::type_error(fmt::format("array: {} is {}, must be float32, int32 or bool", name,
                                     dtype_name(memory.dtype()))
                             .c_str());
  }
  const std::vector<int64_t> shape(memory.shape_ptr(), memory.shape_ptr() + memory.ndim());
  const std::vector<int64_t> strides(memory.stride_ptr(), memory.stride_ptr() + memory.ndim());
  const void* const data = memory.data();
  return Array(std::move(name), type, data, shape, strides, differentiable,
               keeper(std::move(memory)));
}

}  // namespace

Captured::Captured(nb::handle source, std::string name, bool differentiable)
    : array_(capture(source, std::move(name), differentiable)) {}

std::vector<int64_t> Captured::shape() const {
  std::vector<int64_t> shape;
  for (int axis = 0; axis < array_.rank(); ++axis) shape.push_back(array_.shape(axis));
  return shape;
}

}  // namespace regard::python
