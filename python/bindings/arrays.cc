// What an array from Python must be, and how it becomes a view.
#include "arrays.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nanobind/stl/string.h>

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "base/check.h"

namespace regard::python {
namespace {

constexpr std::string_view kAxes = "bthd";

template <class... Args>
[[noreturn]] void refuse_type(fmt::format_string<Args...> format, Args&&... args) {
  throw nb::type_error(fmt::format(format, std::forward<Args>(args)...).c_str());
}

// "list", "ndarray of object"
std::string kind_of(nb::handle source) {
  const std::string type = nb::cast<std::string>(nb::str(nb::inst_name(source)));
  if (!nb::hasattr(source, "dtype")) return type;
  return fmt::format("{} of {}", type, nb::str(nb::object(source.attr("dtype"))).c_str());
}

// As NumPy and torch write it: float64, bfloat16, int32, bool.
std::string dtype_name(nb::dlpack::dtype dtype) {
  using Code = nb::dlpack::dtype_code;
  switch (static_cast<Code>(dtype.code)) {
    case Code::Bool:
      return "bool";
    case Code::Int:
      return fmt::format("int{}", dtype.bits);
    case Code::UInt:
      return fmt::format("uint{}", dtype.bits);
    case Code::Float:
      return fmt::format("float{}", dtype.bits);
    case Code::Bfloat:
      return fmt::format("bfloat{}", dtype.bits);
    case Code::Complex:
      return fmt::format("complex{}", dtype.bits);
    default:
      return fmt::format("a type of {} bits", dtype.bits);
  }
}

// The addresses [first, last) that a view can touch; empty when it has no element.
std::pair<uintptr_t, uintptr_t> addresses(const View<float, 4>& view) {
  if (view.size() == 0) return {0, 0};
  int64_t low = 0, high = 1;
  for (int axis = 0; axis < 4; ++axis) {
    const int64_t reach = (view.shape[axis] - 1) * view.strides[axis];
    (reach < 0 ? low : high) += reach;
  }
  const auto base = reinterpret_cast<uintptr_t>(view.data);
  constexpr auto kBytes = static_cast<int64_t>(sizeof(float));
  return {base + static_cast<uintptr_t>(low * kBytes),
          base + static_cast<uintptr_t>(high * kBytes)};
}

// Does every step along an axis pass all that the shorter steps can reach? Then no two elements
// share memory. (Some interleaved views that share none do not pass, and are refused.)
bool each_has_its_own(const View<float, 4>& view) {
  if (view.size() == 0) return true;
  std::vector<std::pair<int64_t, int64_t>> steps;  // stride, and the axis' whole reach
  for (int axis = 0; axis < 4; ++axis) {
    const int64_t stride = std::abs(view.strides[axis]), steps_taken = view.shape[axis] - 1;
    if (steps_taken > 0) steps.emplace_back(stride, stride * steps_taken);
  }
  std::sort(steps.begin(), steps.end());
  int64_t reach = 0;
  for (const auto& [stride, length] : steps) {
    if (stride <= reach) return false;
    reach += length;
  }
  return true;
}

}  // namespace

Array::Array(nb::handle source, std::string name, std::string axes, Access access)
    : name_(std::move(name)), axes_(std::move(axes)) {
  // Without conversion: what is not float32 would be copied.
  if (access == Access::write) nb::try_cast(source, output_, false);
  if (!output_.is_valid()) nb::try_cast(source, input_, false);
  if (!output_.is_valid() && !input_.is_valid()) {
    refuse_type(
        "attention: {} ({}) is no array of numbers in CPU memory, as NumPy, torch, DLPack and the "
        "buffer protocol share them",
        name_, kind_of(source));
  }
  const auto take = [&](const auto& array) {
    if (array.device_type() != nb::device::cpu::value) {
      refuse_type("attention: {} lies on a device (DLPack type {}), must lie in CPU memory", name_,
                  array.device_type());
    }
    if (array.dtype() != nb::dtype<float>()) {
      refuse_type("attention: {} is {}, must be float32", name_, dtype_name(array.dtype()));
    }
    shape_.assign(array.shape_ptr(), array.shape_ptr() + array.ndim());
    view_.data = static_cast<float*>(const_cast<void*>(array.data()));
    arrange({array.stride_ptr(), array.stride_ptr() + array.ndim()});
  };
  output_.is_valid() ? take(output_) : take(input_);
  require(access == Access::read || output_.is_valid(), "attention: {} is read-only", name_);
  require(reinterpret_cast<uintptr_t>(view_.data) % alignof(float) == 0,
          "attention: {} begins at an address that is no multiple of {} bytes", name_,
          alignof(float));
  require(access == Access::read || each_has_its_own(view_),
          "attention: elements of {} ({}) share memory, so it cannot be written", name_,
          fmt::join(shape_, " x "));
}

Array::Array(std::string name, std::string axes, std::vector<int64_t> shape)
    : name_(std::move(name)), axes_(std::move(axes)), shape_(std::move(shape)) {
  std::vector<int64_t> strides(shape_.size());
  int64_t step = 1;
  for (std::size_t i = shape_.size(); i-- > 0; step *= shape_[i]) strides[i] = step;
  arrange(strides);
}

// Lays shape_ and strides out as [batch, tokens, heads, dim].
void Array::arrange(const std::vector<int64_t>& strides) {
  require(shape_.size() == axes_.size(), "attention: {} has {} axes ({}), layout '{}' has {}",
          name_, shape_.size(), fmt::join(shape_, " x "), axes_, axes_.size());
  view_.shape = {1, 1, 1, 1};
  view_.strides = {0, 0, 0, 0};
  for (std::size_t i = 0; i < axes_.size(); ++i) {
    const std::size_t axis = kAxes.find(axes_[i]);
    view_.shape[axis] = shape_[i];
    view_.strides[axis] = strides[i];
  }
}

std::string in_words(const View<float, 4>::Extents& sizes, std::string_view axes) {
  std::string words;
  for (const char letter : axes) {
    words += fmt::format("{}{}", words.empty() ? "" : " x ", sizes[kAxes.find(letter)]);
  }
  return words;
}

void check_layout(std::string_view axes) {
  const auto count = [&](char letter) { return std::count(axes.begin(), axes.end(), letter); };
  require(count('t') == 1 && count('h') == 1 && count('d') == 1 && count('b') <= 1 &&
              axes.find_first_not_of(kAxes) == axes.npos,
          "attention: layout is '{}', must hold t (tokens), h (heads) and d (dim) once each, and "
          "b (batch) at most once",
          axes);
}

void check_apart(const Array& output, const Array& input) {
  const auto [first, last] = addresses(output.view());
  const auto [begin, end] = addresses(input.view());
  require(first >= end || begin >= last, "attention: {} overlaps {}; give it memory of its own",
          output.name(), input.name());
}

}  // namespace regard::python
