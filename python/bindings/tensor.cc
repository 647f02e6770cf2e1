// Tensor and its tape: made from arrays, seen as arrays where they lie, and gradients.
#include "tensor.h"

#include <fmt/format.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <atomic>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "arrays.h"
#include "base/check.h"
#include "tensor/tape.h"

namespace regard::python {
namespace {

using namespace nb::literals;

std::atomic<int> threads{0};

using Dense = nb::ndarray<nb::ro, nb::c_contig, nb::device::cpu>;

DType dtype_of(const Dense& array) {
  if (array.dtype() == nb::dtype<float>()) return DType::f32;
  if (array.dtype() == nb::dtype<double>()) return DType::f64;
  fail(ErrorKind::invalid_argument, "tensor: an array of {}, must be float32 or float64",
       dtype_name(array.dtype()));
}

void copy_numbers(const Dense& from, Tensor& to) {
  if (to.dtype() == DType::f64) {
    std::memcpy(to.writable_numbers<double>().data(), from.data(), from.nbytes());
  } else {
    std::memcpy(to.writable_numbers<float>().data(), from.data(), from.nbytes());
  }
}

Tensor tensor_of_array(const Dense& array, bool gradient) {
  require(array.ndim() >= 1 && array.ndim() <= kMaxRank, "tensor: {} axes, must be 1 to {}",
          array.ndim(), kMaxRank);
  std::vector<int64_t> shape;
  for (std::size_t axis = 0; axis < array.ndim(); ++axis) {
    shape.push_back(static_cast<int64_t>(array.shape(axis)));
  }
  Tensor made{Tensor::Shape(shape), dtype_of(array)};
  copy_numbers(array, made);
  if (gradient) made.require_gradient();
  return made;
}

std::vector<int64_t> shape_of(const Tensor& x) { return {x.shape().begin(), x.shape().end()}; }

// The tensor's own memory as NumPy's, kept alive with it.
template <class T, class... Flags>
nb::object as_array(const Tensor& x, const T* data) {
  std::vector<std::size_t> shape(x.shape().begin(), x.shape().end());
  nb::capsule owner(new Tensor(x.detach()),
                    [](void* kept) noexcept { delete static_cast<Tensor*>(kept); });
  using Array = nb::ndarray<nb::numpy, Flags...>;
  return nb::cast(Array(const_cast<T*>(data), shape.size(), shape.data(), owner));
}

nb::object numpy_of(const Tensor& x) {
  if (x.dtype() == DType::f64) {
    return as_array<double, const double>(x, x.numbers<double>().data());
  }
  require(x.dtype() == DType::f32, "numpy: {} numbers have no type in NumPy; cast them to f32",
          info(x.dtype()).name);
  return as_array<float, const float>(x, x.numbers<float>().data());
}

nb::object writable_of(Tensor& x) {
  require(x.tracked() && x.node()->leaf, "writable: {} was computed, only leaves are written to",
          x);
  if (x.dtype() == DType::f64)
    return as_array<double, double>(x, x.writable_numbers<double>().data());
  return as_array<float, float>(x, x.writable_numbers<float>().data());
}

void assign(Tensor& x, const Dense& array) {
  require(dtype_of(array) == x.dtype() && array.size() == static_cast<std::size_t>(x.size()),
          "assign: an array of {} numbers of {} for {}", array.size(), dtype_name(array.dtype()),
          x);
  for (int axis = 0; axis < x.rank(); ++axis) {
    require(static_cast<int64_t>(array.ndim()) == x.rank() &&
                static_cast<int64_t>(array.shape(static_cast<std::size_t>(axis))) == x.shape(axis),
            "assign: the array has another shape than {}", x);
  }
  copy_numbers(array, x);
}

void run_backward(const Tensor& x, const std::optional<Tensor>& cotangent) {
  on_pool([&] {
    if (cotangent) {
      backward(x, *cotangent);
    } else {
      backward(x);
    }
    return 0;
  });
}

// `with no_gradient():`, entered and left on one thread.
class Quiet {
 public:
  Quiet() = default;
  Quiet(Quiet&&) = default;
  Quiet(const Quiet&) = delete;

  void enter() { entered_.push_back(std::make_unique<NoGradient>()); }
  void leave() { entered_.pop_back(); }

 private:
  std::vector<std::unique_ptr<NoGradient>> entered_;
};

}  // namespace

bool& inside_pool() noexcept {
  thread_local bool inside = false;
  return inside;
}

int tensor_threads() noexcept { return threads; }

void bind_tensor(nb::module_& module) {
  nb::class_<Tensor>(module, "Tensor", "An array with a shape of one to four axes, and its tape.")
      .def_prop_ro("shape", [](const Tensor& x) { return nb::tuple(nb::cast(shape_of(x))); })
      .def_prop_ro("size", &Tensor::size)
      .def_prop_ro("dtype", [](const Tensor& x) { return std::string(info(x.dtype()).name); })
      .def_prop_ro("tracked", &Tensor::tracked)
      .def_prop_ro("identity",
                   [](const Tensor& x) { return reinterpret_cast<uintptr_t>(x.node().get()); })
      .def_prop_ro("is_leaf", [](const Tensor& x) { return x.tracked() && x.node()->leaf; })
      .def("numpy", &numpy_of)
      .def("_writable", &writable_of)
      .def("_wrote", [](Tensor& x) { ++x.node()->version; })
      .def("assign", &assign, "array"_a)
      .def("require_gradient",
           [](Tensor& x) {
             x.require_gradient();
             return x;
           })
      .def("detach", &Tensor::detach)
      .def_prop_rw(
          "gradient",
          [](const Tensor& x) -> std::optional<Tensor> {
            Tensor gradient = x.gradient();
            if (!gradient) return std::nullopt;
            return gradient;
          },
          [](Tensor& x, const std::optional<Tensor>& gradient) {
            x.set_gradient(gradient ? *gradient : Tensor());
          },
          nb::for_setter(nb::arg("gradient").none()))
      .def("backward", &run_backward, "cotangent"_a.none() = nb::none())
      .def("_reshape",
           [](const Tensor& x, const std::vector<int64_t>& shape) { return x.reshape(shape); })
      .def("rows", &Tensor::rows, "first"_a, "count"_a)
      .def("__repr__", [](const Tensor& x) {
        return fmt::format("Tensor({}{})", x.describe(),
                           !x.tracked()     ? ""
                           : x.node()->leaf ? ", wants a gradient"
                                            : ", on the tape");
      });
  module.def("tensor", &tensor_of_array, "array"_a, "gradient"_a);
  module.def("set_tensor_threads", [](int count) {
    require(count >= 0 && count <= 1024, "set_threads: {} is not in 0 .. 1024", count);
    threads = count;
  });
  nb::class_<Quiet>(module, "no_gradient")
      .def(nb::init<>())
      .def("__enter__", &Quiet::enter)
      .def("__exit__", [](Quiet& quiet, nb::args) { quiet.leave(); });
  module.def(
      "checkpointed",
      [](nb::callable function, const std::vector<Tensor>& inputs) {
        // The function is Python's: it runs under the interpreter's lock, and dies under it.
        std::shared_ptr<nb::callable> kept(new nb::callable(function), [](nb::callable* f) {
          nb::gil_scoped_acquire lock;
          delete f;
        });
        return checkpointed(
            [kept](std::span<const Tensor> in) {
              nb::gil_scoped_acquire lock;
              nb::list arguments;
              for (const Tensor& one : in) arguments.append(nb::cast(one));
              return nb::cast<Tensor>((*kept)(*arguments));
            },
            inputs);
      },
      "function"_a, "inputs"_a);
}

}  // namespace regard::python
