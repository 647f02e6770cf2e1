#include "reference/numbers.h"

#include "base/check.h"

namespace regard::reference {
namespace {

double as_double(double x) { return x; }
template <class T>
double as_double(T x) {
  return static_cast<double>(to_f32(x));
}

template <class T>
void copy(const View<const T, 4>& from, std::vector<double>& to) {
  std::size_t n = 0;
  for (int64_t a = 0; a < from.shape[0]; ++a)
    for (int64_t b = 0; b < from.shape[1]; ++b)
      for (int64_t c = 0; c < from.shape[2]; ++c)
        for (int64_t d = 0; d < from.shape[3]; ++d) to[n++] = as_double(from(a, b, c, d));
}

}  // namespace

Numbers::Numbers(const InputView<4>& view) : Numbers(view.shape) {
  require(view.dtype <= DType::bf16, "reference: an array of {} is not an array of numbers",
          info(view.dtype).name);
  if (view.dtype == DType::f64) copy(view.as<double>(), data);
  if (view.dtype == DType::f32) copy(view.as<float>(), data);
  if (view.dtype == DType::f16) copy(view.as<f16>(), data);
  if (view.dtype == DType::bf16) copy(view.as<bf16>(), data);
}

std::vector<double> numbers_of(const Array& array) {
  std::array<int64_t, 4> shape{1, 1, 1, 1}, strides{};
  const int skipped = 4 - array.rank();
  for (int axis = 0; axis < array.rank(); ++axis) {
    shape[static_cast<std::size_t>(skipped + axis)] = array.shape(axis);
    strides[static_cast<std::size_t>(skipped + axis)] = array.stride(axis);
  }
  return Numbers(InputView<4>(array.data(), DType::f32, shape, strides)).data;
}

void write_row(const OutputView<4>& view, int64_t slab, int64_t token, int64_t head,
               const double* numbers) {
  for (int64_t d = 0; d < view.shape[3]; ++d) {
    const double x = numbers[d] + 0.0;
    if (view.dtype == DType::f64) {
      view.as<double>()(slab, token, head, d) = x;
    } else {
      require(view.dtype == DType::f32, "reference: results are f64 or f32, not {}",
              info(view.dtype).name);
      view.as<float>()(slab, token, head, d) = static_cast<float>(x);
    }
  }
}

}  // namespace regard::reference
