#include "nn/positions.h"

#include <vector>

#include "base/check.h"
#include "simd/f64_math.h"

namespace regard::nn {
namespace {

// rows [positions, width]
template <class T>
void fill(std::span<const int32_t> positions, std::span<const double> frequencies,
          View<T, 2> rows) {
  for (int64_t row = 0; row < rows.shape[0]; ++row) {
    const int32_t position = positions[static_cast<std::size_t>(row)];
    require(position >= 0, "positions: {} is negative", position);
    for (int64_t i = 0; i < std::ssize(frequencies); ++i) {
      const f64::SinCos at = f64::sin_cos(position * frequencies[static_cast<std::size_t>(i)]);
      rows(row, 2 * i) = static_cast<T>(at.sin);
      rows(row, 2 * i + 1) = static_cast<T>(at.cos);
    }
  }
}

}  // namespace

Tensor SinusoidalPositions::operator()(std::span<const int32_t> positions, DType dtype) const {
  require(width > 0 && width % 2 == 0, "positions: width ({}) is not a positive even number",
          width);
  const std::vector<double> frequencies = f64::falling_powers(base, width / 2);
  Tensor made({static_cast<int64_t>(positions.size()), width}, dtype);
  if (dtype == DType::f64) {
    fill(positions, frequencies, made.writable<double, 2>());
  } else {
    fill(positions, frequencies, made.writable<float, 2>());
  }
  return made;
}

}  // namespace regard::nn
