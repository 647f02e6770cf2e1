#include "learning/cast.h"

#include <type_traits>
#include <utility>

#include "ops/rows.h"

namespace regard {
namespace {

float widened(float x) { return x; }
float widened(f16 x) { return to_f32(x); }
float widened(bf16 x) { return to_f32(x); }
double widened(double x) { return x; }

template <class To, class Wide>
To narrowed(Wide x) {
  if constexpr (std::is_same_v<To, f16>) {
    return to_f16(static_cast<float>(x));
  } else if constexpr (std::is_same_v<To, bf16>) {
    return to_bf16(static_cast<float>(x));
  } else {
    return static_cast<To>(x);
  }
}

// Calls work with a number of that dtype.
template <class Work>
void with_number(DType dtype, const Work& work) {
  switch (dtype) {
    case DType::f64:
      return work(double{});
    case DType::f32:
      return work(float{});
    case DType::f16:
      return work(f16{});
    case DType::bf16:
      return work(bf16{});
    default:
      fail(ErrorKind::invalid_argument, "cast: {} is not f64, f32, f16 or bf16", info(dtype).name);
  }
}

Tensor converted(const Tensor& x, DType dtype) {
  Tensor made(x.shape(), dtype);
  with_number(x.dtype(), [&](auto from_number) {
    with_number(dtype, [&](auto to_number) {
      using From = decltype(from_number);
      using To = decltype(to_number);
      const auto from = x.numbers<From>();
      const auto to = made.template writable_numbers<To>();
      constexpr int64_t kRow = 4096;
      over_rows((std::ssize(from) + kRow - 1) / kRow, kRow, [&](int64_t first, int64_t count) {
        const auto last =
            static_cast<std::size_t>(std::min(std::ssize(from), (first + count) * kRow));
        for (auto i = static_cast<std::size_t>(first * kRow); i < last; ++i) {
          to[i] = narrowed<To>(widened(from[i]));
        }
      });
    });
  });
  return made;
}

}  // namespace

Tensor cast(const Tensor& x, DType dtype) {
  require(static_cast<bool>(x), "cast: an empty tensor");
  if (x.dtype() == dtype) return x;
  Tensor made = converted(x, dtype);
  if (!recording({&x})) return made;
  const DType back = x.dtype() == DType::f64 ? DType::f64 : DType::f32;
  return record(std::move(made), {&x}, [back](const Tensor& g, InputGradients& to) {
    to.add(0, g.dtype() == back ? g : converted(g, back));
  });
}

}  // namespace regard
