// What an array from Python must be, and how it becomes a view.
#include "arrays.h"

#include <fmt/ranges.h>
#include <nanobind/stl/string.h>

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "base/check.h"

namespace regard::python {
namespace {

constexpr std::string_view kAxes = "bthd";

// The bytes [first, last) that a view can touch; empty when it has no element.
std::pair<uintptr_t, uintptr_t> addresses(const OutputView<4>& view, int64_t element_bytes) {
  if (view.size() == 0) return {0, 0};
  int64_t low = 0, high = 1;
  for (int axis = 0; axis < 4; ++axis) {
    const int64_t reach = (view.shape[axis] - 1) * view.strides[axis];
    (reach < 0 ? low : high) += reach;
  }
  const auto base = reinterpret_cast<uintptr_t>(view.data);
  return {base + static_cast<uintptr_t>(low * element_bytes),
          base + static_cast<uintptr_t>(high * element_bytes)};
}

// Does every step along an axis pass all that the shorter steps can reach? Then no two elements
// share memory. (Some interleaved views that share none do not pass, and are refused.)
bool each_has_its_own(const OutputView<4>& view) {
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

std::string kind_of(nb::handle source) {
  const std::string type = nb::cast<std::string>(nb::str(nb::inst_name(source)));
  if (!nb::hasattr(source, "dtype")) return type;
  return fmt::format("{} of {}", type, nb::str(nb::object(source.attr("dtype"))).c_str());
}

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

Borrowed::Borrowed(nb::handle source, Naming naming, std::string axes, Access access,
                   bool bits_of_bf16)
    : naming_(std::move(naming)), axes_(std::move(axes)) {
  // Without conversion: what is of another kind would be copied.
  if (access == Access::write) nb::try_cast(source, output_, false);
  if (!output_.is_valid()) nb::try_cast(source, input_, false);
  if (!output_.is_valid() && !input_.is_valid()) {
    refuse_type(
        "{}: {} ({}) is no array of numbers in CPU memory, as NumPy, torch, DLPack and the buffer "
        "protocol share them",
        call(), name(), kind_of(source));
  }
  output_.is_valid() ? take(output_, bits_of_bf16) : take(input_, bits_of_bf16);
  require(access == Access::read || output_.is_valid(), "{}: {} is read-only", call(), name());
  require(reinterpret_cast<uintptr_t>(view_.data) % static_cast<uintptr_t>(element_bytes()) == 0,
          "{}: {} begins at an address that is no multiple of {} bytes", call(), name(),
          element_bytes());
  require(access == Access::read || each_has_its_own(view_),
          "{}: elements of {} ({}) share memory, so it cannot be written", call(), name(),
          fmt::join(shape_, " x "));
}

Borrowed::Borrowed(Naming naming, std::string axes, std::vector<int64_t> shape)
    : naming_(std::move(naming)), axes_(std::move(axes)), shape_(std::move(shape)) {
  std::vector<int64_t> strides(shape_.size());
  int64_t step = 1;
  for (std::size_t i = shape_.size(); i-- > 0; step *= shape_[i]) strides[i] = step;
  arrange(strides);
}

template <class Memory>
void Borrowed::take(const Memory& memory, bool bits_of_bf16) {
  using Code = nb::dlpack::dtype_code;
  if (memory.device_type() != nb::device::cpu::value) {
    refuse_type("{}: {} lies on a device (DLPack type {}), must lie in CPU memory", call(), name(),
                memory.device_type());
  }
  const nb::dlpack::dtype dtype = memory.dtype();
  const auto is = [&](Code code, int bits) {
    return dtype.code == static_cast<uint8_t>(code) && dtype.bits == bits && dtype.lanes == 1;
  };
  if (is(Code::Float, 64)) {
    view_.dtype = DType::f64;
  } else if (is(Code::Float, 32)) {
    view_.dtype = DType::f32;
  } else if (is(Code::Float, 16)) {
    view_.dtype = DType::f16;
  } else if (is(Code::Bfloat, 16) || (bits_of_bf16 && is(Code::UInt, 16))) {
    view_.dtype = DType::bf16;
  } else if (is(Code::Int, 32)) {
    int32_ = true;
  } else {
    refuse_type("{}: {} is {}, must be float64, float32, float16 or bfloat16", call(), name(),
                dtype_name(dtype));
  }
  shape_.assign(memory.shape_ptr(), memory.shape_ptr() + memory.ndim());
  view_.data = const_cast<void*>(static_cast<const void*>(memory.data()));
  arrange({memory.stride_ptr(), memory.stride_ptr() + memory.ndim()});
}

// Lays shape_ and strides out as [batch, tokens, heads, dim].
void Borrowed::arrange(const std::vector<int64_t>& strides) {
  require(shape_.size() == axes_.size(), "{}: {} has {} axes ({}), layout '{}' has {}", call(),
          name(), shape_.size(), fmt::join(shape_, " x "), axes_, axes_.size());
  view_.shape = {1, 1, 1, 1};
  view_.strides = {0, 0, 0, 0};
  for (std::size_t i = 0; i < axes_.size(); ++i) {
    const std::size_t axis = kAxes.find(axes_[i]);
    view_.shape[axis] = shape_[i];
    view_.strides[axis] = strides[i];
  }
}

int64_t Borrowed::element_bytes() const noexcept {
  return int32_ ? 4 : info(view_.dtype).block_bytes;
}

std::string Borrowed::dtype() const {
  if (int32_) return "int32";
  switch (view_.dtype) {
    case DType::f64:
      return "float64";
    case DType::f16:
      return "float16";
    case DType::bf16:
      return "bfloat16";
    default:
      return "float32";
  }
}

std::string in_words(const std::array<int64_t, 4>& sizes, std::string_view axes) {
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

void check_apart(const Borrowed& output, const Borrowed& input) {
  const auto [first, last] = addresses(output.view_, output.element_bytes());
  const auto [begin, end] = addresses(input.view_, input.element_bytes());
  require(first >= end || begin >= last, "{}: {} overlaps {}; give it memory of its own",
          output.call(), output.name(), input.name());
}

}  // namespace regard::python
