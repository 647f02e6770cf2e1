#include "nn/positions.h"

#include <vector>

#include "base/check.h"
#include "simd/f64_math.h"

namespace regard::nn {

Tensor SinusoidalPositions::operator()(std::span<const int32_t> positions) const {
  require(width > 0 && width % 2 == 0, "positions: width ({}) is not a positive even number",
          width);
  const std::vector<double> frequencies = f64::falling_powers(base, width / 2);
  Tensor made({static_cast<int64_t>(positions.size()), width});
  const auto rows = made.writable<float, 2>();
  for (int64_t row = 0; row < rows.shape[0]; ++row) {
    const int32_t position = positions[static_cast<std::size_t>(row)];
    require(position >= 0, "positions: {} is negative", position);
    for (int64_t i = 0; i < width / 2; ++i) {
      const f64::SinCos at = f64::sin_cos(position * frequencies[static_cast<std::size_t>(i)]);
      rows(row, 2 * i) = static_cast<float>(at.sin);
      rows(row, 2 * i + 1) = static_cast<float>(at.cos);
    }
  }
  return made;
}

}  // namespace regard::nn
